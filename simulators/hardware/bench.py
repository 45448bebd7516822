"""Devices that stand alone on a bench, without a store around them: what `sim://FAMILY` opens.

A module of this package that plays a family has `on_bench()`, which makes such a device with address 1.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import cast

import simulators.hardware
from device_drivers.errors import MisconfiguredError
from simulators.hardware.device import Device


class BenchDoors:
    """The doors of a bench: a pulse opens one, and somebody closes it again."""

    def __init__(self) -> None:
        self.open: set[int] = set()

    def pulse(self, lock: str, channel: int) -> bool:
        """See `Doors.pulse`: every channel is wired."""
        del lock
        self.open.add(channel)
        return True

    def door_is_open(self, lock: str, channel: int) -> bool | None:
        """See `Doors.door_is_open`."""
        del lock
        return channel in self.open


def bench_devices() -> dict[str, Callable[[], Device]]:
    """Every family that can stand on a bench."""
    found: dict[str, Callable[[], Device]] = {}
    for module in pkgutil.iter_modules(simulators.hardware.__path__):
        make = getattr(import_module(f"{simulators.hardware.__name__}.{module.name}"), "on_bench", None)
        if make is not None:
            found[module.name] = cast("Callable[[], Device]", make)
    return found


def bench_device(family: str) -> Device:
    """A device of this family. Raises MisconfiguredError with the families that there are."""
    known = bench_devices()
    if family not in known:
        raise MisconfiguredError(f"there is no simulator of {family!r}; there are {', '.join(sorted(known))}")
    return known[family]()
