"""The paper of a receipt printer as text: what a customer reads, where it stands, how big it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

DOTS_A_COLUMN, DOTS_A_ROW = 12, 24
Side = Literal["left", "center", "right"]


@dataclass(frozen=True, slots=True)
class Glyph:
    """One character. `columns` it takes on the paper, doubled when it is wide."""

    char: str
    columns: int
    bold: bool = False
    wide: bool = False
    tall: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One printed line on paper so many columns wide."""

    glyphs: tuple[Glyph, ...]
    side: Side
    paper: int

    @property
    def used(self) -> int:
        """Columns that the characters take."""
        return sum(glyph.columns for glyph in self.glyphs)

    @property
    def start(self) -> int:
        """The first column that is printed on."""
        free = self.paper - self.used
        return {"left": 0, "center": free // 2, "right": free}[self.side]

    @property
    def rows(self) -> int:
        """Rows of paper."""
        return 2 if any(glyph.tall for glyph in self.glyphs) else 1

    @property
    def text(self) -> str:
        """What is read, with the space before it and without that behind it."""
        return (" " * self.start + "".join(glyph.char for glyph in self.glyphs)).rstrip()

    @property
    def cells(self) -> list[str]:
        """The character that begins in each column; "" where one goes on."""
        cells = [" "] * self.start
        for glyph in self.glyphs:
            cells += [glyph.char] + [""] * (glyph.columns - 1)
        return cells + [" "] * (self.paper - len(cells))


@dataclass(frozen=True, slots=True)
class Code:
    """A printed QR code."""

    content: str
    dots: int
    side: Side

    @property
    def rows(self) -> int:
        return math.ceil(self.dots / DOTS_A_ROW)

    @property
    def text(self) -> str:
        return f"[QR {self.content}]"


@dataclass(frozen=True, slots=True)
class Knife:
    """Here the paper is cut. Below stands the next customer's."""

    whole: bool
    rows: int = 0
    text: str = "✂"


Printed = Row | Code | Knife


@dataclass(slots=True)
class Roll:
    """What came out, and what is left."""

    left: int
    near: int = 20
    printed: list[Printed] = field(default_factory=list)

    @property
    def near_end(self) -> bool:
        return self.left < self.near

    def text(self) -> str:
        """All of it, a line a row."""
        return "\n".join(part.text for part in self.printed)
