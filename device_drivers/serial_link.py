"""A serial port as a `Link`: pyserial opens and configures it, the event loop watches it."""

from __future__ import annotations

import contextlib
import errno
import os
import termios
from typing import Literal

import serial

from device_drivers.bus import Link
from device_drivers.descriptor_link import DescriptorLink
from device_drivers.errors import MisconfiguredError, UnavailableError

Parity = Literal["N", "E", "O"]

_BUSY = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EBUSY}
_DENIED = {errno.EACCES, errno.EPERM}
_NOT_A_PORT = {errno.ENOTTY, errno.EINVAL, errno.EISDIR}


class SerialLink(DescriptorLink):
    """One open serial port, owned by one reader."""

    def __init__(self, port: serial.Serial) -> None:
        self._port = port
        super().__init__(port.fileno(), str(port.port))

    def _give_back(self) -> None:
        # What has not left yet must not act after everybody was told that the port is closed.
        with contextlib.suppress(OSError, termios.error, serial.SerialException):
            self._port.reset_output_buffer()
        # A port that was pulled out may refuse even to be closed; the descriptor is gone all the same.
        with contextlib.suppress(OSError, termios.error):
            self._port.close()


async def open_serial(port: str, baud: int, *, parity: Parity = "N", stop_bits: int = 1) -> Link:
    """Open `port` alone, raw, eight data bits, `baud` bits a second.

    Raises UnavailableError if it is missing or in use, MisconfiguredError if it can never work as described.
    """
    try:
        # An inter-byte time-out makes pyserial set VMIN to 1. With 0 an empty line and a pulled cable read alike.
        return SerialLink(
            serial.Serial(
                port,
                baud,
                parity=parity,
                stopbits=stop_bits,
                timeout=0,
                write_timeout=0,
                inter_byte_timeout=0,
                exclusive=True,
            )
        )
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
