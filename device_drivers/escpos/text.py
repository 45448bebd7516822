"""Text as a receipt printer shows it: which characters it has, and how many columns each takes. Pure.

In Chinese mode a printer knows ASCII, one byte and one column each, and the characters of its set, two bytes (GBK) or
two and four (GB18030) and two columns each, letters such as é and Я too. Whatever else a text holds is shown as `?` and
counted, so that a strange product name costs no receipt and no byte of it can ever be a command.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Literal

Charset = Literal["gbk", "gb18030"]
CHARSETS: tuple[Charset, ...] = ("gbk", "gb18030")
REPLACEMENT = "?"
_SAME = {"\u00a5": "\uffe5"}  # the yuan sign as keyboards write it, and as the sets have it
_ASCII = range(0x20, 0x7F)  # printable
_FIRST_OF_WIDE = 0x81  # of a character of two or four bytes; the others are at least 30
_LEAST_BYTE = 0x30


def cleaned(text: str, charset: Charset) -> tuple[str, int]:
    """The text as it can be printed, and how many characters were replaced: controls, marks, what the set has not."""
    shown, replaced = list[str](), 0
    for given in unicodedata.normalize("NFC", text):
        char = _SAME.get(given, given)
        if ord(char) in _ASCII or _is_wide(char, charset):
            shown.append(char)
        elif unicodedata.category(char) == "Zs":
            shown.append(" ")
        else:
            shown.append(REPLACEMENT)
            replaced += 1
    return "".join(shown), replaced


def columns_of(text: str) -> int:
    """Columns that a cleaned text takes."""
    return sum(1 if ord(char) in _ASCII else 2 for char in text)


def wrapped(text: str, columns: int) -> Iterator[str]:
    """A cleaned text in pieces of at most so many columns, no character cut; one empty piece for an empty text."""
    piece, used = "", 0
    for char in text:
        width = columns_of(char)
        if used + width > columns:
            yield piece
            piece, used = "", 0
        piece += char
        used += width
    yield piece


def encoded(text: str, charset: Charset) -> bytes:
    """The bytes of a cleaned text."""
    return text.encode(charset)


def _is_wide(char: str, charset: Charset) -> bool:
    """Whether the set has this character, in bytes of which none is a control."""
    if unicodedata.category(char)[0] in "CM":
        return False
    try:
        data = char.encode(charset)
    except UnicodeEncodeError:
        return False
    return data[0] >= _FIRST_OF_WIDE and all(byte >= _LEAST_BYTE and byte != 0x7F for byte in data)
