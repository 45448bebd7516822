"""Nine-bit words on an eight-bit line: how an adapter carries them.

MDB has a ninth bit, the mode bit (0x100), that no ordinary port sends. An adapter at the machine speaks MDB within its
5 ms and carries the words to us in one of two ways, our own proposal: two bytes a word, high byte first; or lines of
three hex digits a word, parted by blanks, one block a line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from device_drivers.errors import ProtocolError

Coding = Literal["words", "hex_lines"]
CODINGS: tuple[Coding, ...] = ("words", "hex_lines")
MODE = 0x100
MAX_WORD = 0x1FF
MAX_BLOCK_WORDS = 36  # the standard's longest block, its check sum among them
MAX_LINE_BYTES = 4 * MAX_BLOCK_WORDS + 16
_LINE = re.compile(rb"[0-9A-Fa-f]{3}(?: [0-9A-Fa-f]{3})*(?=\r?\n?\Z)")


def encode(words: Sequence[int], coding: Coding) -> bytes:
    """The words as the adapter takes them. Raises ProtocolError(local) for what is no word."""
    if not all(0 <= word <= MAX_WORD for word in words):
        raise ProtocolError("a word has nine bits", side="local")
    if coding == "words":
        return b"".join(word.to_bytes(2, "big") for word in words)
    return " ".join(f"{word:03X}" for word in words).encode("ascii") + b"\r\n"


def decode(data: bytes, coding: Coding) -> list[int]:
    """All of `data` as words. Raises ProtocolError(remote) for anything else in it."""
    if coding == "words":
        words = words_of(data)
        whole = 2 * len(words) == len(data)
    else:
        words = line_of(data)
        whole = bool(words) and encode(words, coding).strip() == data.upper().strip()
    if not whole:
        raise ProtocolError("bytes that are no words")
    return words


def words_of(data: bytes) -> list[int]:
    """The words that `data` begins with; ends before two bytes that are none."""
    high, low = data[0::2], data[1::2]
    good = len(high) - len(high.lstrip(b"\x00\x01"))
    return [upper << 8 | lower for upper, lower in zip(high[:good], low, strict=False)]


def line_of(line: bytes) -> list[int]:
    """The words that `line` ends with; [] if there is none. Noise before them does no harm."""
    found = _LINE.search(line)
    words = [] if found is None else [int(text, 16) for text in found.group().split()]
    return words if all(word <= MAX_WORD for word in words) else []
