"""A serial server that also sets the speed (RFC 2217), as a `Link`: pyserial speaks Telnet, a thread reads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import serial
from serial import rfc2217

from device_drivers.descriptor_link import MAX_BUFFERED_BYTES
from device_drivers.errors import UnavailableError
from device_drivers.exchange import Link
from device_drivers.serial_link import Parity

READ_WITHIN_S = 0.2  # how long the thread sleeps in one read, and closing takes at most
OPEN_WITHIN_S = 5.0


class Rfc2217Link:
    """One connection. Bytes come over from the thread in order; the port itself is written from the loop."""

    def __init__(self, port: Any, name: str) -> None:
        self._port, self._name = port, name
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._dropped_bytes = 0
        self._change = asyncio.Event()
        self._lost: str | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="rfc2217", daemon=True)
        self._thread.start()

    @property
    def dropped_bytes(self) -> int:
        """See `Link.dropped_bytes`."""
        return self._dropped_bytes

    async def read(self) -> bytes:
        """See `Link.read`."""
        while not self._buffer:
            self._check()
            self._change.clear()
            await self._change.wait()
        return self._take()

    def flush(self) -> bytes:
        """See `Link.flush`; what the thread has not handed over yet comes later, as on any network."""
        self._check()
        return self._take()

    def write(self, data: bytes) -> None:
        """See `Link.write`."""
        self._check()
        try:
            self._port.write(data)
        except (OSError, serial.SerialException) as error:
            self._lose(f"write failed: {error}")
        self._check()

    def close(self) -> None:
        """See `Link.close`."""
        self._lose("closed")
        self._closing.set()

    def _listen(self) -> None:
        """In the thread: hand bytes to the loop until the port is gone or closed."""
        reason = "closed"
        try:
            while not self._closing.is_set():
                data = self._port.read(max(1, self._port.in_waiting))
                if data:
                    self._tell(self._arrived, data)
        except (OSError, serial.SerialException) as error:
            reason = f"read failed: {error}"
        finally:
            with contextlib.suppress(OSError, serial.SerialException):
                self._port.close()
            self._tell(self._lose, reason)

    def _tell(self, function: Any, value: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before us
            self._loop.call_soon_threadsafe(function, value)

    def _arrived(self, data: bytes) -> None:
        self._buffer += data
        excess = len(self._buffer) - MAX_BUFFERED_BYTES
        if excess > 0:
            del self._buffer[:excess]
            self._dropped_bytes += excess
        self._change.set()

    def _take(self) -> bytes:
        data = bytes(self._buffer)
        self._buffer[:] = bytes(len(data))
        self._buffer.clear()
        return data

    def _lose(self, reason: str) -> None:
        self._lost = self._lost or f"{self._name}: {reason}"
        self._change.set()

    def _check(self) -> None:
        if self._lost is not None:
            raise UnavailableError(self._lost)


async def open_rfc2217(host: str, port: int, baud: int, *, parity: Parity = "N", stop_bits: int = 1) -> Link:
    """Connect and set the line. Raises UnavailableError if nobody answers or the server does not speak RFC 2217."""
    name = f"rfc2217://{host}:{port}"

    left = threading.Event()
    made: list[Any] = []  # the open port, until somebody has it

    def connect() -> Any:
        opened = rfc2217.Serial()
        opened.baudrate, opened.parity, opened.stopbits, opened.timeout = baud, parity, stop_bits, READ_WITHIN_S
        opened.port = f"{name}?timeout={OPEN_WITHIN_S:g}"
        opened.open()
        made.append(opened)
        if left.is_set():
            _hang_up(made)
        return opened

    try:
        return Rfc2217Link(await asyncio.to_thread(connect), name)
    except asyncio.CancelledError:
        # A thread that connects cannot be cancelled, and its connection would keep everybody else out of the server.
        left.set()
        threading.Thread(target=_hang_up, args=(made,), name="rfc2217 hangs up", daemon=True).start()
        raise
    except (OSError, ValueError, serial.SerialException) as error:
        raise UnavailableError(f"{name}: cannot be opened ({error})") from None


def _hang_up(made: list[Any]) -> None:
    """In a thread, for closing waits: close the port that nobody wants, once, whoever comes first."""
    with contextlib.suppress(IndexError, OSError, serial.SerialException):
        made.pop().close()
