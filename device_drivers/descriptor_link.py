"""A file descriptor as a `Link`: the event loop watches it, what nobody takes is dropped beyond a cap."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod

from device_drivers.errors import UnavailableError

READ_BYTES = 4096  # one read of the port
MAX_BUFFERED_BYTES = 16384  # received and not yet taken; beyond it the oldest are dropped and counted
MAX_FLUSH_READS = 16  # a port that floods us faster than we read must not hold the event loop


class DescriptorLink(ABC):
    """One open, non-blocking descriptor, owned by one reader. `name` stands in every error."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._dropped_bytes = 0
        self._fd = descriptor
        self._name = name
        self._buffer = bytearray()
        self._reader: asyncio.Future[None] | None = None
        self._lost: str | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._readable)

    @property
    def dropped_bytes(self) -> int:
        """Bytes beyond `MAX_BUFFERED_BYTES` that nobody had taken."""
        return self._dropped_bytes

    async def read(self) -> bytes:
        """At least one byte. Raises UnavailableError once the port is gone and all bytes before that were taken."""
        while not self._buffer:
            self._check()
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._take()

    def flush(self) -> bytes:
        """Everything received so far, also what the event loop has not seen yet. Raises UnavailableError."""
        self._check()
        for _ in range(MAX_FLUSH_READS):
            if not self._receive():
                break
        self._check()
        return self._take()

    def write(self, data: bytes) -> None:
        """Hand all bytes to the operating system. Raises UnavailableError; a part may have left then."""
        self._check()
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            self._lose(f"write failed: {error.strerror}")
        else:
            if written != len(data):
                self._lose(f"the port took {written} of {len(data)} bytes")
        self._check()

    def close(self) -> None:
        """Give the port back; a pending `read` raises UnavailableError."""
        if self._closed:
            return
        self._closed = True
        self._lose("closed")
        self._give_back()

    @abstractmethod
    def _give_back(self) -> None:
        """Close what stands behind the descriptor; never raises."""

    def _readable(self) -> None:
        self._receive()
        self._rouse()

    def _receive(self) -> bool:
        """Read once without waiting: True if bytes came."""
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._lose(f"read failed: {error.strerror}")
            return False
        if not data:
            self._lose("hung up")
            return False
        self._buffer += data
        excess = len(self._buffer) - MAX_BUFFERED_BYTES
        if excess > 0:
            del self._buffer[:excess]
            self._dropped_bytes += excess
        return True

    def _take(self) -> bytes:
        data = bytes(self._buffer)
        self._buffer[:] = bytes(len(data))  # a reader of identity documents shares this code: leave nothing behind
        self._buffer.clear()
        return data

    def _lose(self, reason: str) -> None:
        if self._lost is None:
            self._lost = f"{self._name}: {reason}"
            self._loop.remove_reader(self._fd)
        self._rouse()

    def _rouse(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _check(self) -> None:
        if self._lost is not None:
            raise UnavailableError(self._lost)
