"""Devices as a second protocol class plays them, and lines that treat their bytes badly.

The twins are written from the tables of the protocols, with their own check sums: a mistake shared with a codec
would hide itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from simulators.conformance.lines import (
    Delivery,
    delayed,
    echoing,
    echoing_in_one_piece,
    lossy,
    noisy,
    one_byte,
    perfect,
)
from simulators.conformance.memory_link import MemoryLink, bus_on

__all__ = ["LINES", "LockTwin", "ScaleTwin", "Twin", "Wire", "bus_on", "modbus_crc"]


class Twin:
    """A device: bytes in, bytes out."""

    def receive(self, data: bytes) -> bytes:
        raise AssertionError("a twin must say what it answers")


def coalesced(reply: bytes, sent: bytes, rng: random.Random) -> list[Delivery]:
    """Leftovers of an earlier talk, the reply and a hint of the board arrive as one piece."""
    return [(0.01, b"\x81\x01\x01\x11\x90" + reply + b"\x81\x01\x01\x00\x81")]


LINES = (perfect, one_byte, lossy, delayed, coalesced, noisy, echoing, echoing_in_one_piece)


Wire = MemoryLink


class LockTwin(Twin):
    """An 8A/80 board of 24 locks. `polarity` as in the description of the real one."""

    def __init__(self, board: int = 1, polarity: str = "locked_short") -> None:
        self.board = board
        self.polarity = polarity
        self.door_open: set[int] = set()
        self.stuck: set[int] = set()
        self.silent = False
        self.pulses: list[tuple[float, int]] = []

    def receive(self, data: bytes) -> bytes:
        if len(data) != 5 or data[0] ^ data[1] ^ data[2] ^ data[3] != data[4] or data[1] != self.board or self.silent:
            return b""
        head, _, lock, func = data[:4]
        if (head, func) == (0x8A, 0x11):
            self.pulses.append((asyncio.get_running_loop().time(), lock))
            if lock not in self.stuck:
                self.door_open.add(lock)
        elif (head, func) != (0x80, 0x33):
            return b""
        locked = lock not in self.door_open
        state = 0x11 if locked == (self.polarity == "locked_short") else 0x00
        return bytes((head, self.board, lock, state, head ^ self.board ^ lock ^ state))


def modbus_crc(data: bytes) -> bytes:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc, out = crc >> 1, crc & 1
            if out:
                crc ^= 0xA001
    return bytes((crc & 0xFF, crc >> 8))


class ScaleTwin(Twin):
    """A weight transmitter."""

    def __init__(self, address: int = 1, *, raw: int = 0, status: int = 0x0001) -> None:
        self.address = address
        self.raw = raw
        self.status = status
        self.silent = False
        self.exception = 0
        self.before_reply: Callable[[ScaleTwin, bytes], None] | None = None

    def receive(self, data: bytes) -> bytes:
        if self.silent or len(data) < 8 or data[0] != self.address or modbus_crc(data[:-2]) != data[-2:]:
            return b""
        body = self._body(data)
        reply = bytes((self.address,)) + body
        return reply + modbus_crc(reply)

    def _body(self, data: bytes) -> bytes:
        if self.exception:
            return bytes((data[1] | 0x80, self.exception))
        if data[1:6] == b"\x03\x00\x08\x00\x01":
            return b"\x03\x02" + self.status.to_bytes(2, "big")
        if data[1:6] == b"\x03\x00\x50\x00\x02":
            return b"\x03\x04" + self.raw.to_bytes(4, "big", signed=True)
        if data[1:9] == b"\x10\x00\x08\x00\x01\x02\x00\x00":
            self.status &= ~0x10
            return data[1:6]
        return bytes((data[1] | 0x80, 2))
