"""What a simulated device is to its line: it cuts frames out of bytes and answers each."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

MAX_BUFFER_BYTES = 4096
SILENCE_S = 0.1  # real; a frame that pauses longer is forgotten, as by a device's own inter-byte timer


class Device(Protocol):
    """All devices of one line. `real_s` is real time: only hold-off and silence need it."""

    counters: Counter[str]

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        """The whole frames that end in `data`; fragments wait for the rest, noise is dropped and counted."""

    def answer(self, frame: bytes, real_s: float) -> bytes:
        """Act on one frame; the reply, or nothing."""

    def disguise(self, reply: bytes) -> bytes:
        """The same reply as if another address had sent it, with a right checksum."""


class FrameBuffer:
    """Bytes that wait for the rest of their frame."""

    def __init__(self, counters: Counter[str]) -> None:
        self.bytes = bytearray()
        self._counters = counters
        self._last_s = 0.0

    def add(self, data: bytes, real_s: float) -> None:
        """Append; first forget a fragment that fell silent, and never hold more than 4 KiB."""
        if self.bytes and real_s - self._last_s > SILENCE_S:
            self._counters["fragment_forgotten"] += 1
            self.bytes.clear()
        self._last_s = real_s
        self.bytes += data
        if len(self.bytes) > MAX_BUFFER_BYTES:
            self._counters["overrun_bytes"] += len(self.bytes) - MAX_BUFFER_BYTES
            del self.bytes[:-MAX_BUFFER_BYTES]

    def cut(self, length: int) -> bytes:
        """Take the first `length` bytes out."""
        head = bytes(self.bytes[:length])
        del self.bytes[:length]
        return head

    def skip(self) -> None:
        """The first byte begins no frame."""
        self._counters["noise_bytes"] += 1
        del self.bytes[:1]
