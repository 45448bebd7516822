"""Tables A, B and C from the frame on: reply, fence, door, weighing. Nothing here can call a pulse back."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from contracts.event_types import (
    CabinetDoorClosed,
    CabinetDoorHeldOpen,
    CabinetDoorOpened,
    CabinetUnlockCompleted,
)
from edge.sessions.core import conclude, gate, sale
from edge.sessions.core.asking import (
    AFTER_FRAME,
    House,
    ask,
    decide,
    device_facts,
    gate_facts,
    is_tobacco,
    may_encode,
    view,
)
from edge.sessions.core.draft import Draft
from edge.sessions.core.inputs import CLAIMED, Alarm, Frame, Reply, Slot, View
from edge.sessions.core.records import Result, Session


def head(house: House, d: Draft) -> None:
    """The frame stands at the head of the queue: g3, in the block that writes it. Nothing durable happens here."""
    failed = may_encode(house, d)
    if failed:
        d.answer = failed[0]
        if d.slot is not None:
            d.keep(doubt=failed)
        return
    slot = d.go("sent", fenced_s=None)
    d.pulses[slot.compartment] = d.now_s
    d.unfenced |= {slot.compartment}
    d.do(Frame(slot.intent))


def reply(house: House, d: Draft, given: Reply) -> None:
    """The driver's word on the frame: by position, never by value. Only `not_sent` before the frame is a denial."""
    slot = d.slot
    if slot is None or slot.intent != given.intent or slot.state not in ("intent", "sent"):
        d.answer = "stale"
        return
    if slot.state == "intent":
        sale.not_sent(house, d, slot.doubt)
        return
    result: Result = "no_reply" if given.result == "not_sent" else given.result
    session = d.sessions[slot.session]
    done = msgspec.structs.replace(session.intents[-1], result=result)
    d.session(session.id, intents=(*session.intents[:-1], done))
    if is_tobacco(house, session):
        decide(house, d, "g3", "allowed")
    d.say(
        CabinetUnlockCompleted(
            session=session.id,
            intent=slot.intent,
            result="opened" if result == "opened" else "refused" if result == "refused" else "no_reply",
            latency_ms=given.latency_ms,
        )
    )
    d.go("wait" if result == "opened" else "verify")


def silent(house: House, d: Draft) -> None:
    """`T_verify`: the lock does not answer, nobody knows what the door did."""
    if d.slot is not None and d.slot.state in ("verify", "wait", "weigh"):
        conclude.review_unknown(house, d, "lock_unreachable")


def unstable(house: House, d: Draft) -> None:
    """`T_weigh`: no stable weights."""
    if d.slot is not None and d.slot.state == "weigh":
        conclude.review_unknown(house, d, "unstable")


def advance(house: House, d: Draft) -> None:
    """What a session after its frame does by itself, from doors, scales and time."""
    slot = d.slot
    if slot is None or slot.state not in CLAIMED:
        return
    _note_lapse(house, d, slot)
    slot, seen, session = d.slot or slot, view(d, slot.compartment), d.sessions[slot.session]
    if slot.state == "verify":
        _verify(house, d, slot, seen, session)
    elif slot.state == "wait":
        if seen.open:
            _opened(d, slot, session)
        elif seen.open is False and d.now_s - slot.since_s >= house.policy.timeouts_s.door:
            d.go("weigh")
    elif slot.state == "open":
        _open(house, d, slot, seen, session)
    elif slot.state == "weigh":
        _weigh(house, d, slot, seen, session)


def _verify(house: House, d: Draft, slot: Slot, seen: View, session: Session) -> None:
    if slot.compartment in d.unfenced or slot.fenced_s is None:
        return
    again = session.mode == "self_service" and slot.attempt == 1 and not slot.blind and not slot.door_seen
    if again and seen.open is not True:
        if not device_facts(house, d, slot.compartment).latch_over:
            return  # the first pulse may still open the door; nothing is sent until its latch is over
        if not is_tobacco(house, session) and not ask(house, d, "g4"):
            sale.intend(house, d)
            return
    fenced_s = slot.fenced_s
    d.go("wait")
    d.keep(since_s=fenced_s)


def _opened(d: Draft, slot: Slot, session: Session) -> None:
    d.session(session.id, door_opened=True)
    d.say(CabinetDoorOpened(compartment=slot.compartment, session=session.id, blind=slot.blind))
    d.go("open", door_seen=True, opened_s=d.now_s, warned=False)


def _open(house: House, d: Draft, slot: Slot, seen: View, session: Session) -> None:
    limits = house.policy.timeouts_s
    open_s = d.now_s - slot.since_s
    longest_s = limits.open_max_tobacco if is_tobacco(house, session) else limits.open_max
    if seen.open is False and seen.fresh:
        d.session(session.id, door_closed=True)
        d.say(CabinetDoorClosed(compartment=slot.compartment, session=session.id, open_s=open_s, blind=slot.blind))
        d.go("weigh")
    elif open_s >= longest_s:
        conclude.review_unknown(house, d, "held_open")
    elif open_s >= limits.open_warn and not slot.warned:
        d.say(CabinetDoorHeldOpen(compartment=slot.compartment, session=session.id, open_s=open_s))
        d.slot = replace(slot, warned=True)
        d.do(Alarm("door_held_open", slot.compartment))


def _weigh(house: House, d: Draft, slot: Slot, seen: View, session: Session) -> None:
    if seen.open:
        _opened(d, slot, session)
        return
    settled_s = slot.since_s + house.policy.timeouts_s.settle
    ready = seen.open is False and seen.fresh and seen.fenced and slot.compartment not in d.unfenced
    if not ready or seen.weights is None:
        return
    if all(w.since_s >= settled_s for w in seen.weights.values()):
        finding = conclude.find(house, d, session, seen.weights, blind=slot.blind)
        conclude.write(house, d, finding, None if finding.unknown else seen.weights)


def _note_lapse(house: House, d: Draft, slot: Slot) -> None:
    """What lapses after the frame changes nothing but is written, and sounds."""
    session = d.sessions[slot.session]
    if slot.lapsed or slot.blind or not is_tobacco(house, session):
        return
    failed = tuple(r for r in gate.failing(gate_facts(house, d, "g2"), house.policy) if r in AFTER_FRAME)
    if failed:
        decide(house, d, "lapse", "lapsed_after_unlock", failed)
        d.keep(lapsed=True)
        d.do(Alarm("staff_absent" if "T01" in failed else "lapsed_after_unlock", slot.compartment))
