"""A serial port as a `Link`: pyserial opens and configures it, the event loop watches it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import termios

import serial

from device_drivers.bus import Link
from device_drivers.errors import MisconfiguredError, UnavailableError

READ_BYTES = 4096  # one read of the port
MAX_BUFFERED_BYTES = 16384  # received and not yet taken; beyond it the oldest are dropped and counted
MAX_FLUSH_READS = 16  # a port that floods us faster than we read must not hold the event loop

_BUSY = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EBUSY}
_DENIED = {errno.EACCES, errno.EPERM}
_NOT_A_PORT = {errno.ENOTTY, errno.EINVAL, errno.EISDIR}


class SerialLink:
    """One open serial port, owned by one reader."""

    def __init__(self, port: serial.Serial) -> None:
        self._dropped_bytes = 0
        self._port = port
        self._fd: int = port.fileno()
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
        # What has not left yet must not act after everybody was told that the port is closed.
        with contextlib.suppress(OSError, termios.error, serial.SerialException):
            self._port.reset_output_buffer()
        # A port that was pulled out may refuse even to be closed; the descriptor is gone all the same.
        with contextlib.suppress(OSError, termios.error):
            self._port.close()

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
            self._lost = f"{self._port.port}: {reason}"
            self._loop.remove_reader(self._fd)
        self._rouse()

    def _rouse(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _check(self) -> None:
        if self._lost is not None:
            raise UnavailableError(self._lost)


async def open_serial(port: str, baud: int) -> Link:
    """Open `port` alone, raw, 8N1, `baud` bits a second.

    Raises UnavailableError if it is missing or in use, MisconfiguredError if it can never work as described.
    """
    try:
        # An inter-byte time-out makes pyserial set VMIN to 1. With 0 an empty line and a pulled cable read alike.
        return SerialLink(serial.Serial(port, baud, timeout=0, write_timeout=0, inter_byte_timeout=0, exclusive=True))
    except ValueError as error:
        raise MisconfiguredError(f"{port}: {error}") from None
    except (OSError, termios.error) as error:
        raise _why(port, error) from None


def _why(port: str, error: OSError | termios.error) -> UnavailableError | MisconfiguredError:
    """The error of opening a port, told to whoever must act."""
    code = _errno(error)
    if code in _DENIED:
        return MisconfiguredError(f"{port}: no permission; is the user in the group that owns the port?")
    if code in _NOT_A_PORT:
        return MisconfiguredError(f"{port}: is not a serial port")
    if code in _BUSY:
        return UnavailableError(f"{port}: is in use by another program")
    if code == errno.ENOENT:
        return UnavailableError(f"{port}: is not there; is the cable plugged in?")
    return UnavailableError(f"{port}: cannot be opened ({os.strerror(code) if code else error})")


def _errno(error: BaseException) -> int | None:
    """pyserial hides the cause of some failures: look behind its own exception."""
    code = getattr(error, "errno", None)
    if code is None and isinstance(error, termios.error):
        code = error.args[0]
    if code is None and error.__context__ is not None:
        return _errno(error.__context__)
    return code
