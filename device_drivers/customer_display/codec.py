"""The bytes to a customer display. It never answers; its frames have no check sum and no address.

    init 1B 40 | clear 0C | lamp 1B 73 n, n = "0".."4" | amount (LED8) 1B 51 41 <digits, one point> 0D
    upper line (CD5220) 1B 51 41 <20 columns> 0D | lower line 1B 51 42 <20 columns> 0D

LED8 and CD5220 share `1B 51 41`: an amount has at most nine characters, a line exactly twenty. Source: the command
tables that public drivers agree on. `0D` alone ends whatever was begun before the cable was pulled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault
from device_drivers.finder import Finder, Verdict, one_frame

DIGITS = 8
COLUMNS = 20
MOST_FEN = 10**DIGITS - 1
LONGEST = 3 + COLUMNS + 1
MOST_BUFFERED = LONGEST - 1

_ESC, _CR, _CLR = 0x1B, 0x0D, 0x0C
_AMOUNT = re.compile(r"[0-9]+(\.[0-9]*)?")
_ROWS = {0x41: 1, 0x42: 2}
_LINE_HEADS = {row: bytes((_ESC, 0x51, code)) for code, row in _ROWS.items()}


class Lamp(Enum):
    """The word that is lit beside the digits; its value is the last byte of the command."""

    OFF = 0x30
    UNIT_PRICE = 0x31  # 单价
    TOTAL = 0x32  # 总计
    RECEIVED = 0x33  # 收款
    CHANGE = 0x34  # 找零


_LAMPS = {lamp.value: lamp for lamp in Lamp}


@dataclass(frozen=True, slots=True)
class Init:
    """Forget everything that was said before."""

    def to_bytes(self) -> bytes:
        """Two bytes."""
        return b"\x1b\x40"


@dataclass(frozen=True, slots=True)
class Clear:
    """Show nothing."""

    def to_bytes(self) -> bytes:
        """One byte."""
        return b"\x0c"


@dataclass(frozen=True, slots=True)
class Return:
    """Ends a frame that was cut off; nothing on a display that waits for none."""

    def to_bytes(self) -> bytes:
        """One byte."""
        return b"\x0d"


@dataclass(frozen=True, slots=True)
class Light:
    """Light one word, or none."""

    lamp: Lamp

    def to_bytes(self) -> bytes:
        """Three bytes."""
        return bytes((_ESC, 0x73, self.lamp.value))


@dataclass(frozen=True, slots=True)
class Amount:
    """Digits of an LED8, with a point that takes no place of its own."""

    text: str

    def to_bytes(self) -> bytes:
        """Raises ProtocolError(local) for anything but one to eight digits and at most one point."""
        if not _is_amount(self.text):
            raise ProtocolError(f"an amount has one to {DIGITS} digits and at most one point", side="local")
        return _LINE_HEADS[1] + self.text.encode() + bytes((_CR,))


@dataclass(frozen=True, slots=True)
class Line:
    """One whole line of a CD5220. `row` is 1 (upper) or 2 (lower)."""

    row: int
    text: str

    def to_bytes(self) -> bytes:
        """Raises ProtocolError(local) for another row, and for anything but twenty printable ASCII characters."""
        if self.row not in _LINE_HEADS:
            raise ProtocolError(f"a display has rows 1 and 2, not {self.row}", side="local")
        if len(self.text) != COLUMNS or not _printable(self.text):
            raise ProtocolError(f"a line has {COLUMNS} printable ASCII characters", side="local")
        return _LINE_HEADS[self.row] + self.text.encode() + bytes((_CR,))


Frame = Init | Clear | Return | Light | Amount | Line


def amount_text(price_fen: int) -> str:
    """Fen as yuan with two digits: 2550 is "25.50". Raises ProtocolError(local) for what eight digits cannot show."""
    if not 0 <= price_fen <= MOST_FEN:
        raise ProtocolError(f"{price_fen} fen: an amount is 0 to {MOST_FEN} fen", side="local")
    return f"{price_fen // 100}.{price_fen % 100:02d}"


def columns(text: str) -> str:
    """A text filled up to twenty columns. Raises ProtocolError(local) if it is longer or not printable ASCII."""
    if len(text) > COLUMNS or not _printable(text):
        raise ProtocolError(f"a line has at most {COLUMNS} characters, all of them printable ASCII", side="local")
    return text.ljust(COLUMNS)


def from_bytes(data: bytes) -> Frame:
    """One whole frame. Raises ProtocolError(remote)."""
    return one_frame(_cut, data)


def finder(on_fault: OnFault) -> Finder[Frame]:
    """Finds what a host says."""
    return Finder(_cut, longest=LONGEST, on_fault=on_fault)


class Silence:
    """What a display says: nothing. Whatever comes is told as unexpected; nothing is held."""

    buffered = 0

    def __init__(self, on_fault: OnFault) -> None:
        self._on_fault = on_fault

    def feed(self, data: bytes) -> list[Frame]:
        """Never a frame."""
        if data:
            self._on_fault("unexpected", f"{len(data)} bytes from a display, which says nothing")
        return []


def _cut(front: bytes) -> tuple[Frame, int] | Verdict:
    if front[0] == _CLR:
        return Clear(), 1
    if front[0] == _CR:
        return Return(), 1
    if front[0] != _ESC:
        return Verdict.NOISE
    if len(front) < 2:
        return Verdict.MORE
    if front[1] == 0x40:
        return Init(), 2
    if front[1] not in (0x51, 0x73):
        return Verdict.NOISE
    if len(front) < 3:
        return Verdict.MORE
    if front[1] == 0x73:
        lamp = _LAMPS.get(front[2])
        return (Light(lamp), 3) if lamp is not None else Verdict.NOISE
    return _cut_text(front) if front[2] in _ROWS else Verdict.NOISE


def _cut_text(front: bytes) -> tuple[Frame, int] | Verdict:
    row, end = _ROWS[front[2]], front.find(_CR, 3)
    text = front[3 : end if end >= 0 else len(front)].decode("latin-1")
    if not _printable(text):
        return Verdict.NOISE
    if end < 0:
        return Verdict.MORE if len(front) < LONGEST else Verdict.NOISE
    if len(text) == COLUMNS:
        return Line(row, text), end + 1
    return (Amount(text), end + 1) if row == 1 and _is_amount(text) else Verdict.NOISE


def _is_amount(text: str) -> bool:
    return len(text) <= DIGITS + 1 and bool(_AMOUNT.fullmatch(text)) and len(text.replace(".", "")) <= DIGITS


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable()
