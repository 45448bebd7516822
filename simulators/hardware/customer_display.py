"""Customer displays as a customer sees them. Written byte by byte from the command tables, without the driver's codec.

Each keeps what can be read on it. A byte that belongs to no command is counted and shows nothing; a control character
within a text ends the text without effect and counts as the beginning of something new.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

WORDS = ("", "单价", "总计", "收款", "找零")
PLACES = 8
WIDTH = 20
_ASCII_0, _POINT = ord("0"), ord(".")

Expects = Literal["anything", "command", "lamp", "row", "text"]


class Display:
    """What both kinds share. A display answers nothing: `split` acts at once and gives no frame."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._expects: Expects = "anything"
        self._row = 0
        self._text = bytearray()
        self.blank()

    def split(self, data: bytes, real_s: float) -> list[bytes]:  # noqa: ARG002  # it has no timer
        for byte in data:
            self._take(byte)
        return []

    def answer(self, frame: bytes, real_s: float) -> bytes:  # noqa: ARG002  # never asked: split gives no frame
        return b""

    def disguise(self, reply: bytes) -> bytes:
        return reply

    def reboot(self) -> None:
        """The power was away: nothing is shown and nothing is half heard."""
        self.counters["reboots"] += 1
        self._expects = "anything"
        self.blank()

    def blank(self) -> None:
        """Show nothing."""
        raise AssertionError("a display must say what it shows")

    def _take(self, byte: int) -> None:
        if self._expects == "text":
            if byte == 0x0D:
                self._expects = "anything"
                self._shown(self._row, bytes(self._text))
                return
            if 0x20 <= byte <= 0x7E:
                if len(self._text) < 64:
                    self._text.append(byte)
                return
            self.counters["cut_off"] += 1
            self._expects = "anything"
        expected, self._expects = self._expects, "anything"
        if expected == "command":
            self._command(byte)
        elif expected == "lamp":
            self._lit(byte - _ASCII_0)
        elif expected == "row" and byte in (0x41, 0x42):
            self._row, self._expects = byte - 0x40, "text"
            self._text.clear()
        elif byte == 0x1B:
            self._expects = "command"
        elif byte == 0x0C:
            self.counters["clears"] += 1
            self.blank()
        elif byte != 0x0D or expected == "row":
            self.counters["noise_bytes"] += 1

    def _command(self, byte: int) -> None:
        if byte == 0x40:
            self.counters["inits"] += 1
            self.blank()
        elif byte == 0x73:
            self._expects = "lamp"
        elif byte == 0x51:
            self._expects = "row"
        else:
            self.counters["unknown_command"] += 1

    def _lit(self, number: int) -> None:
        raise AssertionError(f"no lamp {number} is wired")

    def _shown(self, row: int, text: bytes) -> None:
        raise AssertionError(f"row {row} does not show {len(text)} bytes")


class Led8(Display):
    """Eight digits, each with a point beside it, and four words. `places` holds (digit, point), the left one first."""

    places: list[tuple[str, bool]]
    word: str

    def blank(self) -> None:
        """See `Display.blank`."""
        self.places = [("", False)] * PLACES
        self.word = ""

    @property
    def read(self) -> str:
        """What a customer reads, word first."""
        digits = "".join(digit + ("." if point else "") for digit, point in self.places)
        return f"{self.word} {digits}".strip()

    def _lit(self, number: int) -> None:
        if 0 <= number < len(WORDS):
            self.word = WORDS[number]
        else:
            self.counters["unknown_lamp"] += 1

    def _shown(self, row: int, text: bytes) -> None:
        lit: list[tuple[str, bool]] = []
        for byte in text:
            if byte == _POINT and lit and not lit[-1][1]:
                lit[-1] = (lit[-1][0], True)
            elif _ASCII_0 <= byte <= _ASCII_0 + 9:
                lit.append((chr(byte), False))
            else:
                self.counters["unknown_digit"] += 1
                return
        if row != 1 or not 0 < len(lit) <= PLACES:
            self.counters["does_not_fit"] += 1
            return
        self.counters["amounts"] += 1
        self.places = [("", False)] * (PLACES - len(lit)) + lit


class Cd5220(Display):
    """Two lines. `lines` are what stands there, twenty characters each."""

    lines: list[str]

    def blank(self) -> None:
        """See `Display.blank`."""
        self.lines = [" " * WIDTH, " " * WIDTH]

    def _lit(self, number: int) -> None:
        del number
        self.counters["unknown_command"] += 1  # it has no lamps

    def _shown(self, row: int, text: bytes) -> None:
        if len(text) != WIDTH:
            self.counters["does_not_fit"] += 1
            return
        self.counters["lines"] += 1
        self.lines[row - 1] = text.decode("ascii")


def on_bench() -> Led8:
    """An LED8 that shows nothing yet."""
    return Led8()
