"""Any device that has a profile, played by its numbers: for meters of one's own, and for tests of their profiles.

The profile is the driver's own table, so a wrong address hides here; the encoding is written a second time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

from device_drivers.modbus_rtu.profile import Profile, ValueTable
from simulators.hardware.modbus_unit import (
    BAD_ADDRESS,
    COILS,
    HOLDING,
    WRITE_COIL,
    WRITE_COILS,
    WRITE_REGISTER,
    WRITE_REGISTERS,
)

Shown = Mapping[str, float | bool | Sequence[bool]]
_LETTERS = "ABCD"
_FORM = {"u32": ">I", "i32": ">i", "f32": ">f"}


class ProfiledUnit:
    """One device. `shown` says what it measures now, by name, as the driver shall read it; what it leaves out is 0.

    Places of the profile alone are there; a write changes nothing but `written`, which holds the last of each place.
    """

    writes: ClassVar[frozenset[int]] = frozenset({WRITE_COIL, WRITE_COILS, WRITE_REGISTER, WRITE_REGISTERS})

    def __init__(self, profile: Profile, shown: Callable[[], Shown]) -> None:
        self.written: dict[tuple[int, int], int] = {}
        self._profile = profile
        self._shown = shown

    def table(self, kind: int, address: int) -> Mapping[int, int]:
        """See `Unit`."""
        del address
        shown, found = self._shown(), dict[int, int]()
        for name, value in self._profile.values.items():
            if value.function == kind:
                self._lay(found, value, shown.get(name, 0), shown)
        for command in self._profile.commands.values():
            if kind == (COILS if command.function in (WRITE_COIL, WRITE_COILS) else HOLDING):
                for place in range(command.address, command.address + len(command.values)):
                    found.setdefault(place, 0)
        return found | self._between(sorted(found))

    def write(self, kind: int, first: int, values: Sequence[int]) -> int:
        """Taken where the profile has a command."""
        places = range(first, first + len(values))
        known = [range(c.address, c.address + len(c.values)) for c in self._profile.commands.values()]
        if not all(any(place in one for one in known) for place in places):
            return BAD_ADDRESS
        self.written.update(((kind, place), value) for place, value in zip(places, values, strict=True))
        return 0

    def _between(self, places: Sequence[int]) -> dict[int, int]:
        """What stands unused between two values, as far as the profile says that a read may run over it."""
        near = [pair for pair in pairwise(places) if pair[1] - pair[0] - 1 <= self._profile.device.max_gap]
        return {place: 0 for before, after in near for place in range(before + 1, after)}

    def _lay(
        self, found: dict[int, int], value: ValueTable, number: float | bool | Sequence[bool], shown: Shown
    ) -> None:
        """Put one value into its places."""
        at = value.address
        if value.function in (1, 2):
            bits = list(number) if isinstance(number, Sequence) else [bool(number)] * value.count
            found.update((at + n, int(bit)) for n, bit in enumerate(bits))
            return
        assert not isinstance(number, Sequence)
        if value.bit is not None:
            found[at] = found.get(at, 0) | bool(number) << value.bit
            return
        dots = shown.get(value.decimals, 0) if value.decimals else 0
        assert isinstance(dots, int)
        raw = number * 10.0**dots / value.scale
        if value.mask is not None:
            lowest = (value.mask & -value.mask).bit_length() - 1
            found[at] = found.get(at, 0) | (round(raw) << lowest & value.mask)
        elif value.type in _FORM:
            found[at], found[at + 1] = _two(value, raw, self._profile)
        else:
            found[at] = round(raw) & 0xFFFF


def _two(value: ValueTable, raw: float, profile: Profile) -> tuple[int, int]:
    """A 32-bit value as two registers, its bytes in the order that the profile names."""
    straight = struct.pack(_FORM[value.type], raw if value.type == "f32" else round(raw))
    order = value.word_order or profile.device.word_order
    turned = bytes(straight[_LETTERS.index(letter)] for letter in order)
    high, low = struct.unpack(">HH", turned)
    return high, low
