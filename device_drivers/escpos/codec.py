"""What a host says to a receipt printer, cut into text and commands. Pure; it reads far more than this house writes.

Every command is known by its first bytes; the table says how many parameters follow, and for a few how much data after
them. Such data is counted and not held. Source: the command set that receipt printers share (ESC/POS).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from device_drivers.faults import OnFault

MAX_TEXT_BYTES = 128  # in one frame; a longer run is more frames
MAX_HEAD_BYTES = 64  # of one command before its data, tab stops among them
MOST_BUFFERED = MAX_TEXT_BYTES
KEPT_BODY_BYTES = 3  # of the data: what a function is about, never what it says
_ZERO_ENDS = -1  # parameters until a zero


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


@dataclass(frozen=True, slots=True)
class _Kind:
    """`parameters` after the prefix; then `body` bytes of data, which a head tells."""

    says: str
    parameters: int = 0
    body: Callable[[bytes], int] | None = None
    acts: bool = True

    @property
    def is_open(self) -> bool:
        """Whether its parameters end with a zero: they may hold text."""
        return self.parameters == _ZERO_ENDS


def _cut_more(head: bytes) -> int:
    return 1 if head[2] >= 0x41 else 0


def _barcode(head: bytes) -> int:
    return head[3]


def _stripe(head: bytes) -> int:
    return _word(head, 3) * (3 if head[2] >= 0x20 else 1)


def _raster(head: bytes) -> int:
    return _word(head, 4) * _word(head, 6)


def _after_length(head: bytes) -> int:
    return _word(head, 3)


def _stored_picture(head: bytes) -> int:
    return head[2] * head[3] * 8


def _real_time_act(head: bytes) -> int:
    return 7 if head[2] == 0x08 else 2


KINDS: dict[bytes, _Kind] = {
    b"\x09": _Kind("tab"),
    b"\x0a": _Kind("line end"),
    b"\x0c": _Kind("page end"),
    b"\x0d": _Kind("carriage return"),
    b"\x18": _Kind("forget the page"),
    b"\x10\x04": _Kind("ask for status", 1, acts=False),
    b"\x10\x05": _Kind("recover", 1),
    b"\x10\x14": _Kind("act at once", 1, _real_time_act),
    b"\x1b\x40": _Kind("start anew"),
    b"\x1b\x0c": _Kind("print the page"),
    b"\x1b\x20": _Kind("space between characters", 1),
    b"\x1b\x21": _Kind("print mode", 1),
    b"\x1b\x24": _Kind("place", 2),
    b"\x1b\x25": _Kind("own characters", 1),
    b"\x1b\x2a": _Kind("picture", 3, _stripe),
    b"\x1b\x2d": _Kind("underline", 1),
    b"\x1b\x32": _Kind("usual line space"),
    b"\x1b\x33": _Kind("line space", 1),
    b"\x1b\x3d": _Kind("choose device", 1),
    b"\x1b\x42": _Kind("buzzer", 2),
    b"\x1b\x44": _Kind("tab stops", _ZERO_ENDS),
    b"\x1b\x45": _Kind("bold", 1),
    b"\x1b\x47": _Kind("double strike", 1),
    b"\x1b\x4a": _Kind("feed dots", 1),
    b"\x1b\x4c": _Kind("page mode"),
    b"\x1b\x4d": _Kind("font", 1),
    b"\x1b\x52": _Kind("country", 1),
    b"\x1b\x53": _Kind("line mode"),
    b"\x1b\x54": _Kind("direction", 1),
    b"\x1b\x56": _Kind("turn", 1),
    b"\x1b\x57": _Kind("area", 8),
    b"\x1b\x5c": _Kind("move", 2),
    b"\x1b\x61": _Kind("align", 1),
    b"\x1b\x63\x33": _Kind("paper sensors", 1),
    b"\x1b\x63\x34": _Kind("sensors that stop", 1),
    b"\x1b\x63\x35": _Kind("buttons", 1),
    b"\x1b\x64": _Kind("feed lines", 1),
    b"\x1b\x65": _Kind("feed back", 1),
    b"\x1b\x69": _Kind("cut"),
    b"\x1b\x6d": _Kind("cut but for a point"),
    b"\x1b\x70": _Kind("drawer pulse", 3),
    b"\x1b\x72": _Kind("colour", 1),
    b"\x1b\x74": _Kind("code page", 1),
    b"\x1b\x75": _Kind("ask for the drawer", 1, acts=False),
    b"\x1b\x76": _Kind("ask for paper", acts=False),
    b"\x1b\x7b": _Kind("upside down", 1),
    b"\x1c\x21": _Kind("Chinese print mode", 1),
    b"\x1c\x26": _Kind("Chinese on"),
    b"\x1c\x2d": _Kind("Chinese underline", 1),
    b"\x1c\x2e": _Kind("Chinese off"),
    b"\x1c\x53": _Kind("Chinese space", 2),
    b"\x1c\x57": _Kind("Chinese size", 1),
    b"\x1c\x70": _Kind("stored picture", 2),
    b"\x1d\x21": _Kind("size", 1),
    b"\x1d\x24": _Kind("place, vertically", 2),
    b"\x1d\x28": _Kind("function", 3, _after_length),
    b"\x1d\x2a": _Kind("load picture", 2, _stored_picture),
    b"\x1d\x2f": _Kind("print picture", 1),
    b"\x1d\x42": _Kind("white on black", 1),
    b"\x1d\x48": _Kind("text at bar code", 1),
    b"\x1d\x49": _Kind("ask who it is", 1, acts=False),
    b"\x1d\x4c": _Kind("left margin", 2),
    b"\x1d\x50": _Kind("units", 2),
    b"\x1d\x56": _Kind("cut", 1, _cut_more),
    b"\x1d\x57": _Kind("width", 2),
    b"\x1d\x5c": _Kind("move, vertically", 2),
    b"\x1d\x61": _Kind("tell status by itself", 1),
    b"\x1d\x62": _Kind("smooth", 1),
    b"\x1d\x66": _Kind("font of bar code", 1),
    b"\x1d\x68": _Kind("height of bar code", 1),
    b"\x1d\x72": _Kind("ask when done", 1, acts=False),
    b"\x1d\x76\x30": _Kind("raster", 5, _raster),
    b"\x1d\x77": _Kind("width of bar code", 1),
    b"\x1d\x7c": _Kind("density", 1),
}
for _number in range(7):  # bar codes that end with a zero, and those that say their length
    KINDS[b"\x1d\x6b" + bytes((_number,))] = _Kind("bar code", _ZERO_ENDS)
for _number in range(65, 80):
    KINDS[b"\x1d\x6b" + bytes((_number,))] = _Kind("bar code", 1, _barcode)
_BEGINNINGS = {prefix[:length] for prefix in KINDS for length in range(1, len(prefix))}


@dataclass(frozen=True, slots=True)
class Print:
    """Some text, as bytes: printed, and of nobody's business but the customer's."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Command:
    """One command: `head` without its data, the first bytes of the data, and how long the data is."""

    prefix: bytes
    head: bytes
    begin: bytes = b""
    body_bytes: int = 0

    @property
    def kind(self) -> _Kind:
        """What the table says of it."""
        return KINDS[self.prefix]


HostFrame = Print | Command


def is_text(byte: int) -> bool:
    """Whether a byte is printed outside a command."""
    return byte >= 0x20 and byte != 0x7F


class HostDecoder:
    """Finds text and commands. Holds 128 bytes at most, whatever lengths are claimed."""

    def __init__(self, on_fault: OnFault) -> None:
        self._on_fault = on_fault
        self._text = bytearray()
        self._head = bytearray()
        self._prefix = b""
        self._begin = bytearray()
        self._body_bytes = self._left = 0

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._text) + len(self._head) + len(self._begin)

    def feed(self, data: bytes) -> list[HostFrame]:
        """The frames that are whole now. A run of text is whole at the next command or when it is long."""
        frames: list[HostFrame] = []
        at = 0
        while at < len(data):
            if self._left:
                at += self._body(data[at:], frames)
                continue
            byte = data[at]
            at += 1
            if self._head:
                self._grow(byte, frames)
            elif is_text(byte):
                self._text.append(byte)
                if len(self._text) == MAX_TEXT_BYTES:
                    self._end_text(frames)
            else:
                self._end_text(frames)
                self._start(byte, frames)
        return frames

    def _end_text(self, frames: list[HostFrame]) -> None:
        if self._text:
            frames.append(Print(bytes(self._text)))
            self._text.clear()

    def _start(self, byte: int, frames: list[HostFrame]) -> None:
        one = bytes((byte,))
        if one not in KINDS and one not in _BEGINNINGS:
            self._on_fault("framing", "a control that begins no command")
            return
        self._head.append(byte)
        self._advance(frames)

    def _grow(self, byte: int, frames: list[HostFrame]) -> None:
        self._head.append(byte)
        self._advance(frames)

    def _advance(self, frames: list[HostFrame]) -> None:
        """Look whether the head is whole now."""
        head = bytes(self._head)
        if not self._prefix:
            if head in KINDS:
                self._prefix = head
            elif head in _BEGINNINGS:
                return
            else:
                self._on_fault("framing", "a command that is not known")
                self._head.clear()
                return
        kind, more = KINDS[self._prefix], len(head) - len(self._prefix)
        if kind.is_open:
            if more and head[-1] == 0:
                self._whole(frames)
            elif len(head) == MAX_HEAD_BYTES:
                self._on_fault("framing", "parameters without an end")
                self._clear()
        elif more == kind.parameters:
            self._left = self._body_bytes = kind.body(head) if kind.body is not None else 0
            if not self._left:
                self._whole(frames)

    def _body(self, data: bytes, frames: list[HostFrame]) -> int:
        """Pass over data of a command; how many bytes were its."""
        taken = min(self._left, len(data))
        self._begin += data[: min(taken, KEPT_BODY_BYTES - len(self._begin))]
        self._left -= taken
        if not self._left:
            self._whole(frames)
        return taken

    def _whole(self, frames: list[HostFrame]) -> None:
        frames.append(Command(self._prefix, bytes(self._head), bytes(self._begin), self._body_bytes))
        self._clear()

    def _clear(self) -> None:
        self._head.clear()
        self._begin.clear()
        self._prefix = b""
        self._body_bytes = 0
