"""A frame whose beginning and length are known before it comes, found in a stream that holds other things too."""

from __future__ import annotations

from collections.abc import Callable

from device_drivers.faults import OnFault

Shape = tuple[bytes, int]  # how it begins, how long it is


class ShapeFinder:
    """Finds the first frame of one of `shapes` that `is_good`. Between two calls it holds less than the longest."""

    def __init__(self, shapes: tuple[Shape, ...], is_good: Callable[[bytes], bool], on_fault: OnFault) -> None:
        self._shapes = shapes
        self._is_good = is_good
        self._on_fault = on_fault
        self._buffer = bytearray()

    def feed(self, data: bytes) -> bytes | None:
        """The frame, once whole. What is none is dropped and reported, once a call."""
        self._buffer += data
        noise = bad_check = 0
        answer: bytes | None = None
        at = 0
        while answer is None and at < len(self._buffer):
            length = next((length for head, length in self._shapes if self._may_begin(at, head)), 0)
            if not length:
                noise += 1
                at += 1
                continue
            frame = bytes(self._buffer[at : at + length])
            if len(frame) < length:
                break
            if self._is_good(frame):
                answer = frame
            else:
                bad_check += 1
                at += 1
        del self._buffer[: at if answer is None else None]  # what follows a reply answers nothing
        if bad_check:
            self._on_fault("crc", "wrong CRC")
        elif noise:
            self._on_fault("framing", f"{noise} bytes of no reply")
        return answer

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)

    def _may_begin(self, at: int, head: bytes) -> bool:
        """True if the buffer from `at` on is, or may become, a frame with this head."""
        return head.startswith(bytes(self._buffer[at : at + len(head)]))
