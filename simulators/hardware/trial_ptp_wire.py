"""The bytes of PTP/1 as the simulated trial unit reads and writes them: written from its tables, with no codec."""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass

RESP, EVENT, RETRY = 1, 2, 8
TO_ALL = 0xFF
LONGEST = 260
TOKEN = struct.Struct(">B8sIBBIIHB16s")
_HEAD = struct.Struct(">BBHBBB")


def crc(data: bytes) -> int:
    """Bit by bit: polynomial 1021, begun with FFFF, nothing turned round."""
    value = 0xFFFF
    for byte in data:
        for place in range(7, -1, -1):
            top = (value >> 15) ^ (byte >> place & 1)
            value = (value << 1 & 0xFFFF) ^ (0x1021 if top else 0)
    return value


def stuffed(frame: bytes) -> bytes:
    """Between two zeros, each zero inside turned into the distance to the next. For less than 254 bytes."""
    out, mark = bytearray([0]), 0
    for byte in frame:
        if byte == 0:
            out[mark], mark = len(out) - mark, len(out)
        out.append(byte)
    out[mark] = len(out) - mark
    return b"\0" + bytes(out) + b"\0"


def unstuffed(piece: bytes) -> bytes:
    """The frame of the bytes between two zeros, or nothing if they are none."""
    out, at = bytearray(piece), 0
    while at < len(out):
        step, out[at] = out[at], 0
        at += step
    return bytes(out[1:]) if at == len(out) else b""


def frame_of(*, flags: int, address: int, sequence: int, command: int, status: int, payload: bytes) -> bytes:
    """A frame on the wire."""
    body = _HEAD.pack(0x10 | flags, address, sequence, command, status, len(payload)) + payload
    return stuffed(body + struct.pack(">H", crc(body)))


@dataclass(frozen=True, slots=True)
class Request:
    """What a host asked."""

    version: int
    flags: int
    address: int
    sequence: int
    command: int
    payload: bytes
    whole: bool  # its length is the payload's

    @classmethod
    def of(cls, frame: bytes) -> Request:
        """Takes a frame with a right check sum apart."""
        first, address, sequence, command, _status, length = _HEAD.unpack(frame[: _HEAD.size])
        payload = frame[_HEAD.size : -2]
        return cls(first >> 4, first & 15, address, sequence, command, payload, length == len(payload))


def sound(frame: bytes) -> bool:
    """Long enough, and its check sum is right."""
    return len(frame) >= _HEAD.size + 2 and crc(frame[:-2]) == struct.unpack(">H", frame[-2:])[0]


@dataclass(frozen=True, slots=True)
class Permit:
    """A token taken apart."""

    version: int
    nonce: bytes
    session: int
    method: int
    min_age: int
    staff: int
    issued_s: int
    life_s: int
    puffs: int
    mac: bytes


def permit_of(token: bytes) -> Permit:
    """The fields of 42 bytes."""
    return Permit(*TOKEN.unpack(token))


def vouched(token: bytes, address: int, key: bytes) -> bool:
    """Whether the key made this token for this address; compared in constant time."""
    made = hmac.new(key, bytes([address]) + token[:26], hashlib.sha256).digest()[:16]
    return hmac.compare_digest(made, token[26:])


def renumbered(reply: bytes) -> bytes:
    """The same frames as if the next address had sent them."""
    out = b""
    for piece in reply.split(b"\0"):
        if piece:
            frame = unstuffed(piece)
            body = bytes([frame[0], frame[1] % 0xF7 + 1]) + frame[2:-2]
            out += stuffed(body + struct.pack(">H", crc(body)))
    return out
