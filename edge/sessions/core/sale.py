"""Tables A, B and C up to the frame: request, proofs, hold, intent, and every way to end before a pulse."""

from __future__ import annotations

import msgspec

from contracts.event_types import (
    AgeCheckExpired,
    AgeCheckFailed,
    AgeCheckPassed,
    CabinetSessionDeclared,
    CabinetSessionStarted,
    CabinetUnlockCompleted,
    CabinetUnlockDenied,
    CabinetUnlockGranted,
    GateDecision,
    Line,
    PaymentRequested,
    ShelfWeight,
)
from edge.sessions.core import gate, money
from edge.sessions.core.asking import House, ask, decide, gate_facts, is_tobacco, standing, units, view
from edge.sessions.core.draft import Draft, total_fen
from edge.sessions.core.gate import AgeProof
from edge.sessions.core.inputs import MAX_LINES, Authorise, Declare, Drop, Give, Prove, Request, Slot, Unlock
from edge.sessions.core.records import Intent, Quota, Session

REASONS = {
    "revoke": "revoked",
    "T01": "staff_absent",
    "T04": "no_licence",
    "T05": "closed",
    "T06": "over_cap",
    "T11": "counter_only",
    "T14": "ledger_full",
}
MIN_AGE = 18


def request(house: House, d: Draft, asked: Request) -> None:
    """A customer, or staff for a restock, ask for a compartment."""
    spec = house.spec
    place = spec.compartments.get(asked.compartment)
    if place is None or asked.session in d.sessions:
        d.answer = "no_such_compartment"
        return
    lines = _basket(house, asked)
    reason = ""
    if d.facts.writable is not True:
        d.answer = "ledger_full"
        return
    if d.slot is not None:
        reason = "busy"
    elif asked.compartment in d.kind("incident"):
        reason = "blocked"
    elif asked.mode not in ("restock", spec.mode):
        reason = "counter_only"
    elif view(d, asked.compartment).open is None:
        reason = "device_offline"
    elif any(s.shelf not in d.kind("book") for s in place.shelves):
        reason = "not_ready"
    elif asked.mode != "restock" and asked.compartment in d.kind("count_due"):
        reason = "count_due"  # a restock may open it: that is how staff reach the goods
    elif lines is None:
        reason = "bad_basket"
    if reason or lines is None:
        _deny(house, d, asked, reason)
        return
    session = Session(
        id=asked.session,
        cabinet=spec.cabinet,
        compartment=asked.compartment,
        mode=asked.mode,
        buyer=asked.buyer,
        declared=lines,
    )
    d.kind("session")[asked.session] = session
    d.slot = Slot(asked.session, asked.compartment, "asked", d.now_s)
    failed = tuple(r for r in ask(house, d, "g1") if r in standing(house, session) | {"T14"})
    if asked.mode == "staff_release" and not failed and units(lines) > house.policy.sale.max_items:
        reason = "bad_basket"
    if failed or reason:
        del d.kind("session")[asked.session]
        d.slot = None
        _deny(house, d, asked, reason or REASONS[failed[0]], failed)
        return
    d.say(
        CabinetSessionStarted(
            session=asked.session,
            cabinet=spec.cabinet,
            compartment=asked.compartment,
            mode=asked.mode,
            actor_ref=asked.buyer,
            declared=lines,
        )
    )


def _basket(house: House, asked: Request) -> tuple[Line, ...] | None:
    """Lines declared with a request (none: they follow the proof of age); None if they name what is not there."""
    return _priced(house, asked.compartment, asked.declared) if asked.mode == "staff_release" and asked.declared else ()


def _priced(house: House, compartment: str, declared: tuple[Line, ...]) -> tuple[Line, ...] | None:
    """Lines with our own prices; None if there are none or they name what is not there."""
    known = {(s.shelf, k.sku): k for s in house.place(compartment).shelves for k in s.skus}
    lines: list[Line] = []
    for line in declared[: MAX_LINES + 1]:
        sku = known.get((line.shelf, line.sku))
        if sku is None or line.qty < 1:
            return None
        lines.append(msgspec.structs.replace(line, price_fen=sku.price_fen))
    return tuple(lines) if 0 < len(lines) <= MAX_LINES else None


def _deny(house: House, d: Draft, asked: Request, reason: str, failed: tuple[str, ...] = ()) -> None:
    d.answer = reason
    d.say(
        CabinetUnlockDenied(
            cabinet=house.spec.cabinet,
            compartment=asked.compartment,
            reason=reason,
            session=asked.session,
            rule_ids=failed,
        )
    )
    if failed:
        d.say(
            GateDecision(
                session=asked.session,
                stage="g1",
                outcome="denied",
                failed=failed,
                inputs={"compartment": asked.compartment},
                policy_version=house.policy.version,
            )
        )


def prove(house: House, d: Draft, proof: Prove) -> None:
    """T03: the buyer was checked. A failed check ends nothing: another document may be shown."""
    slot = d.slot
    if slot is None or slot.session != proof.session or slot.state not in ("asked", "paying", "held"):
        d.answer = "no_session"
    elif proof.passed:
        day = house.policy.hours.local(d.facts.wall).date() if d.facts.wall else None
        d.keep(age=AgeProof(proof.session, d.now_s, proof.person_day_key, day))
        d.say(AgeCheckPassed(session=proof.session, method=proof.method, min_age=MIN_AGE))
    else:
        d.answer = "not_adult"
        d.keep(age=None)
        d.say(AgeCheckFailed(session=proof.session, method=proof.method, min_age=MIN_AGE, reason="not_adult"))


def declare(house: House, d: Draft, given: Declare) -> None:
    """What a proven adult wants, before any release; another word replaces the first."""
    slot = d.slot
    if slot is None or slot.session != given.session or slot.state != "asked":
        d.answer = "no_session"
        return
    session = d.sessions[slot.session]
    lines = _priced(house, session.compartment, given.lines)
    if session.mode != "staff_release" or lines is None or units(lines) > house.policy.sale.max_items:
        d.answer = "bad_basket"
    elif slot.age is None:
        d.answer = "age_needed"
    else:
        d.session(session.id, declared=lines)
        if "T06" in ask(house, d, "g1"):
            d.session(session.id, declared=session.declared)
            decide(house, d, "g1", "denied", ("T06",))
            d.answer = REASONS["T06"]
        else:
            d.say(CabinetSessionDeclared(session=session.id, lines=lines))


def give(house: House, d: Draft, given: Give) -> None:
    """Staff release the live session: g1."""
    slot, release = d.slot, given.release
    if slot is None or slot.session != release.session or slot.state not in ("asked", "held"):
        d.answer = "no_session"
        return
    if slot.state == "held" and slot.release is not None:
        d.answer = "released_already"
        return
    session = d.sessions[slot.session]
    if session.mode == "staff_release" and not session.declared:
        d.answer = "nothing_declared"
        return
    if given.declared is not None and given.declared != session.declared:
        d.answer = "basket_changed"
        return
    d.keep(release=release, released=slot.released + 1)
    failed = ask(house, d, "g1")
    if failed:
        word = _denied(house, d, failed)
        decide(house, d, "g1", "denied", failed)
        d.keep(release=None, released=slot.released)
        d.answer = word
        return
    if slot.state == "asked":
        _leave_asked(house, d)
    else:
        decide(house, d, "g1", "allowed")


def _denied(house: House, d: Draft, failed: tuple[str, ...]) -> str:
    """The word for a release that was denied: of T02 it says who is not known, or that they are one."""
    facts = gate_facts(house, d, "g1")
    if failed[0] != "T02" or facts.kind != "tobacco_sale":
        return REASONS.get(failed[0], failed[0])
    return "T03" if facts.age is None else gate.same_person(facts, house.policy) or "T02"


def _leave_asked(house: House, d: Draft) -> None:
    """g1 has passed: reserve the quota, ask for the hold; a restock needs none."""
    slot = d.slot
    assert slot is not None
    session = d.sessions[slot.session]
    if is_tobacco(house, session):
        decide(house, d, "g1", "allowed")
        if slot.age is not None and slot.age.person_day_key and d.facts.wall is not None:
            d.kind("quota")[session.id] = Quota(
                cabinet=house.spec.cabinet,
                person=slot.age.person_day_key,
                day=house.policy.hours.local(d.facts.wall).date().isoformat(),
                units=units(session.declared),
            )
    if not session.sale:
        d.go("held")
        return
    amount_fen = total_fen(session.declared) if session.mode == "staff_release" else house.policy.sale.hold_fen
    d.session(session.id, pay_asked=True, hold_fen=amount_fen)
    d.say(PaymentRequested(session=session.id, kind="authorise", key=session.id, amount_fen=amount_fen))
    d.go("paying")
    d.do(Authorise(session.id, amount_fen))


def drop(house: House, d: Draft, asked: Drop) -> None:
    """X by a person: the buyer leaves, or staff refuse. After the frame there is nothing left to drop."""
    slot = d.slot
    if slot is None or slot.session != asked.session:
        d.answer = "no_session"
    elif slot.state in ("asked", "paying", "held"):
        cancel(house, d, asked.reason)
    elif slot.state == "intent":
        not_sent(house, d, (asked.reason,))
    else:
        d.answer = "too_late"


def cancel(house: House, d: Draft, reason: str, failed: tuple[str, ...] = ()) -> None:
    """End before any pulse: what may be held is voided, what is not held just ends."""
    slot = d.slot
    assert slot is not None
    if failed:
        decide(house, d, "revoke" if "revoke" in failed else "lapse", "denied", failed)
    if "T03" in failed and slot.age is not None:
        d.say(AgeCheckExpired(session=slot.session))
    d.slot = None
    d.kind("quota").pop(slot.session, None)
    if d.sessions[slot.session].pay_asked:
        money.void(d, slot.session, reason)
    else:
        d.end(slot.session, "cancelled", reason)


def advance(house: House, d: Draft) -> None:
    """What a pending session does by itself: lapse, time-out, or the next row."""
    slot = d.slot
    if slot is None or slot.state not in ("asked", "paying", "held"):
        return
    session, limits = d.sessions[slot.session], house.policy.timeouts_s
    if slot.state == "held":
        _drop_release(house, d)
    failed = gate.failing(gate_facts(house, d, "g1" if slot.state == "asked" else "g2"), house.policy)
    lapsed = tuple(r for r in failed if r in _can_lapse(house, d, session))
    limit_s = {"asked": limits.request, "paying": limits.pay}.get(slot.state, limits.held)
    if lapsed:
        cancel(house, d, REASONS.get(lapsed[0], lapsed[0]), lapsed)
    elif d.now_s - slot.since_s >= limit_s:
        cancel(house, d, "timeout")
    elif failed:
        return
    elif slot.state == "asked":
        if not is_tobacco(house, session):
            _leave_asked(house, d)
    elif slot.state == "held" and not ask(house, d, "g2"):
        intend(house, d)


def _can_lapse(house: House, d: Draft, session: Session) -> frozenset[str]:
    """Rules whose failing ends the session; the others may still be fulfilled by waiting for a person."""
    assert d.slot is not None
    always = standing(house, session)
    if not is_tobacco(house, session):
        return always | {"T02"}
    if d.slot.state == "paying":
        return always | {"T02", "T03"}
    if d.slot.state == "held" and session.sale:
        return always | {"T03"}
    return always


def _drop_release(house: House, d: Draft) -> None:
    """A release that has expired, or whose giver has left, is dead; staff may release again, twice at most."""
    slot = d.slot
    assert slot is not None
    if slot.release is None:
        return
    failed = gate.failing(gate_facts(house, d, "g2"), house.policy)
    gone = not gate.on_duty_since(gate_facts(house, d, "g2"), slot.release)
    if "T02" not in failed and not gone:
        return
    if slot.released <= house.policy.sale.release_again:
        decide(house, d, "lapse", "denied", ("T02",))
        d.keep(release=None)


def intend(house: House, d: Draft) -> None:
    """The intent: durable before its frame; it spends the release and renews the book within tolerance."""
    slot = d.slot
    assert slot is not None
    session, weights = d.sessions[slot.session], view(d, slot.compartment).weights
    assert weights is not None
    place, attempt = house.place(slot.compartment), len(session.intents) + 1
    shown: list[ShelfWeight] = []
    for shelf in place.shelves:
        book, now = d.kind("book")[shelf.shelf], weights[shelf.shelf]
        shown.append(ShelfWeight(shelf=shelf.shelf, book_g=book.g, fresh_g=now.g, epoch=now.epoch))
        d.kind("book")[shelf.shelf] = msgspec.structs.replace(book, g=now.g)
    intent = Intent(id=f"{session.id}-{attempt}", attempt=attempt, release=slot.release.id if slot.release else "")
    if is_tobacco(house, session):
        decide(house, d, "g2", "allowed")
    d.session(session.id, intents=(*session.intents, intent))
    kind = gate_facts(house, d, "g2").kind
    d.say(
        CabinetUnlockGranted(
            session=session.id,
            intent=intent.id,
            attempt=1 if attempt == 1 else 2,
            board=place.address,
            channel=place.channel,
            weights=tuple(shown),
            rule_ids=gate.rules_of(kind),
            policy_version=house.policy.version,
            release=intent.release,
            staff_id=slot.release.staff_id if slot.release else "",
        )
    )
    d.go("intent", attempt=attempt, intent=intent.id, doubt=())
    d.do(Unlock(session.id, intent.id, session.compartment))


def not_sent(house: House, d: Draft, failed: tuple[str, ...]) -> None:
    """The intent has no frame. A first one ends the session; a second one keeps its claim: the first pulse may live."""
    slot = d.slot
    assert slot is not None
    session = d.sessions[slot.session]
    done = msgspec.structs.replace(session.intents[-1], result="not_sent")
    d.session(session.id, intents=(*session.intents[:-1], done))
    d.say(CabinetUnlockCompleted(session=session.id, intent=slot.intent, result="not_sent"))
    if is_tobacco(house, session) or failed:
        decide(house, d, "g3", "denied", failed or ("queue",))
    if slot.attempt == 1:
        cancel(house, d, "not_sent")
    else:
        d.go("wait")
