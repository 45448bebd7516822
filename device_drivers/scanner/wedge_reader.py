"""A scanner that plays a keyboard, as a device file of this machine: opened, held for ourselves, read."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Awaitable, Callable, Iterable, Mapping

from contracts.clock import Clock
from device_drivers.descriptor_link import DescriptorLink
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.exchange import Link
from device_drivers.faults import OnFault
from device_drivers.scanner.reader import LinkReader
from device_drivers.scanner.wedge import LONGEST_GAP_S, KeyDecoder, WordBits

MY_WORD_BITS: WordBits = 64 if struct.calcsize("l") == 8 else 32
_GRAB = 0x40044590  # give events to nobody else
_SET_CLOCK = 0x400445A0
_MONOTONIC = struct.pack("=i", 1)  # a clock that nobody sets


class WedgeReader(LinkReader):
    """See `LinkReader`. `on_fault` hears of keys that make no code."""

    def __init__(
        self,
        *,
        name: str = "wedge",
        open_link: Callable[[], Awaitable[Link]],
        clock: Clock,
        word_bits: WordBits = MY_WORD_BITS,
        longest_gap_s: float = LONGEST_GAP_S,
        on_fault: OnFault = lambda _kind, _detail: None,
    ) -> None:
        super().__init__(name=name, open_link=open_link, clock=clock)
        self._decoder = KeyDecoder(on_fault, word_bits=word_bits, longest_gap_s=longest_gap_s)

    def _texts(self, data: bytes) -> Iterable[str]:
        return self._decoder.feed(data)

    def _forget(self, reason: str) -> None:
        del reason
        self._decoder.forget()

    def _undecoded(self) -> Mapping[str, int]:
        return self._decoder.counters

    def _lost_bytes(self) -> None:
        self._decoder.lost()


class EventLink(DescriptorLink):
    """An open event device, owned by one reader."""

    def _give_back(self) -> None:
        os.close(self._fd)


async def open_wedge(path: str) -> Link:
    """Open an event device for ourselves alone: nobody else's window, and no console, gets what it types.

    Raises UnavailableError if it is missing or held by another program, MisconfiguredError if it is no such device.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _why(path, error) from None
    try:
        fcntl.ioctl(descriptor, _SET_CLOCK, _MONOTONIC)
        fcntl.ioctl(descriptor, _GRAB, 1)
    except OSError as error:
        os.close(descriptor)
        raise _why(path, error) from None
    return EventLink(descriptor, path)


def _why(path: str, error: OSError) -> UnavailableError | MisconfiguredError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return MisconfiguredError(f"{path}: no permission; is the user in the group input?")
    if error.errno in (errno.ENOTTY, errno.EINVAL, errno.EISDIR):
        return MisconfiguredError(f"{path}: is no input device; name one of /dev/input/by-id")
    if error.errno == errno.EBUSY:
        return UnavailableError(f"{path}: is held by another program")
    if error.errno == errno.ENOENT:
        return UnavailableError(f"{path}: is not there; is the scanner plugged in?")
    return UnavailableError(f"{path}: cannot be opened ({error.strerror})")
