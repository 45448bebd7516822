"""A `Link` in memory with devices at its other end, and a bus on it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Literal, Protocol

from device_drivers.bus import Bus
from device_drivers.errors import UnavailableError
from device_drivers.faults import FaultKind
from simulators.conformance.lines import ECHOING, Line, perfect
from simulators.hardware.device import Device


class Peer(Protocol):
    """A device: what it answers to what the host wrote, or nothing."""

    def receive(self, data: bytes) -> bytes:
        """Act on the bytes of one write."""


class DevicePeer:
    """A simulated device of `simulators.hardware` as a `Peer`."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def receive(self, data: bytes) -> bytes:
        """See `Peer.receive`."""
        now_s = asyncio.get_running_loop().time()
        return b"".join(self.device.answer(frame, now_s) for frame in self.device.split(data, now_s))


class MemoryLink:
    """One open line. `sent` holds each write with its loop time; `unplug_on` names the call that loses the port."""

    def __init__(self, *peers: Peer, line: Line = perfect, seed: int = 0) -> None:
        self.sent: list[tuple[float, bytes]] = []
        self.closed = False
        self.dropped_bytes = 0
        self.unplug_on: Literal["", "read", "write", "flush"] = ""
        self._peers = peers
        self._line = line
        self._rng = Random(seed)
        self._arrived: deque[bytes] = deque()
        self._change = asyncio.Event()
        self._lost = False
        self._due_s = 0.0

    @property
    def frames(self) -> list[bytes]:
        """What was written, in order."""
        return [frame for _, frame in self.sent]

    def deliver(self, data: bytes) -> None:
        """Bytes that arrive now."""
        if data:
            self._arrived.append(data)
            self._change.set()

    def unplug(self) -> None:
        """The port is gone."""
        self._lost = True
        self._change.set()

    async def read(self) -> bytes:
        """See `Link.read`."""
        self._may_go("read")
        while not self._arrived:
            self._check()
            self._change.clear()
            await self._change.wait()
        return self._arrived.popleft()

    def flush(self) -> bytes:
        """See `Link.flush`."""
        self._may_go("flush")
        self._check()
        data = b"".join(self._arrived)
        self._arrived.clear()
        return data

    def write(self, data: bytes) -> None:
        """See `Link.write`."""
        self._may_go("write")
        self._check()
        loop = asyncio.get_running_loop()
        self.sent.append((loop.time(), data))
        answered = False
        for peer in self._peers:
            if reply := peer.receive(data):
                answered = True
                for delay_s, piece in self._line(reply, data, self._rng):
                    # A line is a queue: a slow reply holds up the ones behind it.
                    self._due_s = max(self._due_s + 1e-6, loop.time() + delay_s)
                    loop.call_at(self._due_s, self.deliver, piece)
        if not answered and self._line in ECHOING:
            loop.call_later(0.001, self.deliver, data)

    def close(self) -> None:
        """See `Link.close`."""
        self.closed = True

    def _may_go(self, call: str) -> None:
        if self.unplug_on == call:
            self.unplug()

    def _check(self) -> None:
        if self._lost:
            raise UnavailableError("the cable is out")


@asynccontextmanager
async def bus_on(
    link: MemoryLink, faults: list[tuple[FaultKind, str]] | None = None, *, gap_s: float = 0.005
) -> AsyncIterator[Bus]:
    """A running bus on a line."""
    heard = faults if faults is not None else []

    async def open_link() -> MemoryLink:
        return link

    bus = Bus(name="test", open_link=open_link, on_fault=lambda kind, detail: heard.append((kind, detail)), gap_s=gap_s)
    owner = asyncio.create_task(bus.run(), name="bus")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    try:
        yield bus
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
