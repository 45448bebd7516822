"""Configuration frames of the GM65 family: 7E 00 TYPE LEN ADDR-high ADDR-low DATA CRC-high CRC-low.

The CRC is CRC-16/XMODEM over TYPE up to the last data byte. `AB CD` in its place means "unchecked". A reply is
02 00 STATUS LEN DATA CRC, a heartbeat's reply begins with 03; neither says what it answers.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import Literal

from device_drivers.errors import ProtocolError
from device_drivers.finder import Verdict

TYPE_READ = 0x07
TYPE_WRITE = 0x08
TYPE_SAVE = 0x09
TYPE_HEARTBEAT = 0x0A
_TYPES = (TYPE_READ, TYPE_WRITE, TYPE_SAVE, TYPE_HEARTBEAT)

ZONE_TRIGGER = 0x0002
ZONE_BAUD = 0x002A

UNCHECKED = b"\xab\xcd"
MAX_ASKED_BYTES = 64  # of one read of zones, so that a reply has a cap
LONGEST_COMMAND = 8 + 0xFF
LONGEST_REPLY = 6 + MAX_ASKED_BYTES

_HEAD = b"\x7e\x00"
_REPLY_HEADS = {0x02: "command", 0x03: "heartbeat"}
_REPLY_OK = 0x00
_BAUD_CLOCK = 3_000_000  # the module divides this clock; the divisor stands low byte first in its zone
_BAUDS = (1200, 4800, 9600, 14400, 19200, 38400, 57600, 115200)


@dataclass(frozen=True, slots=True)
class Command:
    """What the host sends. `data` of a read is one byte: how many bytes are wanted."""

    kind: int
    zone: int
    data: bytes
    checked: bool = True

    def to_bytes(self) -> bytes:
        """The frame. Raises ProtocolError(local) for a type, zone or length that there is not."""
        if self.kind not in _TYPES:
            raise ProtocolError(f"type {self.kind:#04x} is none of this family", side="local")
        if not 0 <= self.zone <= 0xFFFF:
            raise ProtocolError(f"zone {self.zone} is not in 0..65535", side="local")
        if not 1 <= len(self.data) <= 0xFF:
            raise ProtocolError(f"{len(self.data)} bytes of data; a frame has 1 to 255", side="local")
        body = bytes((self.kind, len(self.data))) + self.zone.to_bytes(2, "big") + self.data
        return _HEAD + body + (crc16(body) if self.checked else UNCHECKED)

    @classmethod
    def from_bytes(cls, data: bytes) -> Command:
        """Raises ProtocolError(remote) for anything but one whole frame."""
        if len(data) < 9 or data[:2] != _HEAD or data[2] not in _TYPES:
            raise ProtocolError("not a command of this family")
        if len(data) != 8 + data[3]:
            raise ProtocolError("a command of a wrong length")
        checked = data[-2:] != UNCHECKED
        if checked and crc16(data[2:-2]) != data[-2:]:
            raise ProtocolError("wrong CRC")
        return cls(data[2], int.from_bytes(data[4:6], "big"), data[6:-2], checked)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the module answers. A heartbeat has a kind of its own."""

    kind: Literal["command", "heartbeat"]
    status: int
    data: bytes

    @property
    def ok(self) -> bool:
        return self.status == _REPLY_OK

    def to_bytes(self) -> bytes:
        """The frame. Raises ProtocolError(local) for a status or length that there is not."""
        if not 0 <= self.status <= 0xFF or not 1 <= len(self.data) <= 0xFF:
            raise ProtocolError("a reply has one byte of status and 1 to 255 of data", side="local")
        body = bytes((self.status, len(self.data))) + self.data
        return bytes((0x02 if self.kind == "command" else 0x03, 0x00)) + body + crc16(body)

    @classmethod
    def from_bytes(cls, data: bytes) -> Reply:
        """One whole reply: HEAD 00 STATUS LEN DATA CRC. Raises ProtocolError(remote) for anything else."""
        if len(data) < 7 or data[1] != 0 or data[0] not in _REPLY_HEADS:
            raise ProtocolError("not a reply of this module")
        if len(data) != 6 + data[3]:
            raise ProtocolError("a reply of a wrong length")
        if crc16(data[2:-2]) != data[-2:]:
            raise ProtocolError("wrong CRC")
        return cls("command" if data[0] == 0x02 else "heartbeat", data[2], data[4:-2])


parse_reply = Reply.from_bytes


def crc16(data: bytes) -> bytes:
    """CRC-16/XMODEM, high byte first."""
    return binascii.crc_hqx(data, 0).to_bytes(2, "big")


def read_zone(zone: int, count: int, *, checked: bool = True) -> bytes:
    """Ask for `count` bytes of settings from `zone` on. Raises ProtocolError(local) for more than 64."""
    if not 1 <= count <= MAX_ASKED_BYTES:
        raise ProtocolError(f"{count} bytes asked; 1 to {MAX_ASKED_BYTES} can be", side="local")
    return Command(TYPE_READ, zone, bytes((count,)), checked).to_bytes()


def write_zone(zone: int, data: bytes, *, checked: bool = True) -> bytes:
    """Set bytes of settings from `zone` on, until the next power cut. Raises ProtocolError(local)."""
    return Command(TYPE_WRITE, zone, data, checked).to_bytes()


def trigger(*, checked: bool = True) -> bytes:
    """Start one reading."""
    return write_zone(ZONE_TRIGGER, b"\x01", checked=checked)


def save() -> bytes:
    """Keep the settings over a power cut."""
    return Command(TYPE_SAVE, 0, b"\x00").to_bytes()


def heartbeat() -> bytes:
    """Ask whether the module lives."""
    return Command(TYPE_HEARTBEAT, 0, b"\x00").to_bytes()


def set_baud(baud: int) -> bytes:
    """Change the speed of the line. Raises ProtocolError(local) for a speed that the module does not have."""
    if baud not in _BAUDS:
        raise ProtocolError(f"baud {baud}: the module has {_BAUDS}", side="local")
    return write_zone(ZONE_BAUD, _divisor(baud).to_bytes(2, "little"))


def read_baud() -> bytes:
    """Ask for the speed zone, two bytes."""
    return read_zone(ZONE_BAUD, 2)


def baud_of(zone: bytes) -> int:
    """What the two bytes of the speed zone mean, bits a second. Raises ProtocolError(remote) for no known speed."""
    for baud in _BAUDS:
        if zone == _divisor(baud).to_bytes(2, "little"):
            return baud
    raise ProtocolError("the speed zone holds no speed of this module")


def cut_command(front: bytes) -> tuple[Command, int] | Verdict:
    """See `Finder`: a command at the front, at most LONGEST_COMMAND bytes."""
    if not front.startswith(_HEAD[: len(front)]) or (len(front) > 2 and front[2] not in _TYPES):
        return Verdict.NOISE
    if len(front) < 4:
        return Verdict.MORE
    if not front[3]:
        return Verdict.NOISE
    size = 8 + front[3]
    if len(front) < size:
        return Verdict.MORE
    try:
        return Command.from_bytes(front[:size]), size
    except ProtocolError:
        return Verdict.BAD_SUM


def cut_reply(front: bytes) -> tuple[Reply, int] | Verdict:
    """See `Finder`: a reply at the front, at most LONGEST_REPLY bytes."""
    if front[0] not in _REPLY_HEADS or (len(front) > 1 and front[1] != 0):
        return Verdict.NOISE
    if len(front) < 4:
        return Verdict.MORE
    if not 1 <= front[3] <= MAX_ASKED_BYTES:
        return Verdict.NOISE
    size = 6 + front[3]
    if len(front) < size:
        return Verdict.MORE
    try:
        return Reply.from_bytes(front[:size]), size
    except ProtocolError:
        return Verdict.BAD_SUM


def _divisor(baud: int) -> int:
    return (2 * _BAUD_CLOCK + baud) // (2 * baud)  # rounded half up
