"""Codes from other programs of this machine: a named pipe or any open descriptor, one code a line.

A code is UTF-8 of at most 512 bytes without control characters, ended by a line end; `SerialScanner` reads it.
"""

from __future__ import annotations

import errno
import os
import stat

from device_drivers.descriptor_link import DescriptorLink
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.exchange import Link

_BROKEN = b"\x00\n"  # a writer went away within a line: what it had written is no code
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class PipeLink(DescriptorLink):
    """The reading end of a named pipe. A writer who leaves is no loss: the pipe waits for the next one.

    Half a line of one writer is never joined to a line of the next.
    """

    def __init__(self, path: str) -> None:
        """Raises UnavailableError, MisconfiguredError; needs a running loop."""
        self._in_line = False
        super().__init__(_opened(path), path)

    def _receive(self) -> bool:
        """Read once without waiting: True if bytes came."""
        came = super()._receive()
        if came:
            self._in_line = self._buffer[-1] not in b"\r\n"
        return came

    def _lose(self, reason: str) -> None:
        if reason != "hung up":
            super()._lose(reason)
            return
        if self._in_line:
            self._buffer += _BROKEN
            self._in_line = False
        try:
            # The old end would say for ever that everybody has left; a new one waits. First the new, then the old:
            # a writer who comes in between finds a reader.
            fresh = _opened(self._name)
        except (UnavailableError, MisconfiguredError):
            super()._lose("the pipe is gone")
            return
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = fresh
        self._loop.add_reader(self._fd, self._readable)

    def _give_back(self) -> None:
        os.close(self._fd)


class OpenDescriptorLink(DescriptorLink):
    """The reading end of anything that is open already. A writer who leaves is a loss."""

    def _give_back(self) -> None:
        os.close(self._fd)


async def open_pipe(path: str) -> Link:
    """Open a named pipe to read codes from it.

    Raises UnavailableError if it is not there, MisconfiguredError if it is something else or anybody may write to it.
    """
    return PipeLink(path)


async def open_descriptor(descriptor: int, name: str = "descriptor") -> Link:
    """Read codes from an open descriptor; a copy of it is used, which does not wait. Raises UnavailableError."""
    try:
        own = os.dup(descriptor)
    except OSError as error:
        raise UnavailableError(f"{name}: {error.strerror}") from None
    os.set_blocking(own, False)
    return OpenDescriptorLink(own, name)


def _opened(path: str) -> int:
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise MisconfiguredError(f"{path}: no permission to read") from None
        if error.errno == errno.ENOENT:
            raise UnavailableError(f"{path}: is not there; make it with mkfifo") from None
        raise UnavailableError(f"{path}: cannot be opened ({error.strerror})") from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(mode) and not mode & stat.S_IWOTH:
        return descriptor
    os.close(descriptor)
    if stat.S_ISFIFO(mode):
        raise MisconfiguredError(f"{path}: anybody may write codes into it; chmod o-w")
    raise MisconfiguredError(f"{path}: is no named pipe; make one with mkfifo -m 660")
