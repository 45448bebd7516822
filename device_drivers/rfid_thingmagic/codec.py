"""The bytes of ThingMagic M6e/M7e and Silion modules.

To the module: FF LEN OPCODE DATA CRC-high CRC-low; from it: FF LEN OPCODE STATUS-high STATUS-low DATA CRC-high CRC-low.
LEN counts DATA alone. FF may stand inside a frame: it is cut by its length. The CRC is no plain CCITT: the message is
divided as it stands, without sixteen zeros behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault

HEAD = 0xFF
MAX_DATA = 250
COMMAND_OVERHEAD_BYTES = 5
REPLY_OVERHEAD_BYTES = 7
MAX_FRAME_BYTES = REPLY_OVERHEAD_BYTES + MAX_DATA
MAX_READ_MS = 5000

OK = 0x0000
WRONG_OPCODE = 0x0101  # above all: the module is still in its boot loader
NO_TAG = 0x0400


class Opcode(IntEnum):
    """What a module is told."""

    VERSION = 0x03
    BOOT_FIRMWARE = 0x04
    HARDWARE_VERSION = 0x10
    READ_SINGLE = 0x21
    SET_PROTOCOL = 0x93
    SET_REGION = 0x97


class Region(IntEnum):
    """The band that may be used in China, 920 to 925 MHz."""

    CHINA = 0x06


GEN2 = 0x0005


@dataclass(frozen=True, slots=True)
class Command:
    """One frame to the module."""

    opcode: int
    data: bytes = b""

    def to_bytes(self) -> bytes:
        """Raises ProtocolError(local) for too much data or an opcode that is no byte."""
        return _framed(self.opcode, self.data, b"")

    @classmethod
    def from_bytes(cls, data: bytes) -> Command:
        """Raises ProtocolError(remote) for anything but one whole command."""
        body = _unframed(data, COMMAND_OVERHEAD_BYTES)
        return cls(body[0], body[1:])


@dataclass(frozen=True, slots=True)
class Reply:
    """One frame from the module."""

    opcode: int
    status: int
    data: bytes = b""

    def to_bytes(self) -> bytes:
        """Raises ProtocolError(local) for what fits no frame."""
        if not 0 <= self.status <= 0xFFFF:
            raise ProtocolError(f"status {self.status} has more than two bytes", side="local")
        return _framed(self.opcode, self.data, self.status.to_bytes(2, "big"))

    @classmethod
    def from_bytes(cls, data: bytes) -> Reply:
        """Raises ProtocolError(remote) for anything but one whole reply."""
        body = _unframed(data, REPLY_OVERHEAD_BYTES)
        return cls(body[0], body[1] << 8 | body[2], body[3:])


def crc16(data: bytes) -> bytes:
    """Remainder of preset FFFF and the message by x^16 + x^12 + x^5 + 1, taken four bits at a time."""
    crc = 0xFFFF
    for byte in data:
        for nibble in (byte >> 4, byte & 0xF):
            crc = ((crc << 4 & 0xFFFF) | nibble) ^ _NIBBLES[crc >> 12]
    return crc.to_bytes(2, "big")


_NIBBLES = tuple(0x1021 * top for top in range(16))  # nothing overlaps, so a product is the carry-less one


def version() -> Command:
    """Which programs and hardware; the boot loader answers too."""
    return Command(Opcode.VERSION)


def boot_firmware() -> Command:
    """Leave the boot loader."""
    return Command(Opcode.BOOT_FIRMWARE)


def set_region(region: Region) -> Command:
    """Choose the band."""
    return Command(Opcode.SET_REGION, bytes((region,)))


def set_gen2() -> Command:
    """Choose the air protocol of all tags in shops."""
    return Command(Opcode.SET_PROTOCOL, GEN2.to_bytes(2, "big"))


def read_single(timeout_ms: int) -> Command:
    """Look for one tag. Raises ProtocolError(local) for a time that is none."""
    if not 1 <= timeout_ms <= MAX_READ_MS:
        raise ProtocolError(f"timeout_ms {timeout_ms} is not in 1..{MAX_READ_MS}", side="local")
    return Command(Opcode.READ_SINGLE, timeout_ms.to_bytes(2, "big"))


def tag_epc(reply: Reply) -> bytes:
    """EPC in a good reply to `read_single`; the tag's CRC stands behind it. Raises ProtocolError(remote)."""
    if not 4 <= len(reply.data) <= 64 or len(reply.data) % 2:
        raise ProtocolError("a tag of a wrong length")
    return reply.data[:-2]


def _framed(opcode: int, data: bytes, status: bytes) -> bytes:
    if not 0 <= opcode <= 0xFF:
        raise ProtocolError(f"opcode {opcode} is no byte", side="local")
    if len(data) > MAX_DATA:
        raise ProtocolError(f"more than {MAX_DATA} bytes of data", side="local")
    body = bytes((len(data), opcode)) + status + data
    return bytes((HEAD,)) + body + crc16(body)


def _unframed(frame: bytes, overhead_bytes: int) -> bytes:
    """OPCODE and all up to the CRC."""
    if len(frame) < overhead_bytes or frame[0] != HEAD or frame[1] > MAX_DATA:
        raise ProtocolError("no frame of this family")
    if len(frame) != overhead_bytes + frame[1]:
        raise ProtocolError("a frame of another length than it says")
    if crc16(frame[1:-2]) != frame[-2:]:
        raise ProtocolError("wrong CRC")
    return bytes(frame[2:-2])


F = TypeVar("F", Command, Reply)


class _FrameDecoder(Generic[F]):
    """Finds frames of one direction by their length. Never holds a whole frame of the longest kind."""

    def __init__(self, on_fault: OnFault, overhead_bytes: int, parse: Callable[[bytes], F]) -> None:
        self._buffer = bytearray()
        self._on_fault = on_fault
        self._overhead_bytes = overhead_bytes
        self._parse: Callable[[bytes], F] = parse

    def feed(self, data: bytes) -> list[F]:
        """The frames that are whole now. Bytes of no frame are dropped and reported, once a call."""
        frames: list[F] = []
        self._buffer += data
        buffer, at, noise, broken = self._buffer, 0, 0, 0
        while at < len(buffer):
            if buffer[at] != HEAD or (at + 1 < len(buffer) and buffer[at + 1] > MAX_DATA):
                noise += 1
                at += 1
                continue
            if at + 1 == len(buffer) or len(buffer) - at < self._overhead_bytes + buffer[at + 1]:
                break
            size = self._overhead_bytes + buffer[at + 1]
            try:
                frames.append(self._parse(bytes(buffer[at : at + size])))
            except ProtocolError:
                broken += 1
                size = 1
            at += size
        del buffer[:at]
        if broken:
            self._on_fault("crc", "wrong CRC")
        elif noise:
            self._on_fault("framing", f"{noise} bytes of no frame")
        return frames

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)


class CommandDecoder(_FrameDecoder[Command]):
    """What the host sends."""

    def __init__(self, on_fault: OnFault) -> None:
        super().__init__(on_fault, COMMAND_OVERHEAD_BYTES, Command.from_bytes)


class ReplyDecoder(_FrameDecoder[Reply]):
    """What the module sends."""

    def __init__(self, on_fault: OnFault) -> None:
        super().__init__(on_fault, REPLY_OVERHEAD_BYTES, Reply.from_bytes)
