"""What a cabinet shows: its live session, the end of the last one for some seconds, its alarms."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.event_types import AgeCheckFailed, GateDecision, Line
from edge.sessions import snapshot
from edge.sessions.core.asking import House
from edge.sessions.core.draft import Step
from edge.sessions.core.inputs import Ended, Facts, Memory
from edge.sessions.core.records import Session
from edge.sessions.snapshot import AlarmSnapshot, CabinetSnapshot, SessionSnapshot

OUTCOME_S = 8.0
NOTICE_S = 60.0  # how long an alarm is shown that nothing else keeps up


class Screen:
    """Remembers what the ledger does not: a result on a screen, a bell that rang."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._alarms: dict[tuple[str, str], float] = {}
        self._outcome: tuple[SessionSnapshot, float] | None = None
        self.failed: tuple[str, ...] = ()  # rules that stood against the last ask

    def alarm(self, code: str, subject: str, now_s: float) -> None:
        self._alarms[(code, subject)] = now_s

    def clear(self, code: str, subject: str) -> None:
        self._alarms.pop((code, subject), None)

    def moved(self, before: Memory, after: Memory, now_s: float) -> None:
        """The slot is free again, the money may still move: the buyer is told what was found."""
        session = after.durable.session.get(before.slot.session) if before.slot else None
        if session is not None and after.slot is None:
            self._show(session, session.conclusion or "cancelled", session.proposal, now_s)

    def ended(self, before: Memory, ended: Ended, now_s: float) -> None:
        """A session is over, money and all. A late end does not push a newer result off the screen."""
        session = before.durable.session.get(ended.session)
        shown = self._outcome[0].session if self._outcome and now_s < self._outcome[1] else ended.session
        if session is not None and shown == ended.session:
            self._show(session, ended.outcome, ended.lines, now_s)

    def _show(self, session: Session, outcome: str, lines: tuple[Line, ...], now_s: float) -> None:
        shown = SessionSnapshot(
            session=session.id,
            compartment=session.compartment,
            mode=session.mode,
            state="done",
            declared=session.declared,
            outcome=outcome,
            lines=lines,
            failed_rules=self.failed,
        )
        self._outcome = (shown, now_s + OUTCOME_S)

    def snapshot(self, memory: Memory, facts: Facts, now_s: float, counters: Mapping[str, int]) -> CabinetSnapshot:
        session = snapshot.live(self._house, memory, now_s, self.failed)
        if session is None and self._outcome is not None and now_s < self._outcome[1]:
            session = self._outcome[0]
        return CabinetSnapshot(
            cabinet=self._house.spec.cabinet,
            compartments=snapshot.compartments(self._house, memory, facts),
            session=session,
            reviews=snapshot.reviews(memory),
            alarms=self._standing(memory, now_s),
            revoked=memory.revoked,
            counters=dict(counters),
        )

    def _standing(self, memory: Memory, now_s: float) -> tuple[AlarmSnapshot, ...]:
        for (code, subject), since_s in list(self._alarms.items()):
            kept = code == "ledger_full" or (code == "door_forced" and subject in memory.durable.incident)
            if not kept and now_s - since_s > NOTICE_S:
                del self._alarms[(code, subject)]
        return tuple(AlarmSnapshot(code, subject, s) for (code, subject), s in sorted(self._alarms.items()))


def failed_rules(step: Step) -> tuple[str, ...]:
    """The rules that the step's own decision named; a document that proves no adult is T03."""
    said = [r.data for r in step.transaction.records]
    if any(isinstance(data, AgeCheckFailed) for data in said):
        return ("T03",)
    return next((data.failed for data in said if isinstance(data, GateDecision)), ())
