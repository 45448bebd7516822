"""Devices as a second protocol class plays them, and lines that treat their bytes badly.

The twins are written from the tables of the protocols, with their own check sums: a mistake shared with a codec
would hide itself.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from device_drivers.bus import Bus
from device_drivers.errors import UnavailableError

Delivery = tuple[float, bytes]  # seconds after the write, bytes


class Twin:
    """A device: bytes in, bytes out."""

    def receive(self, data: bytes) -> bytes:
        raise AssertionError("a twin must say what it answers")


def perfect(reply: bytes, sent: bytes, rng: random.Random) -> list[Delivery]:
    return [(0.002, reply)]


def one_byte(reply: bytes, sent: bytes, rng: random.Random) -> list[Delivery]:
    return [(0.002 + 0.001 * i, reply[i : i + 1]) for i in range(len(reply))]


def lossy(reply: bytes, sent: bytes, rng: random.Random) -> list[Delivery]:
    """One reply in five loses a byte or all of them."""
    if rng.random() >= 0.2:
        return [(0.002, reply)]
    if rng.random() < 0.5:
        return []
    hole = rng.randrange(len(reply))
    return [(0.002, reply[:hole] + reply[hole + 1 :])]


def delayed(reply: bytes, sent: bytes, rng: random.Random) -> list[Delivery]:
    """Most replies are slow, some come after the time-out."""
    return [(rng.choice((0.01, 0.05, 0.15, 0.6)), reply)]


def coalesced(reply: bytes, sent: bytes, rng: random.Random) -> list[Delivery]:
    """Leftovers of an earlier talk, the reply and a hint of the board arrive as one piece."""
    return [(0.01, b"\x81\x01\x01\x11\x90" + reply + b"\x81\x01\x01\x00\x81")]


def noisy(reply: bytes, sent: bytes, rng: random.Random) -> list[Delivery]:
    return [(0.002, rng.randbytes(rng.randrange(4)) + reply + rng.randbytes(rng.randrange(4)))]


def echoing(reply: bytes, sent: bytes, rng: random.Random) -> list[Delivery]:
    return [(0.001, sent), (0.002, reply)]


def echoing_in_one_piece(reply: bytes, sent: bytes, rng: random.Random) -> list[Delivery]:
    return [(0.001, sent + reply)]


LINES = (perfect, one_byte, lossy, delayed, coalesced, noisy, echoing, echoing_in_one_piece)


class Wire:
    """A `Link` in memory with one or more twins at its end."""

    def __init__(self, *twins: Twin, line=perfect, seed: int = 0) -> None:
        self.sent: list[tuple[float, bytes]] = []
        self.closed = False
        self.dropped_bytes = 0
        self.unplug_on: str = ""  # "write" or "flush": the port disappears in that call
        self._twins = twins
        self._line = line
        self._rng = random.Random(seed)
        self._arrived: deque[bytes] = deque()
        self._change = asyncio.Event()
        self._lost = False
        self._due_s = 0.0

    @property
    def frames(self) -> list[bytes]:
        return [frame for _, frame in self.sent]

    def deliver(self, data: bytes) -> None:
        if data:
            self._arrived.append(data)
            self._change.set()

    def unplug(self) -> None:
        self._lost = True
        self._change.set()

    async def read(self) -> bytes:
        while not self._arrived:
            self._check()
            self._change.clear()
            await self._change.wait()
        return self._arrived.popleft()

    def flush(self) -> bytes:
        if self.unplug_on == "flush":
            self.unplug()
        self._check()
        data = b"".join(self._arrived)
        self._arrived.clear()
        return data

    def write(self, data: bytes) -> None:
        if self.unplug_on == "write":
            self.unplug()
        self._check()
        loop = asyncio.get_running_loop()
        self.sent.append((loop.time(), data))
        answered = False
        for twin in self._twins:
            reply = twin.receive(data)
            if reply:
                answered = True
                for delay_s, piece in self._line(reply, data, self._rng):
                    # A line is a queue: a slow reply holds up the ones behind it.
                    self._due_s = max(self._due_s + 1e-6, loop.time() + delay_s)
                    loop.call_at(self._due_s, self.deliver, piece)
        if not answered and self._line in (echoing, echoing_in_one_piece):
            loop.call_later(0.001, self.deliver, data)

    def close(self) -> None:
        self.closed = True

    def _check(self) -> None:
        if self._lost:
            raise UnavailableError("the cable is out")


@asynccontextmanager
async def bus_on(
    wire: Wire, faults: list[tuple[str, str]] | None = None, *, gap_s: float = 0.005
) -> AsyncIterator[Bus]:
    """A running bus on a wire."""
    heard = faults if faults is not None else []

    async def open_link() -> Wire:
        return wire

    bus = Bus(name="test", open_link=open_link, on_fault=lambda kind, detail: heard.append((kind, detail)), gap_s=gap_s)
    owner = asyncio.create_task(bus.run(), name="test bus")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    try:
        yield bus
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)


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
