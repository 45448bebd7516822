"""A Modbus RTU line on a bench: 1 a relay board, 2 a weight transmitter, 3 a temperature sensor, 4 a refrigerator."""

from __future__ import annotations

import time
from dataclasses import dataclass

from simulators.hardware.fridge import Fridge
from simulators.hardware.modbus import ModbusBus, Transmitter
from simulators.hardware.modbus_unit import Unit
from simulators.hardware.modbus_units import ClimateSensor, FridgeController, RelayBoard


@dataclass(slots=True)
class BenchCell:
    """A load cell with a known mass on it."""

    gross_g: float = 500.0
    stable: bool = True
    power_on: bool = False
    overload: bool = False

    def read(self) -> BenchCell:
        """See `Cell`."""
        return self

    def acknowledge(self) -> None:
        """See `Cell`."""
        self.power_on = False


def bench_units() -> dict[int, Unit]:
    """One device of each kind, by address."""
    fridge = Fridge(time.monotonic)
    return {
        1: RelayBoard(8),
        2: Transmitter("bench", BenchCell()),
        3: ClimateSensor(lambda: (30.5, 54.6)),
        4: FridgeController(fridge),
    }


def on_bench() -> ModbusBus:
    """The line."""
    return ModbusBus(bench_units())
