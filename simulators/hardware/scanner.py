"""A code scanner that speaks by itself: what it reads, then a carriage return."""

from __future__ import annotations

from collections import Counter

MAX_CODE_BYTES = 1024


class Scanner:
    """A scanner hears nothing: bytes from the host are counted and dropped."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()

    def split(self, data: bytes, real_s: float) -> list[bytes]:  # noqa: ARG002  # a scanner has no frames to time
        self.counters["ignored_bytes"] += len(data)
        return []

    def answer(self, frame: bytes, real_s: float) -> bytes:  # noqa: ARG002  # never asked: split gives no frame
        return b""

    def disguise(self, reply: bytes) -> bytes:
        return reply

    def printed(self, text: str) -> bytes:
        """The bytes of one reading. Raises ValueError for a text no scanner would print."""
        raw = text.encode()
        if not 0 < len(raw) <= MAX_CODE_BYTES or b"\r" in raw or b"\n" in raw:
            raise ValueError(f"a code has 1 to {MAX_CODE_BYTES} bytes and no line end")
        self.counters["codes"] += 1
        return raw + b"\r"
