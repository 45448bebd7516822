"""Table M: the money half of a session, driven by the ledger alone. One key a session, for ever: its id."""

from __future__ import annotations

from typing import Literal

from contracts.event_types import (
    CabinetSettlementResolved,
    CabinetStockChanged,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentFailed,
    PaymentRequested,
    PaymentVoided,
)
from edge.sessions.core.draft import Draft, move_units, total_fen
from edge.sessions.core.inputs import Answer, Decide
from edge.sessions.core.records import Session

Want = Literal["", "void", "capture"]


def want(session: Session) -> Want:
    """What must be asked of the provider, again and again, until a final answer."""
    return session.money


def void(d: Draft, session: str, reason: str = "") -> None:
    """`void?`: the hold goes back, whatever it takes."""
    d.session(session, money="void", reason=reason)
    d.say(PaymentRequested(session=session, kind="void", key=session, amount_fen=0))


def answer(d: Draft, given: Answer) -> None:
    """The provider's word. What does not fit the state is stale: dropped and counted by the caller."""
    session = d.sessions.get(given.session)
    if session is None:
        d.answer = "stale"
    elif given.asked == "authorise":
        _authorised(d, session, given.answer)
    elif given.asked == "void" and session.money == "void" and given.answer in ("voided", "declined"):
        d.say(PaymentVoided(session=session.id, key=session.id))
        d.end(session.id, _outcome_of_void(session), session.reason)
    elif given.asked == "capture" and session.money == "capture" and given.answer == "captured":
        d.say(PaymentCaptured(session=session.id, key=session.id, amount_fen=session.amount_fen))
        charged = "review_charged" if session.staff_id else "settled"
        d.end(session.id, charged, session.reason, session.proposal)
    elif given.asked == "capture" and session.money == "capture" and given.answer in ("voided", "declined"):
        d.say(PaymentFailed(session=session.id, key=session.id, code="hold_gone", amount_fen=session.amount_fen))
        d.end(session.id, "settled_unpaid", "hold_gone", session.proposal)
    else:
        d.answer = "stale"


def _authorised(d: Draft, session: Session, word: str) -> None:
    slot = d.slot
    if slot is None or slot.session != session.id or slot.state != "paying" or word == "captured":
        d.answer = "stale"
    elif word == "held":
        d.session(session.id, held=True)
        d.say(PaymentAuthorised(session=session.id, key=session.id, amount_fen=session.hold_fen))
        d.go("held")
    else:
        d.say(PaymentFailed(session=session.id, key=session.id, code=word, amount_fen=session.hold_fen))
        d.kind("quota").pop(session.id, None)
        d.slot = None
        d.end(session.id, "declined", word)


def _outcome_of_void(session: Session) -> str:
    if session.conclusion == "nothing":
        return "nothing_taken" if session.door_opened else "not_opened"
    return "review_dropped" if session.conclusion == "review" else "voided"


def decide(d: Draft, asked: Decide) -> None:
    """Staff decide a review: charge the proposal, or drop it."""
    session = d.sessions.get(asked.session)
    if session is None or session.conclusion != "review" or session.money:
        d.answer = "no_review"
        return
    if not asked.accept:
        void(d, session.id, "dropped")
        d.session(session.id, staff_id=asked.staff_id)
        return
    amount_fen = total_fen(session.proposal)
    if not session.proposal or any(s.delta_g is None for s in session.deltas):
        d.answer = "no_proposal"
    elif amount_fen > session.hold_fen:
        d.answer = "over_hold"
    else:
        d.session(
            session.id, conclusion="settled", money="capture", amount_fen=amount_fen, staff_id=asked.staff_id, reason=""
        )
        d.say(
            CabinetSettlementResolved(
                session=session.id, lines=session.proposal, shelves=(), decided_by="staff", staff_id=asked.staff_id
            )
        )
        for line in session.proposal:
            move_units(d, line.shelf, {line.sku: -line.qty})
            d.say(
                CabinetStockChanged(
                    shelf=line.shelf, sku=line.sku, delta_units=-line.qty, evidence="staff", session=session.id
                )
            )
        d.say(PaymentRequested(session=session.id, kind="capture", key=session.id, amount_fen=amount_fen))


def expire(d: Draft, review_s: float) -> None:
    """`T_review`: an undecided review gives its hold back. Counts wall time, because it must survive restarts."""
    if d.facts.wall is None:
        return
    wall_s = d.facts.wall.timestamp()
    for session in list(d.sessions.values()):
        if session.conclusion != "review" or session.money:
            continue
        if session.review_wall_s is None or wall_s < session.review_wall_s:  # the clock went back: count anew
            d.session(session.id, review_wall_s=wall_s)
        elif wall_s - session.review_wall_s >= review_s:
            void(d, session.id, "review_expired")
