"""What a receipt printer sends: status bytes, answers in turn, stop and go, status that it tells by itself. Pure.

A status byte has four fixed bits, `0xx1xx10`: a byte that breaks them is no state of a printer. Bits, by question:

    1   2 drawer plug pin 3 high    3 offline
    2   2 cover open    3 fed by hand    5 stopped, no paper    6 error
    3   3 knife    5 beyond recovery    6 will recover by itself
    4   2, 3 paper near its end    5, 6 no paper

Source: the programmers' manuals of receipt printers agree on these tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault

QUESTIONS = 4
_FIXED, _FIXED_AS = 0b1001_0011, 0b0001_0010
_TOLD_MASK, _TOLD_FIRST, _TOLD_REST = 0b1001_0011, 0b0001_0000, 0b1001_0000  # status told by itself: four bytes
TOLD_BYTES = 4
MOST_BUFFERED = TOLD_BYTES - 1
_OFFLINE = 0x08


class Flow(Enum):
    """Whether the printer's buffer takes more."""

    GO = 0x11
    STOP = 0x13


@dataclass(frozen=True, slots=True)
class StatusByte:
    """The answer to a real-time question; it does not say to which."""

    value: int


class Done(Enum):
    """The answer in turn, when all before it is done: how the paper is. The two bits of each sensor agree."""

    PAPER = 0x00
    NEAR_END = 0x03
    END = 0x0C
    NEAR_AND_END = 0x0F


@dataclass(frozen=True, slots=True)
class Told:
    """Four bytes that a printer sends by itself when something changes, if somebody has set it so. They answer
    nothing."""

    data: bytes


DeviceFrame = Flow | StatusByte | Done | Told
_SINGLE: dict[int, Flow | Done] = {one.value: one for kind in (Flow, Done) for one in kind}


def checked_status(value: int) -> int:
    """The byte, if its fixed bits are right. Raises ProtocolError(remote)."""
    if not 0 <= value <= 0xFF or value & _FIXED != _FIXED_AS:
        raise ProtocolError("a status byte whose fixed bits are wrong")
    return value


def is_offline(value: int) -> bool:
    """What a byte that answers question 1 says. Raises ProtocolError(remote)."""
    return bool(checked_status(value) & _OFFLINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrinterStatus:
    """How a printer is. `drawer_pin_high` is the drawer's switch; which level means open, its wiring says."""

    offline: bool = False
    drawer_pin_high: bool = False
    cover_open: bool = False
    fed_by_hand: bool = False
    cutter_error: bool = False
    unrecoverable: bool = False
    error: bool = False  # any, those that pass by themselves too
    paper_near_end: bool = False
    paper_end: bool = False

    @classmethod
    def from_bytes(cls, data: bytes) -> PrinterStatus:
        """The answers to questions 1 to 4, in this order. Raises ProtocolError(remote)."""
        if len(data) != QUESTIONS:
            raise ProtocolError(f"{len(data)} status bytes instead of {QUESTIONS}")
        printer, cause, error, paper = (checked_status(value) for value in data)
        return cls(
            offline=bool(printer & _OFFLINE),
            drawer_pin_high=bool(printer & 0x04),
            cover_open=bool(cause & 0x04),
            fed_by_hand=bool(cause & 0x08),
            cutter_error=bool(error & 0x08),
            unrecoverable=bool(error & 0x20),
            error=bool(cause & 0x40 or error & 0x68),
            paper_near_end=bool(paper & 0x0C),
            paper_end=bool(cause & 0x20 or paper & 0x60),
        )

    @property
    def trouble(self) -> str:
        """Why nothing can be printed now, in one word; "" if it can."""
        causes = (
            ("cover_open", self.cover_open),
            ("paper_end", self.paper_end),
            ("cutter_error", self.cutter_error),
            ("error", self.error),
            ("offline", self.offline),
        )
        return next((word for word, holds in causes if holds), "")


class DeviceDecoder:
    """Finds what a printer sends. Holds three bytes at most."""

    def __init__(self, on_fault: OnFault) -> None:
        self._held = bytearray()
        self._on_fault = on_fault

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._held)

    def feed(self, data: bytes) -> list[DeviceFrame]:
        """The frames that are whole now; bytes of none are dropped and reported."""
        frames: list[DeviceFrame] = []
        for byte in data:
            self._take(byte, frames)
        return frames

    def _take(self, byte: int, frames: list[DeviceFrame]) -> None:
        if self._held:
            # Stop and go may stand anywhere and are told by bits 0 and 4 alone, so they break nothing.
            if byte & _TOLD_REST == 0:
                self._held.append(byte)
                if len(self._held) == TOLD_BYTES:
                    frames.append(Told(bytes(self._held)))
                    self._held.clear()
                return
            if byte not in (Flow.GO.value, Flow.STOP.value):
                self._on_fault("framing", "a told status without its end")
                self._held.clear()
        if (single := _SINGLE.get(byte)) is not None:
            frames.append(single)
        elif byte & _FIXED == _FIXED_AS:
            frames.append(StatusByte(byte))
        elif byte & _TOLD_MASK == _TOLD_FIRST:
            self._held.append(byte)
        else:
            self._on_fault("framing", "a byte that no printer sends")
