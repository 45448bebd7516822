"""What goes over a scanner's line: commands one way; codes with replies between them the other way.

A reply has no line end and may stand directly before a code. It holds control characters, which no code does, so
both can be told apart; a code that a reply breaks in two is no code. The same goes for our own commands, which some
adapters send back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from device_drivers.faults import OnFault
from device_drivers.finder import Finder, Verdict
from device_drivers.scanner import gm65, honeywell, newland
from device_drivers.scanner.codec import MAX_TEXT_BYTES, LineDecoder

HostFrame = gm65.Command | newland.Command | newland.ShortTrigger | honeywell.Command
Reply = gm65.Reply | newland.Reply
F = TypeVar("F")

LONGEST_COMMAND = max(gm65.LONGEST_COMMAND, newland.LONGEST_COMMAND, honeywell.FRAME_BYTES)
LONGEST_ECHO = 8 + gm65.MAX_ASKED_BYTES  # of a command that is known when it comes back; we send no longer one
LONGEST_REPLY = max(gm65.LONGEST_REPLY, newland.LONGEST_REPLY, LONGEST_ECHO)
MOST_BUFFERED = max(LONGEST_COMMAND - 1, MAX_TEXT_BYTES + LONGEST_REPLY - 1)
_HEADS = b"\x02\x03\x7e\x16\x1b"  # first bytes of replies, then of commands; a tilde may stand in a code too
_BROKEN = b"\x00"  # makes the half text that stands before it no code


def command_finder(on_fault: OnFault) -> Finder[HostFrame]:
    """Finds the commands of all makers."""
    return Finder(_cut_command, longest=LONGEST_COMMAND, on_fault=on_fault)


class TalkDecoder:
    """Codes as texts, replies as frames, in the order in which they came. Holds one text and one reply at most."""

    def __init__(self, on_fault: OnFault, suffix: bytes | None = None) -> None:
        self._lines = LineDecoder(on_fault, suffix)
        self._on_fault = on_fault
        self._held = b""  # may become a reply

    def feed(self, data: bytes) -> list[str | Reply]:
        """What is whole now."""
        found: list[str | Reply] = []
        buffer, at = self._held + data, 0
        while at < len(buffer):
            if buffer[at] not in _HEADS:
                end = _next_head(buffer, at)
                found += self._lines.feed(buffer[at:end])
                at = end
                continue
            cut = _cut_reply(buffer[at : at + LONGEST_REPLY])
            if cut is Verdict.MORE:
                break
            if isinstance(cut, Verdict):
                if cut is Verdict.BAD_SUM:
                    self._on_fault("crc", "a reply with a wrong check sum")
                found += self._lines.feed(buffer[at : at + 1])  # a tilde, or a byte that no code holds
                at += 1
                continue
            if self._lines.buffered:
                self._lines.feed(_BROKEN)
            if isinstance(cut[0], Reply):
                found.append(cut[0])
            at += cut[1]
        self._held = buffer[at:]
        return found

    def forget(self) -> None:
        """Drop what is half here: the connection that would have brought its end is gone."""
        self._lines.forget()
        self._held = b""

    def lost(self) -> None:
        """Bytes were dropped before the next ones: see `LineDecoder.lost`."""
        self._lines.lost()
        self._held = b""

    @property
    def counters(self) -> dict[str, int]:
        """Every text that was dropped, by reason."""
        return self._lines.counters

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return self._lines.buffered + len(self._held)


def _next_head(buffer: bytes, at: int) -> int:
    places = [place for head in _HEADS if (place := buffer.find(head, at)) >= 0]  # five C loops beat one of ours
    return min(places, default=len(buffer))


def _cut_command(front: bytes) -> tuple[HostFrame, int] | Verdict:
    return _first((gm65.cut_command(front), newland.cut_command(front), honeywell.cut_command(front)))


def _cut_reply(front: bytes) -> tuple[Reply | HostFrame, int] | Verdict:
    if front[0] in (0x02, 0x03):
        return _first((gm65.cut_reply(front), newland.cut_reply(front)))
    too_long = front[:2] == b"\x7e\x00" and len(front) > 3 and front[3] > gm65.MAX_ASKED_BYTES
    return Verdict.NOISE if too_long else _cut_command(front)


def _first(cuts: Sequence[tuple[F, int] | Verdict]) -> tuple[F, int] | Verdict:
    """The frame of whoever knows it; no two makers begin alike, so that at most one waits or complains."""
    for cut in cuts:
        if not isinstance(cut, Verdict):
            return cut
    return next((cut for cut in cuts if cut is not Verdict.NOISE), Verdict.NOISE)
