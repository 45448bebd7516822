"""`zhanggui …` as it is, but for a planted fault, if one is chosen."""

from __future__ import annotations

from tests.processes import mutants
from zhanggui.cli import main

if __name__ == "__main__":
    mutants.spoil_bridge()
    main()
