"""Configuration frames of the GM65 family: 7E 00 TYPE LEN ADDR-high ADDR-low DATA CRC-high CRC-low.

The CRC is CRC-16/XMODEM over TYPE up to the last data byte. `AB CD` in its place means "unchecked".
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import Literal

from device_drivers.errors import ProtocolError

TYPE_READ = 0x07
TYPE_WRITE = 0x08
TYPE_SAVE = 0x09
TYPE_HEARTBEAT = 0x0A

ZONE_TRIGGER = 0x0002
ZONE_BAUD = 0x002A

UNCHECKED = b"\xab\xcd"

_HEAD = b"\x7e\x00"
_REPLY_OK = 0x00
_BAUD_CLOCK = 3_000_000  # the module divides this clock; the divisor stands low byte first in its zone
_BAUDS = (1200, 4800, 9600, 14400, 19200, 38400, 57600, 115200)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the module answers. A heartbeat has a kind of its own."""

    kind: Literal["command", "heartbeat"]
    status: int
    data: bytes

    @property
    def ok(self) -> bool:
        return self.status == _REPLY_OK


def crc16(data: bytes) -> bytes:
    """CRC-16/XMODEM, high byte first."""
    return binascii.crc_hqx(data, 0).to_bytes(2, "big")


def trigger(*, checked: bool = True) -> bytes:
    """Start one reading."""
    return _frame(TYPE_WRITE, ZONE_TRIGGER, b"\x01", checked=checked)


def save() -> bytes:
    """Keep the settings over a power cut."""
    return _frame(TYPE_SAVE, 0, b"\x00")


def heartbeat() -> bytes:
    """Ask whether the module lives."""
    return _frame(TYPE_HEARTBEAT, 0, b"\x00")


def set_baud(baud: int) -> bytes:
    """Change the speed of the line. Raises ProtocolError(local) for a speed that the module does not have."""
    if baud not in _BAUDS:
        raise ProtocolError(f"baud {baud}: the module has {_BAUDS}", side="local")
    divisor = (2 * _BAUD_CLOCK + baud) // (2 * baud)  # rounded half up
    return _frame(TYPE_WRITE, ZONE_BAUD, divisor.to_bytes(2, "little"))


def read_baud() -> bytes:
    """Ask for the speed zone, two bytes."""
    return _frame(TYPE_READ, ZONE_BAUD, b"\x02")


def parse_reply(data: bytes) -> Reply:
    """One whole reply: HEAD 00 STATUS LEN DATA CRC. Raises ProtocolError(remote) for anything else."""
    if len(data) < 7 or data[1] != 0 or data[0] not in (0x02, 0x03):
        raise ProtocolError("not a reply of this module")
    length = data[3]
    if len(data) != 6 + length:
        raise ProtocolError("a reply of a wrong length")
    if crc16(data[2:-2]) != data[-2:]:
        raise ProtocolError("wrong CRC")
    return Reply("command" if data[0] == 0x02 else "heartbeat", data[2], data[4:-2])


def _frame(kind: int, zone: int, data: bytes, *, checked: bool = True) -> bytes:
    body = bytes((kind, len(data))) + zone.to_bytes(2, "big") + data
    return _HEAD + body + (crc16(body) if checked else UNCHECKED)
