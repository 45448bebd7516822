"""No heat without an owner: what may be said to a unit that may be hot, so that a question never keeps it so.

Every frame of the host is a sign of life to a unit, whoever asks. So the rule stands here, under all callers: heat that
nobody keeps company hears ABORT and nothing else, until the unit says that it is off, or silence has ended it.
"""

from __future__ import annotations

from enum import Enum, auto

from device_drivers.errors import ProtocolError
from device_drivers.trial_ptp.names import HEATED, Command, State
from device_drivers.trial_ptp.payloads import OfSession, StatusReport

QUIET_S = 2.5  # without a frame: the unit ends heat after 2 s; also the longest for looking, which keeps it hot
ACTS = frozenset({Command.AUTHORIZE, Command.ARM, Command.START, Command.DISPENSE})
_IN_SESSION = HEATED | {State.AUTHORIZED, State.ARMED}
_COLD = frozenset(State) - HEATED
_LOOKS = frozenset({Command.HELLO, Command.STATUS})


class Heat(Enum):
    """What the host knows of a unit's heat."""

    OFF = auto()  # the unit said so, and no START was written since
    KEPT = auto()  # may be on, and its owner is there
    ORPHANED = auto()  # may be on, and nobody owns it: ABORT is due
    UNKNOWN = auto()  # may be on; its state may be asked: at first contact, after ABORT was taken, after silence
    SILENT = auto()  # no good answer to that: nothing but ABORT until the unit has ended heat by itself


class HeatWatch:
    """The rule for one unit. `session_on`: an act was written, or the unit spoke of a session, and no end is known.

    `session` is the last one heard of. Times are seconds of any one clock.
    """

    def __init__(self) -> None:
        self.state = Heat.UNKNOWN  # the process before this one may have left it hot
        self.session = 0
        self.session_on = False
        self.acts_written = 0
        self._keepers = 0
        self._abort_taken = False
        self._written_s = float("-inf")
        self._look_s: float | None = None  # when it was first asked for its state

    @property
    def is_settled(self) -> bool:
        """Anything may be asked."""
        return self.state in (Heat.OFF, Heat.KEPT)

    @property
    def is_kept(self) -> bool:
        """Somebody keeps company."""
        return self._keepers > 0

    def join(self) -> None:
        """An owner begins to keep company."""
        self._keepers += 1

    def leave(self) -> None:
        """An owner is gone. Heat of which the last one is gone stays an orphan, whoever comes."""
        self._keepers -= 1
        if self._keepers == 0 and self.state is Heat.KEPT:
            self.state = Heat.ORPHANED
            self._abort_taken = False

    def allows(self, command: int, now_s: float) -> bool:
        """May this be written now."""
        if command == Command.ABORT:
            return True
        if self.is_settled:
            return command != Command.START or self.is_kept
        if command not in _LOOKS or self.state is Heat.ORPHANED:
            return False
        return not self._must_be_quiet(now_s) or now_s - self._written_s >= QUIET_S

    def wrote(self, command: int, payload: bytes, now_s: float) -> None:
        """A frame is on its way."""
        if command in _LOOKS and not self.is_settled:
            if self._must_be_quiet(now_s):  # it has been
                self.state, self._abort_taken, self._look_s = Heat.UNKNOWN, False, None
            self._look_s = now_s if self._look_s is None else self._look_s
        self._written_s = now_s
        if command in ACTS:
            self.acts_written += 1
            self.session_on = True
        if command == Command.START:
            self.state = Heat.KEPT
            self.session = OfSession.from_bytes(payload).session

    def aborted(self) -> None:
        """The unit took ABORT. Its word is not enough: it is asked for its state."""
        if self.state is Heat.ORPHANED:
            self.state = Heat.UNKNOWN
            self._abort_taken = True
            self._look_s = None

    def reported(self, payload: bytes, acts_written: int) -> bool:
        """The unit answered STATUS, asked when so many acts had been written; False if that is no report."""
        try:
            report = StatusReport.from_bytes(payload)
        except ProtocolError:
            return False
        if report.state not in _COLD:
            self.session_on = True
            self.session = report.session
            if self.state is not Heat.KEPT:
                # One that stays hot behind ABORT shall at least hear nothing.
                self.state = Heat.SILENT if self._abort_taken else Heat.ORPHANED
        elif acts_written == self.acts_written:  # else the report may be older than a START
            self.session_on = report.state in _IN_SESSION
            if self.session_on:
                self.session = report.session
            self.state = Heat.OFF
            self._abort_taken = False
            self._look_s = None
        return True

    def unanswered(self, command: int) -> None:
        """This was written and has no good answer: it may have been heard all the same."""
        if self.state is Heat.UNKNOWN or (self.state is Heat.ORPHANED and command == Command.ABORT):
            self.state = Heat.SILENT

    def _must_be_quiet(self, now_s: float) -> bool:
        """Looking had no good answer, or takes too long."""
        return self.state is Heat.SILENT or (self._look_s is not None and now_s - self._look_s >= QUIET_S)
