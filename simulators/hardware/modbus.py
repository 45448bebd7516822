"""Weight transmitters on a Modbus RTU line: FC03 over their register map, FC10 to acknowledge a power-up."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from simulators.hardware.device import FrameBuffer

READ, WRITE = 0x03, 0x10
BAD_FUNCTION, BAD_ADDRESS, BAD_VALUE = 1, 2, 3
MAX_READ = 125
REG_ADDRESS, REG_BAUD, REG_STATUS, REG_CALIBRATED, REG_RAW, REG_WEIGHT, REG_NET = 0, 1, 8, 30, 44, 80, 82
OVERLOAD, ZERO, UNSTABLE, POWER_ON, NEGATIVE = 1 << 9, 1 << 7, 1 << 5, 1 << 4, 1 << 3
BAUD_9600 = 3
RAW_PER_GRAM = 420


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


def reply_read(address: int, registers: list[int]) -> bytes:
    """The reply of FC03 with these register values."""
    return sealed(struct.pack(f">BBB{len(registers)}H", address, READ, 2 * len(registers), *registers))


def words(value: int) -> tuple[int, int]:
    """A signed 32-bit value as two registers, high word first."""
    high, low = struct.unpack(">HH", struct.pack(">i", max(-(2**31), min(2**31 - 1, value))))
    return high, low


@dataclass(slots=True)
class Transmitter:
    """One transmitter: which load cell, how many decimals it shows."""

    name: str
    cell: Cell
    decimals: int = 1

    def registers(self, address: int) -> dict[int, int]:
        """The whole map as one conversion fills it."""
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


class ModbusBus:
    """Transmitters by address on one line. Frames are cut by length and CRC, so fragments and noise do no harm."""

    def __init__(self, transmitters: Mapping[int, Transmitter]) -> None:
        self.transmitters = dict(transmitters)
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
            if held[1] in (0x0F, WRITE):
                if len(held) < 7:
                    break
                length = 9 + held[6]
            else:
                length = 8
            if len(held) < length:
                break
            if sealed(bytes(held[: length - 2]))[-2:] != held[length - 2 : length]:
                self.counters["bad_crc"] += 1
                self._buffer.skip()
                continue
            frames.append(self._buffer.cut(length))
        return frames

    def answer(self, frame: bytes, real_s: float) -> bytes:  # noqa: ARG002  # a transmitter has no real time
        address, function = frame[0], frame[1]
        transmitter = self.transmitters.get(address)
        if transmitter is None:
            self.counters["foreign_address"] += 1
            return b""
        if function == READ:
            return self._read(transmitter, address, *struct.unpack(">HH", frame[2:6]))
        if function == WRITE:
            return self._write(transmitter, address, frame)
        return self._exception(address, function, BAD_FUNCTION)

    def disguise(self, reply: bytes) -> bytes:
        return sealed(bytes([reply[0] % 247 + 1, *reply[1:-2]]))

    def _read(self, transmitter: Transmitter, address: int, first: int, count: int) -> bytes:
        if not 1 <= count <= MAX_READ:
            return self._exception(address, READ, BAD_VALUE)
        table = transmitter.registers(address)
        wanted = range(first, first + count)
        if any(register not in table for register in wanted):
            return self._exception(address, READ, BAD_ADDRESS)
        self.counters["reads"] += 1
        return reply_read(address, [table[register] for register in wanted])

    def _write(self, transmitter: Transmitter, address: int, frame: bytes) -> bytes:
        first, count, size = struct.unpack(">HHB", frame[2:7])
        if size != 2 * count or not count:
            return self._exception(address, WRITE, BAD_VALUE)
        if (first, count) != (REG_STATUS, 1):
            return self._exception(address, WRITE, BAD_ADDRESS)
        if frame[7:9] != b"\x00\x00":
            return self._exception(address, WRITE, BAD_VALUE)
        transmitter.cell.acknowledge()
        self.counters["acknowledged"] += 1
        return sealed(frame[:6])

    def _exception(self, address: int, function: int, code: int) -> bytes:
        self.counters[f"exception_{code}"] += 1
        return sealed(bytes([address, function | 0x80, code]))
