"""One direction of the talk: a sender that calls, sends blocks and gives the turn back, and a receiver of the same.

Pure: frames and times in, bytes out. Three rules keep a file the same over a bad line. A sender that hears nothing
asks (ENQ) and is told the last acknowledgement again, so that it never sends a block twice that arrived. A NAK waits
a moment for an acknowledgement behind it, because one byte of noise looks like a NAK. An EOT before the last block
ends nothing: one byte of noise looks like that too, and whoever really left is silent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from device_drivers.eva_dts.audit import MAX_FILE_BYTES
from device_drivers.eva_dts.codec import Block, Control, Frame, Kind, Spoilt

Write = Callable[[bytes], None]
_ACKS = (Control.ACK0, Control.ACK1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Times in seconds and limits. A block has its time on the line at `baud` before `reply_s` begins."""

    reply_s: float = 1.0
    tries: int = 10  # for each block, and for each call
    settle_s: float = 0.2  # a NAK waits so long for an acknowledgement
    idle_s: float = 10.0  # a receiver that hears nothing gives up
    linger_s: float = 3.0  # after the last block without an EOT
    byte_gap_s: float = 0.5  # a block that pauses longer is cut off
    block_bytes: int = 245
    sessions: int = 3  # how often a master begins again
    baud: int = 9600


class Phase(Protocol):
    """What the machine drives. `failed` is a sentence once the phase cannot go on."""

    over: bool
    failed: str
    due_s: float | None

    def begin(self, now_s: float) -> None:
        """The phase has the line now."""

    def hear(self, frame: Frame, now_s: float) -> None:
        """One frame of the other side."""

    def expire(self, now_s: float) -> None:
        """`due_s` has come."""


class Sending:
    """Calls, sends `blocks` in order, gives the turn back. `lingering` is the acknowledgement that the other side may
    still ask for, from the phase before."""

    def __init__(
        self,
        blocks: Sequence[Block],
        write: Write,
        rules: Rules,
        *,
        lingering: Control | None = None,
        anew: bool = False,
    ) -> None:
        self.over = False
        self.failed = ""
        self.due_s: float | None = None
        self.restarted = False
        self._blocks = [block.to_bytes() for block in blocks]
        self._write = write
        self._rules = rules
        self._lingering = lingering
        self._anew = anew
        self._at = -1  # the block that waits for its acknowledgement; -1: the call
        self._tries = 0
        self._asked = False
        self._denied = False
        self._heard_end = False
        self._sent_s = 0.0

    def begin(self, now_s: float) -> None:
        """Call; after a session that failed, end that one first."""
        self._call(now_s, after_end=self._anew)

    def hear(self, frame: Frame, now_s: float) -> None:
        """See the module."""
        if self.over:
            return
        if frame is Control.ENQ and self._heard_end:
            self.restarted = True
            self.failed = "the other side begins again"
            return
        self._heard_end = frame is Control.EOT
        if frame is Control.ACK0 or frame is Control.ACK1:
            self._acknowledged(_ACKS.index(frame), now_s)
        elif frame is Control.NAK and self._at >= 0:
            self._denied = True
            self.due_s = max(now_s, self._sent_s) + self._rules.settle_s
        elif self._at < 0 and self._lingering is not None and _asks_again(frame):
            self._write(self._lingering.to_bytes())

    def expire(self, now_s: float) -> None:
        """No answer, or a NAK that nothing followed."""
        if self._denied:
            self._send(now_s)
        elif self._at < 0:
            self._call(now_s)
        elif self._may_try():
            self._asked = True
            self._write(Control.ENQ.to_bytes())
            self.due_s = now_s + self._rules.reply_s

    def _acknowledged(self, number: int, now_s: float) -> None:
        if number == (self._at + 1) % 2:
            self._at += 1
            self._tries = 0
            self._next(now_s)
        elif self._at < 0:
            # The other side is still at the end of the turn before: that it is over has not reached it.
            self._call(now_s, after_end=True)
        elif self._asked:
            self._send(now_s)

    def _next(self, now_s: float) -> None:
        if self._at < len(self._blocks):
            self._send(now_s)
            return
        self._write(Control.EOT.to_bytes())
        self.over = True
        self.due_s = None

    def _call(self, now_s: float, *, after_end: bool = False) -> None:
        if self._may_try():
            self._write((Control.EOT.to_bytes() if after_end else b"") + Control.ENQ.to_bytes())
            self.due_s = now_s + self._rules.reply_s

    def _send(self, now_s: float) -> None:
        if not self._may_try():
            return
        data = self._blocks[self._at]
        self._asked = self._denied = False
        self._write(data)
        self._sent_s = now_s + len(data) * 10 / self._rules.baud
        self.due_s = self._sent_s + self._rules.reply_s

    def _may_try(self) -> bool:
        self._tries += 1
        if self._tries <= self._rules.tries:
            return True
        self.failed = "nobody answers the call" if self._at < 0 else f"block {self._at + 1} is not acknowledged"
        self.due_s = None
        return False


class Receiving:
    """Takes blocks of `kind` until the last. `patient`: waits for the first call without end."""

    def __init__(self, kind: Kind, write: Write, rules: Rules, *, patient: bool = False) -> None:
        self.over = False
        self.failed = ""
        self.due_s: float | None = None
        self.text = bytearray()
        self._kind = kind
        self._write = write
        self._rules = rules
        self._patient = patient
        self._state: Literal["waiting", "taking", "last"] = "waiting"
        self._count = 0

    @property
    def acknowledgement(self) -> Control:
        """The last one given."""
        return _ACKS[self._count % 2]

    def begin(self, now_s: float) -> None:
        """Listen."""
        self.due_s = None if self._patient else now_s + self._rules.idle_s

    def hear(self, frame: Frame, now_s: float) -> None:
        """See the module."""
        if frame is Control.ENQ:
            self._state = "taking" if self._state == "waiting" else self._state
            self._write(self.acknowledgement.to_bytes())
        elif isinstance(frame, Block):
            self._take(frame)
        elif isinstance(frame, Spoilt) and self._state == "taking":
            self._write(Control.NAK.to_bytes())
        elif frame is Control.EOT and self._state == "last":
            self.over = True
        if self._state != "waiting":
            self.due_s = now_s + (self._rules.linger_s if self._state == "last" else self._rules.idle_s)

    def expire(self, now_s: float) -> None:
        """Silence: the end after the last block, a failure before it."""
        del now_s
        self.due_s = None
        if self._state == "last":
            self.over = True
        else:
            self.failed = "the other side fell silent"

    def _take(self, block: Block) -> None:
        if block.kind is not self._kind:
            # The header of the turn before once more: its acknowledgement was lost.
            if self._count == 0 and block.kind is Kind.HEADER:
                self._write(Control.ACK1.to_bytes())
            return
        if self._state == "waiting":
            return
        if self._state == "taking":
            self.text += block.text
            self._count += 1
            if len(self.text) > MAX_FILE_BYTES:
                self.failed = "the other side sends more than an audit file may have"
                return
            if block.last:
                self._state = "last"
        self._write(self.acknowledgement.to_bytes())


def _asks_again(frame: Frame) -> bool:
    return frame is Control.ENQ or (isinstance(frame, Block) and frame.kind is Kind.HEADER)
