"""A serial port that keeps no copy of what came through it: one buffer, and pieces that are zeroed after their use.

An immutable copy cannot be zeroed, and freed memory keeps its content until something else is written there.
"""

from __future__ import annotations

import asyncio
import os
from typing import cast

from device_drivers.descriptor_link import MAX_BUFFERED_BYTES, MAX_FLUSH_READS
from device_drivers.errors import MisconfiguredError
from device_drivers.exchange import Link
from device_drivers.serial_link import SerialLink, open_serial


class PrivateSerialLink(SerialLink):
    """What `read` and `flush` hand out is zero at the next call of any kind: a bus uses it up at once."""

    def __init__(self, port: SerialLink) -> None:
        """Take over an open port that nobody has read from; `port` is not used any more."""
        self._held = memoryview(bytearray(MAX_BUFFERED_BYTES))
        self._filled = 0
        self._lent = bytearray()
        port._loop.remove_reader(port._fd)  # noqa: SLF001  # the same class, and the same port
        super().__init__(port._port)  # noqa: SLF001  # the same

    async def read(self) -> bytes:
        """At least one byte. Raises UnavailableError once the port is gone and all bytes before that were taken."""
        self._take_back()
        while not self._filled:
            self._check()
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._take()

    def flush(self) -> bytes:
        """Everything received so far, also what the event loop has not seen yet. Raises UnavailableError."""
        self._take_back()
        self._check()
        for _ in range(MAX_FLUSH_READS):
            if not self._receive():
                break
        self._check()
        return self._take()

    def write(self, data: bytes) -> None:
        """Hand all bytes to the operating system. Raises UnavailableError; a part may have left then."""
        self._take_back()
        super().write(data)

    def close(self) -> None:
        """Give the port back and keep nothing of what was received."""
        self._take_back()
        self._forget()
        super().close()

    def _receive(self) -> bool:
        """Read once without waiting, straight into the buffer: True if bytes came."""
        if self._filled == len(self._held):
            self._dropped_bytes += self._filled
            self._forget()
        try:
            count = os.readv(self._fd, [self._held[self._filled :]])
        except BlockingIOError:
            return False
        except OSError as error:
            self._lose(f"read failed: {error.strerror}")
            return False
        if not count:
            self._lose("hung up")
            return False
        self._filled += count
        return True

    def _take(self) -> bytes:
        self._lent = bytearray(self._held[: self._filled])
        self._forget()
        return cast("bytes", self._lent)  # read like bytes by everybody who gets it, and can be zeroed

    def _take_back(self) -> None:
        self._lent[:] = bytes(len(self._lent))
        self._lent = bytearray()

    def _forget(self) -> None:
        self._held[: self._filled] = bytes(self._filled)
        self._filled = 0


async def open_private(port: str, baud: int) -> Link:
    """Open `port` for a device that tells of persons. Raises UnavailableError, MisconfiguredError."""
    return private(await open_serial(port, baud))


def private(link: Link) -> Link:
    """The same open link, which keeps no copy.

    Raises MisconfiguredError for anything but a port of this machine: on a network others may listen.
    """
    if not isinstance(link, SerialLink):
        link.close()
        raise MisconfiguredError("a reader of identity cards must be on a serial port of this machine")
    return PrivateSerialLink(link)
