"""Relay boards, temperature sensors and refrigeration controllers as Modbus devices: each a few rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from simulators.hardware.fridge import Fridge
from simulators.hardware.modbus_unit import (
    BAD_ADDRESS,
    BAD_VALUE,
    COILS,
    HOLDING,
    INPUT_REGISTERS,
    INPUTS,
    WRITE_COIL,
    WRITE_COILS,
    WRITE_REGISTER,
    WRITE_REGISTERS,
)

BROKEN_PROBE = 0x7FFF
BAUD_9600 = 3
_ALL = frozenset({WRITE_COIL, WRITE_COILS, WRITE_REGISTER, WRITE_REGISTERS})
_REGISTERS = frozenset({WRITE_REGISTER, WRITE_REGISTERS})


def tenths(value: float) -> int:
    """A number as a signed register of tenths."""
    return max(-0x8000, min(0x7FFF, round(value * 10))) & 0xFFFF


def signed(word: int) -> int:
    """A register as a signed number."""
    return word - 0x10000 if word & 0x8000 else word


class RelayBoard:
    """Relays and inputs from place 0 on; holding 0 is its address, 1 its speed, which it takes and minds not here.

    `moves` holds each relay that was told something, in order; `stuck` relays hear and do not move.
    """

    writes: ClassVar[frozenset[int]] = _ALL

    def __init__(self, channels: int = 8) -> None:
        self.relays = [False] * channels
        self.inputs = [False] * channels
        self.stuck: set[int] = set()
        self.moves: list[tuple[int, bool]] = []
        self._settings: dict[int, int] = {}

    def table(self, kind: int, address: int) -> Mapping[int, int]:
        """See `Unit`."""
        if kind == COILS:
            return dict(enumerate(map(int, self.relays)))
        if kind == INPUTS:
            return dict(enumerate(map(int, self.inputs)))
        return {0: address, 1: BAUD_9600} | self._settings if kind == HOLDING else {}

    def write(self, kind: int, first: int, values: Sequence[int]) -> int:
        """See `Unit`."""
        if kind == HOLDING:
            self._settings.update(enumerate(values, first))
            return 0
        for place, value in enumerate(values, first):
            self.moves.append((place, bool(value)))
            if place not in self.stuck:
                self.relays[place] = bool(value)
        return 0

    def reboot(self) -> None:
        """It loses power: every relay falls off."""
        self.relays = [False] * len(self.relays)


class ClimateSensor:
    """An SHT20 box: input registers 1 and 2, tenths. `sense` is (°C, %RH) now, or None for a broken probe."""

    writes: ClassVar[frozenset[int]] = frozenset()

    def __init__(self, sense: Callable[[], tuple[float, float] | None]) -> None:
        self.sense = sense

    def table(self, kind: int, address: int) -> Mapping[int, int]:
        """See `Unit`."""
        if kind == HOLDING:
            return {0x0101: address, 0x0102: BAUD_9600}
        if kind != INPUT_REGISTERS:
            return {}
        now = self.sense()
        if now is None:
            return {1: BROKEN_PROBE, 2: BROKEN_PROBE}
        return {1: tenths(now[0]), 2: tenths(now[1])}

    def write(self, kind: int, first: int, values: Sequence[int]) -> int:
        """See `Unit`."""
        del kind, first, values
        return BAD_ADDRESS


class FridgeController:
    """The controller of a refrigerated cabinet, with the map of the template profile."""

    writes: ClassVar[frozenset[int]] = _REGISTERS

    def __init__(self, fridge: Fridge) -> None:
        self.fridge = fridge

    def table(self, kind: int, address: int) -> Mapping[int, int]:
        """See `Unit`."""
        del address
        if kind != HOLDING:
            return {}
        fridge = self.fridge
        air = tenths(fridge.air_c)
        return {
            0: BROKEN_PROBE if fridge.probe_broken else air,
            1: tenths(fridge.set_point_c),
            2: tenths(fridge.hysteresis_c),
            3: fridge.defrost,
            4: fridge.door_open | fridge.compressor_on << 1,
            5: fridge.alarms,
        }

    def write(self, kind: int, first: int, values: Sequence[int]) -> int:
        """Set point (register 1, -40 to 30 °C) and hysteresis (2, 0.1 to 20 K)."""
        del kind
        told = {place: signed(value) / 10 for place, value in enumerate(values, first)}
        if not told.keys() <= {1, 2}:
            return BAD_ADDRESS
        if not (-40.0 <= told.get(1, 0.0) <= 30.0 and 0.1 <= told.get(2, 1.0) <= 20.0):
            return BAD_VALUE
        self.fridge.set(set_point_c=told.get(1), hysteresis_c=told.get(2))
        return 0
