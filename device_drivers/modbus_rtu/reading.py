"""From a profile to reads, and from registers to numbers. Nothing here waits for a device."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from device_drivers.modbus_rtu import pdu
from device_drivers.modbus_rtu.profile import Profile, ValueTable, WordOrder

MAX_DECIMALS = 9  # a field that says more is rubbish

Raw = int | float | tuple[bool, ...]  # as it stands in the device: no scale, no decimals
_TURN: Mapping[WordOrder, tuple[int, int, int, int]] = {
    "ABCD": (0, 1, 2, 3),
    "CDAB": (2, 3, 0, 1),
    "BADC": (1, 0, 3, 2),
    "DCBA": (3, 2, 1, 0),
}


@dataclass(frozen=True, slots=True)
class Block:
    """Several values that one read brings."""

    request: pdu.Read
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """One value of a device. `value` is None where it cannot be true, and `problem` says why."""

    value: float | bool | tuple[bool, ...] | None
    unit: str = ""
    problem: str = ""


def with_decimals(profile: Profile, names: Iterable[str]) -> list[str]:
    """These values and those that say how many decimals they have."""
    wanted = dict.fromkeys(names)
    for name in list(wanted):
        if (other := profile.values[name].decimals) is not None:
            wanted.setdefault(other)
    return list(wanted)


def blocks(profile: Profile, names: Iterable[str]) -> list[Block]:
    """As few reads as bring all these values: neighbours go together, as far as the profile allows."""
    ordered = sorted(names, key=lambda name: (profile.values[name].function, profile.values[name].address))
    found: list[Block] = []
    for name in ordered:
        value = profile.values[name]
        joined = _joined(profile, found[-1].request, value) if found else None
        if joined is None:
            found.append(Block(pdu.Read(value.function, value.address, value.places), (name,)))
        else:
            found[-1] = Block(joined, (*found[-1].names, name))
    return found


def _joined(profile: Profile, read: pdu.Read, value: ValueTable) -> pdu.Read | None:
    most = pdu.MAX_READ_BITS if read.function in pdu.BIT_READS else profile.device.max_read
    end = max(read.first + read.count, value.address + value.places)
    near = value.address <= read.first + read.count + profile.device.max_gap
    if value.function != read.function or not near or end - read.first > most:
        return None
    return pdu.Read(read.function, read.first, end - read.first)


def raw_values(profile: Profile, block: Block, reply: pdu.Values) -> dict[str, Raw]:
    """What the reply to a block holds, by name."""
    first = block.request.first
    if block.request.function in pdu.BIT_READS:
        bits = reply.bits(block.request.count)
        return {
            name: bits[value.address - first : value.address - first + value.count]
            for name, value in ((name, profile.values[name]) for name in block.names)
        }
    found: dict[str, Raw] = {}
    for name in block.names:
        value = profile.values[name]
        at = 2 * (value.address - first)
        found[name] = _register_value(value, profile.word_order(value), reply.data[at : at + 2 * value.places])
    return found


def _register_value(value: ValueTable, order: WordOrder, data: bytes) -> int | float:
    if len(data) == 4:
        data = bytes(data[at] for at in _TURN[order])
    if value.type == "f32":
        number: float = struct.unpack(">f", data)[0]
        return number
    word = int.from_bytes(data, "big", signed=value.type in ("i16", "i32"))
    if value.bit is not None:
        return word >> value.bit & 1
    if value.mask is not None:
        return (word & value.mask) // (value.mask & -value.mask)
    return word


def measured(profile: Profile, name: str, raws: Mapping[str, Raw]) -> Measured:
    """A raw value as it is meant: scaled, with its unit, checked against its range."""
    value, raw = profile.values[name], raws[name]
    if isinstance(raw, tuple):
        return Measured(raw if value.count > 1 else raw[0])
    if value.type == "bit":
        return Measured(bool(raw))
    if not math.isfinite(raw):
        return Measured(None, value.unit, "is not a number")
    places = raws[value.decimals] if value.decimals is not None else 0
    assert isinstance(places, int)
    if places > MAX_DECIMALS:
        return Measured(None, value.unit, f"has {places} decimals, which cannot be")
    number = float(Fraction(raw) * Fraction(str(value.scale)) / 10**places)
    if value.valid is not None and not value.valid[0] <= number <= value.valid[1]:
        low, high = value.valid
        return Measured(None, value.unit, f"is {number:g} {value.unit}, outside of {low:g} to {high:g}")
    return Measured(number, value.unit)
