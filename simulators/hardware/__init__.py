"""Byte-exact devices on real pseudo-terminals, and the shoppers who use them.

A device is a pure object: bytes in, frames out (`Device`). `PtyPort` puts it on a line; `Faults` spoils the line.
"""

from simulators.hardware.control import SimControl, SimRefusedError
from simulators.hardware.faults import FaultPlan
from simulators.hardware.run import run_store
from simulators.hardware.shoppers import Habits

__all__ = ["FaultPlan", "Habits", "SimControl", "SimRefusedError", "run_store"]
