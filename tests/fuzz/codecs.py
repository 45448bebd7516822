"""Throws bytes at every decoder of the shared suite, guided by the code that they reach.

    python -m tests.fuzz.codecs tests/fuzz/corpus -max_total_time=20

For any bytes: nothing is raised, no more is held than the cap, the same frames are found however the bytes are cut, and
every frame can be read aloud. What reaches new code is kept in the first folder that is named.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["device_drivers"]):
    from tests.fuzz.target import one_input

if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
