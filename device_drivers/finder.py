"""Finds frames in a stream of bytes that may hold noise: one loop for every protocol whose frames tell their length."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault

F = TypeVar("F")


class Verdict(Enum):
    """What the front of a buffer is when it is no whole frame."""

    MORE = "may become a frame"
    NOISE = "begins no frame"
    BAD_SUM = "has the form of a frame and a wrong sum"


class Finder(Generic[F]):
    """Finds frames in a stream with noise in it.

    `cut` says of the bytes at the front: a frame and its length, or a verdict. It answers MORE for less than `longest`
    bytes only, so that never more than `longest` - 1 wait between two calls.
    """

    def __init__(self, cut: Callable[[bytes], tuple[F, int] | Verdict], *, longest: int, on_fault: OnFault) -> None:
        self._cut = cut
        self._longest = longest
        self._on_fault = on_fault
        self._buffer = b""

    def feed(self, data: bytes) -> list[F]:
        """The frames that are whole now. Bytes of no frame are dropped and reported, once a call."""
        frames: list[F] = []
        noise = bad_sum = 0
        buffer, at = self._buffer + data, 0
        while at < len(buffer):
            found = self._cut(buffer[at : at + self._longest])
            if found is Verdict.MORE:
                break
            if isinstance(found, Verdict):
                noise += found is Verdict.NOISE
                bad_sum += found is Verdict.BAD_SUM
                at += 1
            else:
                frame, length = found
                frames.append(frame)
                at += length
        self._buffer = buffer[at:]
        if bad_sum:
            self._on_fault("crc", "wrong check byte")
        elif noise:
            self._on_fault("framing", f"{noise} bytes of no frame")
        return frames

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)


def one_frame(cut: Callable[[bytes], tuple[F, int] | Verdict], data: bytes) -> F:
    """The frame that all of `data` is, as `cut` of a Finder sees it. Raises ProtocolError(remote)."""
    found = cut(data) if data else Verdict.NOISE
    if isinstance(found, Verdict):
        raise ProtocolError(f"{len(data)} bytes: {found.value}")
    frame, length = found
    if length != len(data):
        raise ProtocolError(f"{len(data)} bytes are more than one frame")
    return frame
