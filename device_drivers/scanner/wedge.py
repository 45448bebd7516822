"""Scanners that play a keyboard: key events of the Linux kernel in, codes out. Pure: whoever opens the device grabs it.

An event is `struct input_event`: two words of time, then type, code (16 bits each) and value (32), in the byte order
and word size of this machine. A scanner types faster than anybody and ends with Enter; what comes slower was typed by
a person and is no code. What is spoilt stays spoilt to its Enter, so that no end of a code passes for a whole one.
"""

from __future__ import annotations

import struct
from typing import Literal

from device_drivers.faults import FaultKind, OnFault
from device_drivers.scanner.codec import MAX_TEXT_BYTES
from device_drivers.scanner.wedge_keys import CAPS_LOCK, ENTER, KEYS, OTHER_MODIFIERS, SHIFT

WordBits = Literal[32, 64]
LONGEST_GAP_S = 0.05  # between two keys of a code; a low-speed keyboard needs up to 40 ms with shift
REST_S = 0.3  # after so long a new code begins
LEAST_CHARS = 4  # nobody types so many so fast
EVENT_BYTES: dict[WordBits, int] = {32: 16, 64: 24}

_LAYOUTS: dict[WordBits, struct.Struct] = {32: struct.Struct("=IIHHi"), 64: struct.Struct("=qqHHi")}
_SYN, _KEY = 0, 1  # types of events
_SYN_REPORT, _SYN_DROPPED = 0, 3
_RELEASED, _PRESSED, _HELD = 0, 1, 2  # values of a key
_MAX_TYPE, _MAX_CODE = 0x1F, 0x2FF
_PLENTY = MAX_TEXT_BYTES

_WHY: dict[str, tuple[FaultKind, str]] = {
    "typed": ("unexpected", "keys of a person, or of a scanner that stutters"),
    "unprintable": ("framing", "a key that makes no character"),
    "too_long": ("framing", f"a text of more than {MAX_TEXT_BYTES} characters"),
    "keys_lost": ("framing", "the kernel or we lost keys"),
}


class KeyDecoder:
    """Makes texts out of key events. Holds one text of 512 characters and less than one event.

    `longest_gap_s` is the longest pause between two keys of one code.
    """

    def __init__(self, on_fault: OnFault, *, word_bits: WordBits = 64, longest_gap_s: float = LONGEST_GAP_S) -> None:
        if not 0 < longest_gap_s < REST_S:
            raise ValueError(f"longest_gap_s: must be more than 0 and less than {REST_S:g}")
        self.counters: dict[str, int] = dict.fromkeys(_WHY, 0)
        self._on_fault = on_fault
        self._layout = _LAYOUTS[word_bits]
        self._gap_us = int(longest_gap_s * 1e6)
        self._buffer = b""
        self._chars: list[str] = []
        self._spoilt = ""  # why what is typed now is no code
        self._down: set[int] = set()  # modifiers
        self._caps = False
        self._deaf = False  # until the kernel's list of events is whole again
        self._last_us = 0

    def feed(self, data: bytes) -> list[str]:
        """The texts that are whole now."""
        texts: list[str] = []
        buffer, at, noise = self._buffer + data, 0, 0
        while len(buffer) - at >= self._layout.size:
            seconds, micros, kind, code, value = self._layout.unpack_from(buffer, at)
            if not _is_event(seconds, micros, kind, code, value):
                noise += 1
                at += 1
                continue
            at += self._layout.size
            if text := self._event(seconds * 1_000_000 + micros, kind, code, value):
                texts.append(text)
        self._buffer = buffer[at:]
        if noise:
            self._on_fault("framing", f"{noise} bytes of no event")
            self._spoil("keys_lost")
        return texts

    def forget(self) -> None:
        """The device is gone: keep nothing of it."""
        self._buffer = b""
        self._down.clear()
        self._caps = self._deaf = False
        self._begin()

    def lost(self) -> None:
        """Events were dropped before the next ones: no end of a code passes for a whole one."""
        self._buffer = b""
        self._down.clear()
        self._spoil("keys_lost")

    @property
    def buffered(self) -> int:
        """Bytes and characters held back for the next call."""
        return len(self._buffer) + len(self._chars)

    def _event(self, time_us: int, kind: int, code: int, value: int) -> str:
        if kind == _SYN:
            if code == _SYN_DROPPED:
                self._deaf = True
                self._down.clear()
                self._spoil("keys_lost")
            elif code == _SYN_REPORT:
                self._deaf = False
            return ""
        if kind != _KEY or self._deaf:
            return ""
        if code in SHIFT or code in OTHER_MODIFIERS:
            (self._down.discard if value == _RELEASED else self._down.add)(code)
            return ""
        if value == _HELD:
            self._spoil("typed")
            return ""
        return self._pressed(time_us, code) if value == _PRESSED else ""

    def _pressed(self, time_us: int, code: int) -> str:
        gap_us, self._last_us = time_us - self._last_us, time_us
        if gap_us > REST_S * 1e6:
            if self._chars:
                self._spoil("typed")
            self._begin()
        elif (self._chars or self._spoilt) and not 0 <= gap_us <= self._gap_us:
            self._spoil("typed")
        if code in ENTER:
            return self._end()
        if code == CAPS_LOCK:
            self._caps = not self._caps
        elif code not in KEYS or self._down & OTHER_MODIFIERS:
            self._spoil("unprintable")
        elif len(self._chars) >= _PLENTY:
            self._spoil("too_long")
        elif not self._spoilt:
            plain, shifted = KEYS[code]
            upper = bool(self._down & SHIFT) != (self._caps and plain.isalpha())
            self._chars.append(shifted if upper else plain)
        return ""

    def _end(self) -> str:
        if 0 < len(self._chars) < LEAST_CHARS:
            self._spoil("typed")
        text = "".join(self._chars).strip(" ")
        self._begin()
        return text

    def _spoil(self, why: str) -> None:
        """Whatever is typed up to the next Enter is no code. Counted once."""
        if not self._spoilt:
            self._spoilt = why
            self.counters[why] += 1
            self._on_fault(*_WHY[why])
        self._chars.clear()

    def _begin(self) -> None:
        self._chars.clear()
        self._spoilt = ""


def _is_event(seconds: int, micros: int, kind: int, code: int, value: int) -> bool:
    """Whether this can be an event at all: a stream of events has no other mark to be aligned by."""
    if seconds < 0 or not 0 <= micros < 1_000_000 or kind > _MAX_TYPE or code > _MAX_CODE:
        return False
    return kind != _KEY or value in (_RELEASED, _PRESSED, _HELD)
