"""`python -m device_drivers.modbus_rtu` prints the JSON schema of profiles; with files it checks each of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from device_drivers.errors import MisconfiguredError
from device_drivers.modbus_rtu.profile import json_schema, read_profile
from device_drivers.modbus_rtu.reading import blocks


def main(paths: Sequence[str]) -> int:
    """Print the schema, or one line for each profile; 1 if one is wrong."""
    if not paths:
        sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
        return 0
    wrong = 0
    for path in paths:
        try:
            profile = read_profile(Path(path))
        except MisconfiguredError as error:
            wrong = 1
            sys.stderr.write(f"{error}\n")
            continue
        reads = len(blocks(profile, profile.values))
        sys.stdout.write(f"{path}: {len(profile.values)} values in {reads} reads, {len(profile.commands)} commands\n")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
