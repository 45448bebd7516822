"""A Modbus RTU line with any devices on it, and the weight transmitter: FC03 over its map, FC10 for a power-up."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from simulators.hardware.device import FrameBuffer
from simulators.hardware.modbus_unit import BAD_ADDRESS, BAD_VALUE, HOLDING, WRITE_COILS, WRITE_REGISTERS, Unit, answer

REG_ADDRESS, REG_BAUD, REG_STATUS, REG_CALIBRATED, REG_RAW, REG_WEIGHT, REG_NET = 0, 1, 8, 30, 44, 80, 82
OVERLOAD, ZERO, UNSTABLE, POWER_ON, NEGATIVE = 1 << 9, 1 << 7, 1 << 5, 1 << 4, 1 << 3
BAUD_9600 = 3
RAW_PER_GRAM = 420
SHORT_REQUESTS = frozenset({0x07, 0x0B, 0x0C, 0x11})  # functions without data, which nobody here knows


class Reading(Protocol):
    """One conversion of a load cell."""

    @property
    def gross_g(self) -> float: ...
    @property
    def stable(self) -> bool: ...
    @property
    def power_on(self) -> bool: ...
    @property
    def overload(self) -> bool: ...


class Cell(Protocol):
    """The load cell under a transmitter."""

    def read(self) -> Reading:
        """The weight now."""

    def acknowledge(self) -> None:
        """The host has noticed the power-up."""


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS, bit by bit."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def sealed(body: bytes) -> bytes:
    """`body` with its CRC appended, low byte first."""
    return body + crc16(body).to_bytes(2, "little")


def words(value: int) -> tuple[int, int]:
    """A signed 32-bit value as two registers, high word first."""
    high, low = struct.unpack(">HH", struct.pack(">i", max(-(2**31), min(2**31 - 1, value))))
    return high, low


@dataclass(slots=True)
class Transmitter:
    """One weight transmitter: which load cell, how many decimals it shows."""

    name: str
    cell: Cell
    decimals: int = 1
    writes: ClassVar[frozenset[int]] = frozenset({WRITE_REGISTERS})

    def table(self, kind: int, address: int) -> Mapping[int, int]:
        """The whole map as one conversion fills it."""
        if kind != HOLDING:
            return {}
        reading = self.cell.read()
        shown = round(reading.gross_g * 10**self.decimals)
        status = (
            self.decimals
            | OVERLOAD * reading.overload
            | ZERO * (shown == 0)
            | UNSTABLE * (not reading.stable)
            | POWER_ON * reading.power_on
            | NEGATIVE * (shown < 0)
        )
        pairs = {
            REG_CALIBRATED: shown,
            REG_RAW: round(reading.gross_g * RAW_PER_GRAM),
            REG_WEIGHT: shown,
            REG_NET: shown,
        }
        table = {REG_ADDRESS: address, REG_BAUD: BAUD_9600, REG_STATUS: status}
        for register, value in pairs.items():
            table[register], table[register + 1] = words(value)
        return table

    def write(self, kind: int, first: int, values: Sequence[int]) -> int:
        """Only a 0 to the status is taken: it acknowledges a power-up. All else needs an unlock that nobody has."""
        del kind
        if (first, len(values)) != (REG_STATUS, 1):
            return BAD_ADDRESS
        if values[0]:
            return BAD_VALUE
        self.cell.acknowledge()
        return 0


class ModbusBus:
    """Devices by address on one line. Frames are cut by length and CRC, so fragments and noise do no harm."""

    def __init__(self, units: Mapping[int, Unit]) -> None:
        self.units = dict(units)
        self.counters: Counter[str] = Counter()
        self._buffer = FrameBuffer(self.counters)

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        self._buffer.add(data, real_s)
        held = self._buffer.bytes
        frames = []
        while len(held) >= 2:
            if not 1 <= held[1] <= 0x7F:
                self._buffer.skip()
                continue
            if held[1] in (WRITE_COILS, WRITE_REGISTERS):
                if len(held) < 7:
                    break
                length = 9 + held[6]
            else:
                length = 4 if held[1] in SHORT_REQUESTS else 8
            if len(held) < length:
                break
            if sealed(bytes(held[: length - 2]))[-2:] != held[length - 2 : length]:
                self.counters["bad_crc"] += 1
                self._buffer.skip()
                continue
            frames.append(self._buffer.cut(length))
        return frames

    def answer(self, frame: bytes, real_s: float) -> bytes:  # noqa: ARG002  # these devices have no real time
        address = frame[0]
        unit = self.units.get(address)
        if unit is None:
            self.counters["foreign_address"] += 1
            return b""
        return sealed(bytes((address,)) + answer(unit, address, frame[1:-2], self.counters))

    def disguise(self, reply: bytes) -> bytes:
        return sealed(bytes([reply[0] % 247 + 1, *reply[1:-2]]))
