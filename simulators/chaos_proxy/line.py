"""One direction of all connections with its faults of the moment, and one connection made of two directions."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from typing import Literal

from contracts.clock import Clock

CHUNK_BYTES = 16 * 1024
CHUNKS_UNDER_WAY = 64  # of one direction of one connection: what a network holds; then its sender waits
_SLICE_BYTES = 1024  # a throttled line passes on so much at a time
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Line:
    """The faults of one direction. Each `with` adds one; of several the worst counts."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._stalls = 0
        self._swallows = 0
        self._delays_s: list[float] = []
        self._rates: list[int] = []
        self._open = asyncio.Event()
        self._open.set()

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing passes meanwhile."""
        self._stalls += 1
        self._open.clear()
        try:
            yield
        finally:
            self._stalls -= 1
            if not self._stalls:
                self._open.set()

    @contextlib.contextmanager
    def swallowing(self) -> Iterator[None]:
        """What comes is lost meanwhile."""
        self._swallows += 1
        try:
            yield
        finally:
            self._swallows -= 1

    @contextlib.contextmanager
    def slowed(self, delay_s: float) -> Iterator[None]:
        """What comes meanwhile arrives so much later, in order."""
        self._delays_s.append(delay_s)
        try:
            yield
        finally:
            self._delays_s.remove(delay_s)

    @contextlib.contextmanager
    def throttled(self, bytes_s: int) -> Iterator[None]:
        """No connection passes more than this a second meanwhile."""
        self._rates.append(bytes_s)
        try:
            yield
        finally:
            self._rates.remove(bytes_s)

    @property
    def swallows(self) -> bool:
        return self._swallows > 0

    def due_s(self) -> float:
        """When a byte that comes now may go on, by the clock."""
        return self.clock.now_s() + max(self._delays_s, default=0.0)

    async def gate(self) -> None:
        """Return when bytes may pass."""
        await self._open.wait()

    async def pace(self, size_bytes: int) -> None:
        """Wait as long as this many bytes take on a throttled line."""
        if self._rates:
            await self.clock.sleep(size_bytes / min(self._rates))

    def slice_bytes(self, whole: int) -> int:
        """How much of a chunk goes on at once."""
        return min(whole, _SLICE_BYTES) if self._rates else whole


class Pair:
    """One connection of a client, and ours to the server for it."""

    def __init__(self, *, client: Stream, server: Stream, up: Line, down: Line, counters: Counter[str]) -> None:
        self._client = client
        self._server = server
        self._up = up
        self._down = down
        self._counters = counters
        self._orphaned = False
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Carry bytes until one end is gone, an orphan until it is cut."""
        try:
            async with asyncio.TaskGroup() as tasks:
                both = [
                    tasks.create_task(self._carry(self._client[0], self._server[1], self._up, "bytes_up"), name="up"),
                    tasks.create_task(
                        self._carry(self._server[0], self._client[1], self._down, "bytes_down"), name="down"
                    ),
                ]
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if self._orphaned:
                    await self._ended.wait()
                for task in both:
                    task.cancel()
        finally:
            for _, writer in (self._client, self._server):
                writer.close()

    def cut(self) -> None:
        """Reset both ends."""
        self._ended.set()
        for _, writer in (self._client, self._server):
            reset(writer)

    def orphan(self, *, keep: Literal["client", "server"]) -> None:
        """Reset one end; the other is kept, and told nothing, until `cut`."""
        self._orphaned = True
        reset((self._server if keep == "client" else self._client)[1])

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: Line, name: str) -> None:
        """One direction, until its sender is done or one of the ends is gone."""
        under_way: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue(CHUNKS_UNDER_WAY)
        reading = asyncio.create_task(self._read(reader, line, under_way), name=f"chaos-{name}")
        try:
            while (item := await under_way.get()) is not None:
                due_s, chunk = item
                if (wait_s := due_s - line.clock.now_s()) > 0:
                    await line.clock.sleep(wait_s)
                await self._write(writer, line, chunk, name)
        except (OSError, RuntimeError):  # RuntimeError: the transport was reset under us
            pass
        finally:
            reading.cancel()

    async def _read(
        self, reader: asyncio.StreamReader, line: Line, under_way: asyncio.Queue[tuple[float, bytes] | None]
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await under_way.put((line.due_s(), chunk))
        await under_way.put(None)

    async def _write(self, writer: asyncio.StreamWriter, line: Line, chunk: bytes, name: str) -> None:
        while chunk:
            await line.gate()
            size = line.slice_bytes(len(chunk))
            piece, chunk = chunk[:size], chunk[size:]
            if line.swallows:
                self._counters["bytes_swallowed"] += len(piece)
                continue
            self._counters[name] += len(piece)
            writer.write(piece)
            await writer.drain()
            await line.pace(len(piece))


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection at once, as a machine does that knows nothing of it: with a reset, not a farewell."""
    link: socket.socket | None = writer.get_extra_info("socket")
    if link is not None and link.fileno() >= 0:
        with contextlib.suppress(OSError):
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
