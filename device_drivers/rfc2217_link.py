"""A serial server that also sets the speed (RFC 2217), as a `Link`: pyserial speaks Telnet, a thread reads."""

from __future__ import annotations

import asyncio
import contextlib
import socket
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
TURN_WITHIN_S = 0.05  # for pyserial's thread to end a word of Telnet that it is writing


class Rfc2217Link:
    """One connection. Bytes come over from the thread in order; what is written leaves at once, from the loop.

    pyserial's own `write` waits for the network, seconds long, and every other line with it. So the bytes go to its
    socket here, under its lock, by a descriptor that no other thread can close meanwhile.
    """

    def __init__(self, port: Any, name: str) -> None:
        self._port, self._name = port, name
        self._out: socket.socket = port._socket.dup()  # noqa: SLF001  # pyserial shows it nowhere
        self._out.setblocking(False)
        self._turn: threading.Lock = port._write_lock  # noqa: SLF001  # the same
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
        escaped = data.replace(rfc2217.IAC, rfc2217.IAC_DOUBLED)
        taken = 0
        if self._turn.acquire(timeout=TURN_WITHIN_S):
            try:
                taken = self._out.send(escaped)
            except BlockingIOError:
                pass
            except OSError as error:
                self._lose(f"write failed: {error.strerror}")
            finally:
                self._turn.release()
        if taken != len(escaped):
            self._lose(f"the server took {taken} of {len(escaped)} bytes")
        self._check()

    def close(self) -> None:
        """See `Link.close`."""
        self._lose("closed")
        self._closing.set()
        self._out.close()

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
        _hang_up_elsewhere(made)
        raise
    except (OSError, ValueError, serial.SerialException) as error:
        _hang_up_elsewhere(made)
        raise UnavailableError(f"{name}: cannot be opened ({error})") from None


def _hang_up_elsewhere(made: list[Any]) -> None:
    if made:
        threading.Thread(target=_hang_up, args=(made,), name="rfc2217 hangs up", daemon=True).start()


def _hang_up(made: list[Any]) -> None:
    """In a thread, for closing waits: close the port that nobody wants, once, whoever comes first."""
    with contextlib.suppress(IndexError, OSError, serial.SerialException):
        made.pop().close()
