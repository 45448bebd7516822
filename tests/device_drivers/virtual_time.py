"""Virtual time, as the shared suite has it."""

from __future__ import annotations

from simulators.conformance.virtual_time import VirtualLoop, in_virtual_time

__all__ = ["VirtualLoop", "in_virtual_time"]
