"""A receipt as typed lines. Pure: it says what a customer reads, no byte and no width of paper.

A receipt that breaks a rule cannot be made: ReceiptError names the line. One with tobacco carries no promotion (T12).
What counts as promotion is said by the kind of the line; the list of words that no line may hold comes later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from device_drivers.errors import ProtocolError

MAX_LINES = 200
MAX_TEXT_CHARS = 240  # of one line
MAX_RIGHT_CHARS = 24  # of a right column: an amount, never wrapped
MAX_FEED_LINES = 20
MAX_QR_CHARS = 213  # version 10 at level M: 57 modules, 342 dots at size 6, and 58 mm paper has 384
MODULES = range(2, 7)  # dots

Align = Literal["left", "center", "right"]
ALIGNS: tuple[Align, ...] = ("left", "center", "right")
Times = Literal[1, 2]


class ReceiptError(ProtocolError):
    """A receipt that cannot be. `line` counts from 0; None is the whole receipt."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}", side="local")
        self.line = line


class PromotionError(ReceiptError):
    """Promotion on a receipt with tobacco (T12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Some text, wrapped where the paper ends. `wide` and `tall` are times the usual size."""

    text: str
    align: Align = "left"
    bold: bool = False
    wide: Times = 1
    tall: Times = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Something at the left and an amount at the right edge, one space at least between them."""

    left: str
    right: str
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across the paper."""

    char: Literal["-", "=", "*"] = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Qr:
    """A QR code, level M. `text` is printable ASCII: whatever else an address needs is percent-encoded in it."""

    text: str
    module_dots: int = 6
    align: Align = "center"


@dataclass(frozen=True, slots=True)
class Feed:
    """Empty lines."""

    lines: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """Text that promotes: offers, coupons, gifts, campaigns. Never beside tobacco."""

    text: str
    align: Align = "left"


@dataclass(frozen=True, slots=True)
class Cut:
    """The end of the paper, cut but for one point; only as the last line."""


Line = Text | Columns | Rule | Qr | Feed | Promotion | Cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One piece of paper. Whoever makes one says whether it names tobacco. Raises ReceiptError, PromotionError."""

    lines: tuple[Line, ...]
    has_tobacco: bool

    def __post_init__(self) -> None:
        if not 1 <= len(self.lines) <= MAX_LINES:
            raise ReceiptError(f"a receipt of {len(self.lines)} lines, must be 1 to {MAX_LINES}")
        for number, line in enumerate(self.lines):
            if isinstance(line, Promotion) and self.has_tobacco:
                raise PromotionError("promotion on a receipt with tobacco", number)
            if isinstance(line, Cut) and number != len(self.lines) - 1:
                raise ReceiptError("a cut ends the receipt", number)
            if problem := _problem(line):
                raise ReceiptError(problem, number)


def _problem(line: Line) -> str:
    """What is wrong with one line, in words that hold none of its text."""
    match line:
        case Text(text=text, align=align, wide=wide, tall=tall):
            if wide not in {1, 2} or tall not in {1, 2}:
                return "characters are once or twice as wide and as tall"
            return _text_problem(text) or _align_problem(align)
        case Promotion(text=text, align=align):
            return _text_problem(text) or _align_problem(align)
        case Columns(left=left, right=right):
            if len(right) > MAX_RIGHT_CHARS:
                return f"{len(right)} characters at the right, at most {MAX_RIGHT_CHARS}"
            return _text_problem(left)
        case Rule(char=char):
            return "" if char in {"-", "=", "*"} else "a rule is of - = or *"
        case Qr(text=text, module_dots=module_dots, align=align):
            if not 1 <= len(text) <= MAX_QR_CHARS:
                return f"a QR code of {len(text)} characters, must be 1 to {MAX_QR_CHARS}"
            if not (text.isascii() and text.isprintable()):
                return "a QR code holds printable ASCII alone"
            return "" if module_dots in MODULES else f"modules of {module_dots} dots, must be 2 to 6"
        case Feed(lines=lines):
            return "" if 1 <= lines <= MAX_FEED_LINES else f"{lines} empty lines, must be 1 to {MAX_FEED_LINES}"
        case Cut():
            return ""


def _text_problem(text: str) -> str:
    return "" if len(text) <= MAX_TEXT_CHARS else f"{len(text)} characters, at most {MAX_TEXT_CHARS}"


def _align_problem(align: Align) -> str:
    return "" if align in ALIGNS else "align is left, center or right"
