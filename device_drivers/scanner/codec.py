"""Lines of text out of a stream of bytes, and one reading out of a code that is held before the lens."""

from __future__ import annotations

from device_drivers.faults import OnFault

MAX_TEXT_BYTES = 512
DUPLICATE_S = 2.0


class LineDecoder:
    """Cuts a stream into texts.

    `suffix` is what the scanner sends after a code; without one, every CR and every LF ends a text. Too long and
    unprintable texts are dropped whole and counted. Never holds more than 512 bytes and a suffix.
    """

    def __init__(self, on_fault: OnFault, suffix: bytes | None = None) -> None:
        if suffix == b"":
            raise ValueError("suffix: must not be empty")
        self.too_long = 0
        self.unprintable = 0
        self._on_fault = on_fault
        self._suffix = suffix
        self._buffer = bytearray()
        self._skipping = False  # inside a text that is too long

    def feed(self, data: bytes) -> list[str]:
        """The texts that are whole now. Empty ones are none."""
        texts: list[str] = []
        self._buffer += data if self._suffix else data.replace(b"\r", b"\n")
        mark = self._suffix or b"\n"
        while (end := self._buffer.find(mark)) >= 0:
            text = None if self._skipping else self._text(bytes(self._buffer[:end]))
            self._skipping = False
            del self._buffer[: end + len(mark)]
            if text:
                texts.append(text)
        keep = len(mark) - 1  # a suffix may be half here
        if self._skipping:
            del self._buffer[: len(self._buffer) - keep]
        elif len(self._buffer) > MAX_TEXT_BYTES + keep:
            self._drop_long()
            self._skipping = True
            del self._buffer[: len(self._buffer) - keep]
        return texts

    def forget(self) -> None:
        """Drop half a text: the connection that would have brought its end is gone."""
        self._buffer.clear()
        self._skipping = False

    def lost(self) -> None:
        """Bytes were dropped before the next ones: the end of a text that stands there is no text."""
        self._buffer.clear()
        self._skipping = True

    @property
    def counters(self) -> dict[str, int]:
        """Every text that was dropped, by reason."""
        return {"too_long": self.too_long, "unprintable": self.unprintable}

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)

    def _text(self, line: bytes) -> str | None:
        if len(line) > MAX_TEXT_BYTES:
            self._drop_long()
            return None
        try:
            text = line.decode("utf-8").strip(" ")
        except UnicodeDecodeError:
            text = None
        if text is None or not text.isprintable():
            self.unprintable += 1
            self._on_fault("framing", "an unprintable text")
            return None
        return text

    def _drop_long(self) -> None:
        self.too_long += 1
        self._on_fault("framing", f"a text of more than {MAX_TEXT_BYTES} bytes")


class DuplicateFilter:
    """Makes one reading of a code that is seen again and again: a repeat counts from its last sight."""

    def __init__(self, window_s: float = DUPLICATE_S) -> None:
        self.suppressed = 0
        self._window_s = window_s
        self._last: tuple[str, float] | None = None

    def is_new(self, text: str, now_s: float) -> bool:
        """False for the same text as the last one, less than the window ago."""
        last, self._last = self._last, (text, now_s)
        if last is not None and last[0] == text and now_s - last[1] < self._window_s:
            self.suppressed += 1
            return False
        return True

    def forget(self) -> None:
        """Keep no text."""
        self._last = None
