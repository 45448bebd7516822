"""`python -m edge.pages --desk SOCKET`: the store's pages as a process of their own."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from edge.pages.app import PortInUseError, run


def main() -> int:
    """0 after an interrupt, 2 when the pages cannot listen."""
    parser = argparse.ArgumentParser(prog="edge.pages", description=__doc__)
    parser.add_argument("--desk", type=Path, required=True, help="the agent's desk socket")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--title", default="掌柜")
    wish = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        run(wish.desk, wish.host, wish.port, wish.title)
    except PortInUseError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
