"""A receipt as commands for paper of so many columns, and those in slices that a printer can be asked after. Pure.

A slice ends where a command ends: a question may stand between two commands and never inside one. Lines are wrapped
here and never by the printer, so that what stands at the right edge is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from device_drivers.escpos import commands
from device_drivers.escpos.document import (
    Align,
    Columns,
    Cut,
    Feed,
    Line,
    Promotion,
    Qr,
    Receipt,
    ReceiptError,
    Rule,
    Text,
    Times,
)
from device_drivers.escpos.text import Charset, cleaned, columns_of, encoded, wrapped

COLUMNS = range(24, 65)  # 32 is usual for 58 mm, 48 for 80 mm
MAX_ROWS = 400  # on the paper
SLICE_BYTES = 128  # less than a printer still takes when it says stop; a long QR code is one command and more
QR_ROWS = 15  # that the largest code takes, at 24 dots a row


@dataclass(frozen=True, slots=True)
class Job:
    """What goes to the printer: whole commands in slices. `replaced` counts characters shown as `?`."""

    slices: tuple[bytes, ...]
    rows: int
    replaced: int

    @property
    def data(self) -> bytes:
        """All of it."""
        return b"".join(self.slices)


def laid_out(receipt: Receipt, *, columns: int, charset: Charset) -> Job:
    """The job of a receipt. Raises ReceiptError for more rows than `MAX_ROWS`, or an amount wider than the paper."""
    writer = _Writer(columns, charset)
    writer.say(commands.INIT, commands.CHINESE_ON)
    for number, line in enumerate(receipt.lines):
        try:
            writer.line(line)
        except ReceiptError as error:
            raise ReceiptError(str(error), number) from None
    writer.end()
    return Job(tuple(_slices(writer.said)), writer.rows, writer.replaced)


class _Writer:
    """Writes line by line; changes only what differs from the line before."""

    def __init__(self, columns: int, charset: Charset) -> None:
        self.said: list[bytes] = []
        self.rows = 0
        self.replaced = 0
        self._columns = columns
        self._charset: Charset = charset
        self._align: Align = "left"
        self._bold = False
        self._size: tuple[Times, Times] = (1, 1)
        self._cut = False

    def say(self, *units: bytes) -> None:
        self.said += units

    def line(self, line: Line) -> None:
        match line:
            case Text(text=text, align=align, bold=bold, wide=wide, tall=tall):
                self._style(align, bold, (wide, tall))
                self._rows_of(wrapped(self._clean(text), self._columns // wide), tall)
            case Promotion(text=text, align=align):
                self._style(align)
                self._rows_of(wrapped(self._clean(text), self._columns))
            case Columns(left=left, right=right, bold=bold):
                self._style("left", bold)
                self._rows_of(self._apart(self._clean(left), self._clean(right)))
            case Rule(char=char):
                self._style("left")
                self._rows_of(iter([char * self._columns]))
            case Qr(text=text, module_dots=module_dots, align=align):
                self._style(align)
                self._count(QR_ROWS)
                self.say(*commands.qr(text, module_dots))
            case Feed(lines=lines):
                self._style("left")
                self._count(lines)
                self.say(commands.feed(lines))
            case Cut():
                self._cut = True

    def end(self) -> None:
        """Leave the printer as a job found it; the cut is the last."""
        self._style("left")
        self.say(commands.CHINESE_OFF)
        if self._cut:
            self.say(commands.CUT)

    def _style(self, align: Align, bold: bool = False, size: tuple[Times, Times] = (1, 1)) -> None:
        if align != self._align:
            self.say(commands.align(align))
        if bold != self._bold:
            self.say(commands.bold(bold))
        if size != self._size:
            self.say(commands.size(*size))
        self._align, self._bold, self._size = align, bold, size

    def _clean(self, text: str) -> str:
        shown, replaced = cleaned(text, self._charset)
        self.replaced += replaced
        return shown

    def _apart(self, left: str, right: str) -> Iterator[str]:
        """The left wrapped over rows, the right at the end of the last one, or of one more."""
        room = self._columns - columns_of(right)
        if room < 0:
            raise ReceiptError(f"an amount of {columns_of(right)} columns on paper of {self._columns}")
        pieces = list(wrapped(left, self._columns))
        if pieces[-1] and columns_of(pieces[-1]) >= room:
            pieces.append("")
        yield from pieces[:-1]
        yield pieces[-1] + " " * (room - columns_of(pieces[-1])) + right

    def _rows_of(self, pieces: Iterator[str], tall: int = 1) -> None:
        for piece in pieces:
            self._count(tall)
            self.say(encoded(piece, self._charset) + commands.LINE_END)

    def _count(self, rows: int) -> None:
        self.rows += rows
        if self.rows > MAX_ROWS:
            raise ReceiptError(f"more than {MAX_ROWS} rows of paper")


def _slices(units: list[bytes]) -> Iterator[bytes]:
    slice_ = b""
    for unit in units:
        if slice_ and len(slice_) + len(unit) > SLICE_BYTES:
            yield slice_
            slice_ = b""
        slice_ += unit
    if slice_:
        yield slice_
