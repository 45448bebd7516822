"""What every simulated Modbus device does: four tables, eight functions, and an exception for all that is not there.

Written from the tables of the Modbus Application Protocol, without the drivers' code.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

COILS, INPUTS, HOLDING, INPUT_REGISTERS = 1, 2, 3, 4  # a table is called by the function that reads it
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 5, 6, 15, 16
TABLE_OF = {WRITE_COIL: COILS, WRITE_COILS: COILS, WRITE_REGISTER: HOLDING, WRITE_REGISTERS: HOLDING}
BAD_FUNCTION, BAD_ADDRESS, BAD_VALUE, FAILED, NO_TARGET = 1, 2, 3, 4, 11
MOST_READ = {COILS: 2000, INPUTS: 2000, HOLDING: 125, INPUT_REGISTERS: 125}
MOST_WRITTEN = {WRITE_COILS: 1968, WRITE_REGISTERS: 123}


class Unit(Protocol):
    """One device."""

    writes: ClassVar[frozenset[int]]  # the writing functions that it knows

    def table(self, kind: int, address: int) -> Mapping[int, int]:
        """One whole table as it stands now; empty if the device has none. `address` is its own."""

    def write(self, kind: int, first: int, values: Sequence[int]) -> int:
        """Take values into places that are all there; 0, or the exception."""


class _Exception(Exception):  # noqa: N818  # the protocol calls it so
    def __init__(self, code: int) -> None:
        self.code = code


def answer(unit: Unit, address: int, said: bytes, counters: Counter[str]) -> bytes:
    """The reply to function and data, without envelope."""
    function = said[0]
    try:
        if function in MOST_READ:
            reply = _read(unit, address, function, said[1:])
            counters["reads"] += 1
        elif function in unit.writes:
            reply = _write(unit, address, function, said[1:])
            counters["writes"] += 1
        else:
            reply = _unknown()
    except _Exception as error:
        counters[f"exception_{error.code}"] += 1
        return bytes((function | 0x80, error.code))
    return reply


def _read(unit: Unit, address: int, function: int, data: bytes) -> bytes:
    table = unit.table(function, address)
    if not table:
        raise _Exception(BAD_FUNCTION)
    first, count = _two(data)
    if not 1 <= count <= MOST_READ[function]:
        raise _Exception(BAD_VALUE)
    values = _there(table, first, count)
    if function in (HOLDING, INPUT_REGISTERS):
        return struct.pack(f">BB{count}H", function, 2 * count, *values)
    packed = bytearray((count + 7) // 8)
    for at, value in enumerate(values):
        packed[at // 8] |= bool(value) << (at % 8)
    return bytes((function, len(packed))) + packed


def _write(unit: Unit, address: int, function: int, data: bytes) -> bytes:
    first, what = _two(data)
    kind = TABLE_OF[function]
    values = [what] if function in (WRITE_COIL, WRITE_REGISTER) else _unpacked(function, what, data[4:])
    if function == WRITE_COIL:
        if what not in (0x0000, 0xFF00):
            raise _Exception(BAD_VALUE)
        values = [int(what == 0xFF00)]
    _there(unit.table(kind, address), first, len(values))
    if code := unit.write(kind, first, values):
        raise _Exception(code)
    return bytes((function,)) + data[:4]


def _unknown() -> bytes:
    raise _Exception(BAD_FUNCTION)


def _two(data: bytes) -> tuple[int, int]:
    if len(data) < 4:
        raise _Exception(BAD_VALUE)
    first, second = struct.unpack_from(">HH", data)
    return first, second


def _unpacked(function: int, count: int, data: bytes) -> list[int]:
    size = (count + 7) // 8 if function == WRITE_COILS else 2 * count
    if not 1 <= count <= MOST_WRITTEN[function] or len(data) != 1 + size or data[0] != size:
        raise _Exception(BAD_VALUE)
    if function == WRITE_REGISTERS:
        return list(struct.unpack(f">{count}H", data[1:]))
    return [data[1 + at // 8] >> at % 8 & 1 for at in range(count)]


def _there(table: Mapping[int, int], first: int, count: int) -> list[int]:
    places = range(first, first + count)
    if any(place not in table for place in places):
        raise _Exception(BAD_ADDRESS)
    return [table[place] for place in places]
