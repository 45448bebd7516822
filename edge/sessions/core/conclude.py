"""Table S: the one conclusion of the physical half, and the transaction that moves the book with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from contracts.event_types import (
    CabinetSettlementNeedsReview,
    CabinetSettlementResolved,
    CabinetStockChanged,
    Line,
    PaymentRequested,
    ShelfDelta,
)
from edge.sessions.core import money
from edge.sessions.core.asking import House, is_tobacco
from edge.sessions.core.draft import Draft, move_units, total_fen
from edge.sessions.core.inputs import ShelfSpec, Weight
from edge.sessions.core.records import Book, Conclusion, Quota, Session
from edge.sessions.core.settlement import Ambiguous, NoFit, Nothing, Unique, Verdict, solve

MAX_CANDIDATES = 999


@dataclass(frozen=True, slots=True)
class Finding:
    """What table S says. `lines` are pieces that left (or came, in a restock): charged, or a proposal to staff."""

    conclusion: Conclusion
    reason: str = ""
    lines: tuple[Line, ...] = ()
    candidates: int = 0
    unknown: bool = False


def _lines(shelf: ShelfSpec, verdict: Verdict) -> tuple[Line, ...]:
    found = verdict.lines if isinstance(verdict, Unique) else verdict.best if isinstance(verdict, Ambiguous) else ()
    return tuple(Line(sku=t.sku, qty=t.qty, price_fen=t.price_fen, shelf=shelf.shelf) for t in found)


def find(house: House, d: Draft, session: Session, weights: Mapping[str, Weight], *, blind: bool) -> Finding:
    """Table S over all shelves of the compartment: door closed, weights stable."""
    book: Mapping[str, Book] = d.kind("book")
    shelves = house.place(session.compartment).shelves
    if any(s.shelf not in book or book[s.shelf].epoch != weights[s.shelf].epoch for s in shelves):
        return Finding("review", "scale_restarted", unknown=True)
    sale = session.sale
    limit = house.policy.sale.max_items if sale else house.policy.sale.restock_max_items
    verdicts: list[Verdict] = []
    lines: tuple[Line, ...] = ()
    for shelf in shelves:
        left_g = book[shelf.shelf].g - weights[shelf.shelf].g
        verdict = solve(left_g if sale else -left_g, shelf.skus, sigma_g=shelf.sigma_g, max_items=limit)
        verdicts.append(verdict)
        lines += _lines(shelf, verdict)
    if all(isinstance(v, Nothing) for v in verdicts):
        return Finding("nothing")
    count = sum(v.count if isinstance(v, Ambiguous) else 1 for v in verdicts if not isinstance(v, Nothing))
    reason = _doubt(session, verdicts, lines, blind=blind)
    if not reason:
        return Finding("settled", lines=lines)
    whole = not any(isinstance(v, NoFit) for v in verdicts)
    return Finding("review", reason, lines if whole and sale else (), min(count, MAX_CANDIDATES))


def _doubt(session: Session, verdicts: list[Verdict], lines: tuple[Line, ...], *, blind: bool) -> str:
    """Why this must not be charged by itself; empty: it may."""
    if any(isinstance(v, NoFit) for v in verdicts):
        return "foreign_item"
    if any(isinstance(v, Ambiguous) for v in verdicts):
        return "ambiguous"
    if not (session.door_opened and session.door_closed):
        return "door_not_seen"
    if blind:
        return "blind"
    if session.sale and sum(line.qty for line in lines) > 6:
        return "too_many"
    if session.mode == "staff_release":
        declared: dict[str, int] = {}
        for line in session.declared:
            declared[line.sku] = declared.get(line.sku, 0) + line.qty
        taken: dict[str, int] = {}
        for line in lines:
            taken[line.sku] = taken.get(line.sku, 0) + line.qty
        if any(n > declared.get(sku, 0) for sku, n in taken.items()):
            return "over_declared"
    if session.sale and total_fen(lines) > session.hold_fen:
        return "over_hold"
    return ""


def review_unknown(house: House, d: Draft, reason: str) -> None:
    """The weights are no evidence: review, and the compartment stays blocked until table W has cleared it."""
    write(house, d, Finding("review", reason, unknown=True), None)


def write(house: House, d: Draft, finding: Finding, weights: Mapping[str, Weight] | None) -> None:
    """One transaction: what became of the goods, the book, the next act with the money. Frees the slot."""
    slot = d.slot
    assert slot is not None
    session = d.sessions[slot.session]
    deltas = _renew(house, d, session, finding, weights)
    if finding.unknown:
        d.incident(session.compartment, unknown=True)
    wall_s = d.facts.wall.timestamp() if d.facts.wall else None
    session = d.session(
        session.id,
        conclusion=finding.conclusion,
        deltas=deltas,
        proposal=finding.lines if session.sale else (),
        review_reason=finding.reason,
        review_wall_s=wall_s,
    )
    d.slot = None
    if finding.conclusion == "review":
        d.say(
            CabinetSettlementNeedsReview(
                session=session.id,
                reason=finding.reason,
                shelves=deltas,
                proposal=finding.lines,
                candidates=finding.candidates,
                blind=slot.blind,
            )
        )
    else:
        d.say(
            CabinetSettlementResolved(
                session=session.id,
                lines=finding.lines if session.sale else (),
                shelves=deltas,
                blind=slot.blind,
            )
        )
    if finding.conclusion == "settled":
        _move_stock(d, session, finding.lines)
    if session.sale:
        _next_with_money(house, d, session, finding)
    else:
        _end_restock(d, session, finding)


def _renew(
    house: House, d: Draft, session: Session, finding: Finding, weights: Mapping[str, Weight] | None
) -> tuple[ShelfDelta, ...]:
    """Move the book to what the scales say now. Unknown weights leave it to table W."""
    deltas: list[ShelfDelta] = []
    for shelf in house.place(session.compartment).shelves:
        book: Book | None = d.kind("book").get(shelf.shelf)
        if finding.unknown or weights is None or book is None:
            held = book or Book(g=0.0, epoch=0)
            deltas.append(ShelfDelta(shelf=shelf.shelf, delta_g=None, book_g=held.g, epoch=held.epoch))
            continue
        now = weights[shelf.shelf]
        d.kind("book")[shelf.shelf] = msgspec.structs.replace(book, g=now.g, epoch=now.epoch)
        delta_g = round(book.g - now.g, 3)
        deltas.append(ShelfDelta(shelf=shelf.shelf, delta_g=delta_g, book_g=now.g, epoch=now.epoch))
    return tuple(deltas)


def _move_stock(d: Draft, session: Session, lines: tuple[Line, ...]) -> None:
    sign = -1 if session.sale else 1
    for line in lines:
        move_units(d, line.shelf, {line.sku: sign * line.qty})
        d.say(
            CabinetStockChanged(
                shelf=line.shelf, sku=line.sku, delta_units=sign * line.qty, evidence="weight", session=session.id
            )
        )


def _next_with_money(house: House, d: Draft, session: Session, finding: Finding) -> None:
    if finding.conclusion == "nothing":
        d.kind("quota").pop(session.id, None)
        money.void(d, session.id)
    elif finding.conclusion == "settled":
        amount_fen = total_fen(finding.lines)
        d.session(session.id, money="capture", amount_fen=amount_fen)
        d.say(PaymentRequested(session=session.id, kind="capture", key=session.id, amount_fen=amount_fen))
        quota: Quota | None = d.kind("quota").get(session.id)
        if quota is not None and is_tobacco(house, session):
            taken = sum(line.qty for line in finding.lines)
            d.kind("quota")[session.id] = msgspec.structs.replace(quota, units=taken)


def _end_restock(d: Draft, session: Session, finding: Finding) -> None:
    if finding.conclusion == "settled":
        d.kind("count_due").pop(session.compartment, None)
        d.end(session.id, "restocked")
    elif finding.conclusion == "nothing":
        d.end(session.id, "nothing_taken" if session.door_opened else "not_opened")
    else:
        d.flag("count_due", session.compartment)
        d.end(session.id, "review_dropped", finding.reason)
