"""The bytes of Modbus RTU, as far as this house speaks it: read holding registers (03), write registers (10).

A frame is ADDRESS FUNCTION DATA CRC-low CRC-high. The protocol has no start mark and no length, only silence between
frames, which a serial adapter does not keep. So a reply is found by the exact shape that its request calls for.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault

READ_HOLDING = 0x03
WRITE_REGISTERS = 0x10
EXCEPTION_BIT = 0x80
MAX_ADDRESS = 247
MAX_READ = 125  # registers in one reply
MAX_WRITE = 123  # registers in one request


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc16(data: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first, as it stands on the wire."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def seal(body: bytes) -> bytes:
    """A body with its CRC."""
    return body + crc16(body)


def is_sealed(frame: bytes) -> bool:
    """True if the last two bytes are the CRC of all before them."""
    return len(frame) >= 4 and crc16(frame[:-2]) == frame[-2:]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The exception that a device answered. 1 function, 2 address, 3 value, 4 failure, 5 later, 6 busy."""

    code: int


@dataclass(frozen=True, slots=True)
class ReadHolding:
    """Read `count` holding registers from `register` on."""

    address: int
    register: int
    count: int

    def __post_init__(self) -> None:
        _check(self.address, self.register, self.count, MAX_READ)

    def to_bytes(self) -> bytes:
        return seal(struct.pack(">BBHH", self.address, READ_HOLDING, self.register, self.count))

    def reply_head(self) -> bytes:
        return bytes((self.address, READ_HOLDING, 2 * self.count))

    def reply_bytes(self) -> int:
        return 5 + 2 * self.count


@dataclass(frozen=True, slots=True)
class WriteRegisters:
    """Write `values` (16 bit each) from `register` on."""

    address: int
    register: int
    values: Sequence[int]

    def __post_init__(self) -> None:
        _check(self.address, self.register, len(self.values), MAX_WRITE)
        if any(not 0 <= value <= 0xFFFF for value in self.values):
            raise ProtocolError("a register holds 0..65535", side="local")

    def to_bytes(self) -> bytes:
        count = len(self.values)
        head = struct.pack(">BBHHB", self.address, WRITE_REGISTERS, self.register, count, 2 * count)
        return seal(head + struct.pack(f">{count}H", *self.values))

    def reply_head(self) -> bytes:
        return struct.pack(">BBHH", self.address, WRITE_REGISTERS, self.register, len(self.values))

    def reply_bytes(self) -> int:
        return 8


class ReplyParser:
    """Finds the reply to one request in a stream with noise, echo and late replies in it.

    Holds at most the bytes of one reply between two calls.
    """

    def __init__(self, request: ReadHolding | WriteRegisters, on_fault: OnFault) -> None:
        head = request.reply_head()
        self._shapes = ((head, request.reply_bytes()), (bytes((head[0], head[1] | EXCEPTION_BIT)), 5))
        self._buffer = bytearray()
        self._on_fault = on_fault

    def feed(self, data: bytes) -> bytes | Refusal | None:
        """The data bytes of the reply without head and CRC, or the device's refusal, once whole."""
        self._buffer += data
        noise = bad_check = 0
        answer: bytes | Refusal | None = None
        at = 0
        while answer is None and at < len(self._buffer):
            shape = next((shape for shape in self._shapes if self._may_begin(at, shape[0])), None)
            if shape is None:
                noise += 1
                at += 1
                continue
            head, length = shape
            frame = bytes(self._buffer[at : at + length])
            if len(frame) < length:
                break
            if is_sealed(frame):
                at += length
                answer = Refusal(frame[2]) if frame[1] & EXCEPTION_BIT else frame[len(head) : -2]
            else:
                bad_check += 1
                at += 1
        del self._buffer[: at if answer is None else None]  # what follows a reply answers nothing
        if bad_check:
            self._on_fault("crc", "wrong CRC")
        elif noise:
            self._on_fault("framing", f"{noise} bytes of no reply")
        return answer

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)

    def _may_begin(self, at: int, head: bytes) -> bool:
        """True if the buffer from `at` on is, or may become, a reply with this head."""
        return head.startswith(bytes(self._buffer[at : at + len(head)]))


def _check(address: int, register: int, count: int, max_count: int) -> None:
    if not 1 <= address <= MAX_ADDRESS:
        raise ProtocolError(f"address {address} is not in 1..{MAX_ADDRESS}", side="local")
    if not 1 <= count <= max_count:
        raise ProtocolError(f"{count} registers are not in 1..{max_count}", side="local")
    if not 0 <= register <= 0x10000 - count:
        raise ProtocolError(f"registers {register}+{count} do not exist", side="local")
