"""The truth of a run against the ledger that the cloud holds of it: equal, or one sentence for each difference."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from simulators.truth.answers import check_answers, check_sales
from simulators.truth.doors import Darkness, check_closings, check_openings, check_pulses, crosses_kill
from simulators.truth.goods import Difference, check_lines, check_shelves, moves_of
from simulators.truth.records import TruthRecord
from simulators.truth.sessions import PEOPLE_MODES, Event, Ledger, Session, fold_events
from simulators.truth.streams import StreamFacts, check_streams
from simulators.truth.visits import Truth, Visit, fold_truth

TOLERANCE_G = 3.0
BOUNCE_S = 1.0
LATE_S = 3.0
LINGER_S = 20.0  # a session may begin so long after its visitor has walked away

CONCLUDED = {
    "settled": "sold",
    "settled_unpaid": "sold",
    "nothing_taken": "nothing",
    "not_opened": "nothing",
    "review_charged": "review",
    "review_dropped": "review",
    "voided": "none",
    "cancelled": "none",
    "declined": "none",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was found. `findings` are differences; `excused` are differences that a broken sensor explains."""

    findings: tuple[str, ...]
    excused: tuple[str, ...]
    open_reviews: tuple[str, ...]
    false_reviews: tuple[str, ...]
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """True if the ledger tells the truth."""
        return not self.findings

    def to_json(self) -> bytes:
        """All of it as JSON."""
        return msgspec.json.encode(
            {
                "equal": self.equal,
                "findings": self.findings,
                "excused": self.excused,
                "open_reviews": self.open_reviews,
                "false_reviews": self.false_reviews,
                "counters": self.counters,
            }
        )


def compare(
    truth: Iterable[TruthRecord],
    events: Iterable[Event],
    *,
    kills: Sequence[float] = (),
    streams: Sequence[StreamFacts] = (),
    tolerance_g: float = TOLERANCE_G,
    bounce_s: float = BOUNCE_S,
    late_s: float = LATE_S,
) -> Comparison:
    """Compare a run with its ledger. `events` as the cloud holds them, in order; `kills` in store seconds.

    `tolerance_g`: what a scale may be wrong by. `bounce_s`: an opening shorter than this may be missed by the polls.
    `late_s`: how long after its cause an event may be stamped, in store seconds (a fast store clock makes it longer).
    """
    events = list(events)
    facts, ledger = fold_truth(truth), fold_events(events)
    dark = Darkness.of(ledger, kills, late_s=late_s)
    visits, findings = match_visits(facts, ledger)
    findings += check_streams(events, streams)
    differences: list[Difference] = list(check_shelves(facts, ledger, tolerance_g=tolerance_g))
    for session in ledger.sessions.values():
        findings += check_session(session, kills)
        differences += check_lines(facts, session)
    findings += check_openings(facts, ledger, dark, bounce_s=bounce_s, late_s=late_s)
    findings += check_closings(facts, ledger, late_s=late_s)
    findings += check_pulses(facts, ledger)
    served = {visit.name for visit in visits.values()}
    findings += check_answers(facts, ledger, dark, served, late_s=late_s)
    findings += check_sales(facts, ledger)
    findings += [sentence for broken, sentence in differences if not broken]
    excused = [sentence for broken, sentence in differences if broken]
    open_reviews = tuple(s.id for s in ledger.sessions.values() if s.reviewed and not s.ends)
    false_reviews = tuple(s.id for s in ledger.sessions.values() if _is_false(s, visits.get(s.id), facts, kills))
    return Comparison(
        findings=tuple(findings),
        excused=tuple(excused),
        open_reviews=open_reviews,
        false_reviews=false_reviews,
        counters=_counters(facts, ledger) | {"open_reviews": len(open_reviews), "false_reviews": len(false_reviews)},
    )


def match_visits(truth: Truth, ledger: Ledger) -> tuple[dict[str, Visit], list[str]]:
    """Which visit each session served: same cabinet, same member, the last claim before it that none has used."""
    claims: dict[str, list[tuple[float, str]]] = {}
    for visit in truth.visits.values():
        claims.setdefault(visit.cabinet, []).extend((t, visit.name) for t in visit.claims)
    for mine in claims.values():
        mine.sort()
    used: set[tuple[float, str]] = set()
    found: dict[str, Visit] = {}
    findings: list[str] = []
    for session in sorted(ledger.sessions.values(), key=lambda one: one.started_s):
        start = session.start
        if start is None or start.mode not in PEOPLE_MODES:
            continue
        mine = claims.get(start.cabinet, [])
        before = mine[: bisect_right(mine, session.started_s, key=lambda claim: claim[0])]
        for claim in reversed(before):
            visit = truth.visits[claim[1]]
            here = session.started_s <= visit.ended_s + LINGER_S
            if here and claim not in used and (not start.actor_ref or visit.member in ("", start.actor_ref)):
                used.add(claim)
                found[session.id] = visit
                break
        else:
            findings.append(f"session {session.id} at {start.cabinet} serves nobody who was there")
    for session in ledger.sessions.values():
        takers = {move.visit for move in moves_of(truth, session)} - {""}
        if takers and session.id in found and found[session.id].name not in takers:
            findings.append(f"session {session.id} is of {found[session.id].name}, its goods went to {min(takers)}")
    return found, findings


def check_session(session: Session, kills: Sequence[float]) -> Iterator[str]:
    """One start, one conclusion, one end that fits it, the money that fits the sale; never charged blind."""
    name = f"session {session.id}"
    if len(session.starts) != 1:
        yield f"{name} starts {len(session.starts)} times"
    if len(session.ends) > 1:
        yield f"{name} ends {len(session.ends)} times"
    if not session.ends and not session.reviewed:
        yield f"{name} has no end and is no open review"
    first = session.first
    by_weight = [one for one in session.conclusions if not one.by_staff]
    if len(by_weight) > 1 or len(session.conclusions) > 2 or (first is not None and first.by_staff):
        yield f"{name} is concluded {len(session.conclusions)} times"
    if first is not None and first.lines:
        if crosses_kill(session, kills):
            yield f"{name} was alive while the agent died and is settled by weight alone"
        if not session.opened or not session.closed:
            yield f"{name} sells although its door was not seen to open and close"
    if first is not None and not session.grants:
        yield f"{name} is concluded and had no intent"
    yield from _end(session, name)


def _end(session: Session, name: str) -> Iterator[str]:
    if not session.ends or session.start is None:
        return
    outcome, first = session.ends[0][1], session.first
    concluded = "none" if first is None else "review" if first.lines is None else "sold" if first.lines else "nothing"
    wanted = CONCLUDED.get(outcome)
    if session.start.mode in PEOPLE_MODES:
        staff_charged = outcome == "settled" and concluded == "review" and len(session.conclusions) == 2
        if wanted != concluded and not staff_charged:
            yield f"{name} ends {outcome}, its conclusion is {concluded}"
        if (outcome == "not_opened") and session.opened:
            yield f"{name} ends not_opened, its door was seen open"
        if (outcome == "nothing_taken") and not session.opened:
            yield f"{name} ends nothing_taken, its door was never seen open"
    due = [sum(line.qty * line.price_fen for line in session.sold)] if outcome in ("settled", "review_charged") else []
    if session.captured != due:
        yield f"{name} ends {outcome} and captured {session.captured} fen, not {due}"


def _is_false(session: Session, visit: Visit | None, truth: Truth, kills: Sequence[float]) -> bool:
    """True for a review of a visit in which nothing was broken, forced, foreign or misplaced."""
    first = session.first
    if first is None or first.lines is not None or visit is None or crosses_kill(session, kills):
        return False
    if any(True for _ in truth.faults_at(session.compartment, visit.started_s, first.t)):
        return False
    moves = moves_of(truth, session)
    taken: dict[tuple[str, str], int] = {}
    for move in moves:
        taken[move.shelf, move.sku] = taken.get((move.shelf, move.sku), 0) + move.qty
    odd = any(not sku for _, sku in taken) or any(qty < 0 for qty in taken.values())
    forced = any(
        o.forced and o.compartment == session.compartment and o.opened_s <= first.t <= o.closed_s + LATE_S
        for o in truth.openings
    )
    return not odd and not forced


def _counters(truth: Truth, ledger: Ledger) -> dict[str, int]:
    sold = [line for session in ledger.sessions.values() for line in session.sold]
    return {
        "visits": len(truth.visits),
        "sessions": len(ledger.sessions),
        "sale_lines": len(sold),
        "units": sum(line.qty for line in sold),
        "openings": len(truth.openings),
        "pulses": len(truth.pulses),
        "reviews": sum(session.reviewed for session in ledger.sessions.values()),
        "unexplained": ledger.unexplained_events,
        "unknown_weights": sum(
            said.delta_g is None
            for said in (
                *(
                    shelf
                    for session in ledger.sessions.values()
                    for one in session.conclusions
                    for shelf in one.shelves
                ),
                *(shelf for _, _, shelf in ledger.unexplained),
            )
        ),
    }
