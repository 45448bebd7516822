"""What the pages may know of a cabinet at this moment: enough to draw a kiosk and a staff tablet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from contracts.event_types import Line
from edge.sessions.core.asking import House, is_tobacco
from edge.sessions.core.inputs import Facts, Memory, Slot
from edge.sessions.core.records import Mode, Session
from edge.sessions.policy import Policy

Need = Literal["age", "release"]


@dataclass(frozen=True, slots=True)
class CompartmentSnapshot:
    compartment: str
    tobacco: bool
    available: bool
    reason: str  # why not, the first word of `compartments` below that holds; empty when available
    door_open: bool | None
    count_due: bool  # the weights lost their proof: it sells again once staff have counted
    units: Mapping[tuple[str, str], int]  # (shelf, sku): pieces by the book, an estimate


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    session: str
    compartment: str
    mode: Mode
    state: str  # asked paying held intent sent verify wait open weigh done
    seconds_left: float | None = None
    needs: tuple[Need, ...] = ()
    age_proven: bool = False
    declared: tuple[Line, ...] = ()
    outcome: str = ""
    lines: tuple[Line, ...] = ()
    failed_rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReviewSnapshot:
    session: str
    compartment: str
    reason: str
    delta_g: float | None
    proposal: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class AlarmSnapshot:
    code: str
    subject: str
    since_s: float


@dataclass(frozen=True, slots=True)
class CabinetSnapshot:
    cabinet: str
    compartments: tuple[CompartmentSnapshot, ...]
    session: SessionSnapshot | None
    reviews: tuple[ReviewSnapshot, ...]
    alarms: tuple[AlarmSnapshot, ...]
    revoked: frozenset[str]
    counters: Mapping[str, int]


def live(house: House, memory: Memory, now_s: float, failed: tuple[str, ...]) -> SessionSnapshot | None:
    """The session in the slot."""
    slot = memory.slot
    session = memory.durable.session.get(slot.session) if slot else None
    if slot is None or session is None:
        return None
    return SessionSnapshot(
        session=session.id,
        compartment=session.compartment,
        mode=session.mode,
        state=slot.state,
        seconds_left=_seconds_left(house.policy, slot, now_s, tobacco=is_tobacco(house, session)),
        needs=_needs(house, slot, session),
        age_proven=slot.age is not None,
        declared=session.declared,
        failed_rules=failed,
    )


def _needs(house: House, slot: Slot, session: Session) -> tuple[Need, ...]:
    if slot.state not in ("asked", "held") or not is_tobacco(house, session):
        return ()
    age: tuple[Need, ...] = ("age",) if session.sale and slot.age is None else ()
    return (*age, "release") if slot.release is None else age


def _seconds_left(policy: Policy, slot: Slot, now_s: float, *, tobacco: bool) -> float | None:
    t = policy.timeouts_s
    limits = {
        "asked": t.request,
        "paying": t.pay,
        "held": t.held,
        "wait": t.door,
        "open": t.open_max_tobacco if tobacco else t.open_max,
        "weigh": t.settle + t.weigh,
    }
    limit_s = limits.get(slot.state)
    return None if limit_s is None else max(0.0, slot.since_s + limit_s - now_s)


def compartments(house: House, memory: Memory, facts: Facts) -> tuple[CompartmentSnapshot, ...]:
    """All compartments, each with the first reason why it cannot be asked for."""
    result: list[CompartmentSnapshot] = []
    for place in house.spec.compartments.values():
        view = facts.views.get(place.compartment)
        books = {s.shelf: memory.durable.book.get(s.shelf) for s in place.shelves}
        revoked = memory.revoked & {"store", f"cabinet:{house.spec.cabinet}"}
        wall, licence = facts.wall, house.policy.licence
        local = house.policy.hours.local(wall) if wall else None
        hours = house.policy.hours
        checks = (
            ("ledger_full", facts.writable is not True),
            ("revoked", bool(revoked)),
            ("blocked", place.compartment in memory.durable.incident),
            ("device_offline", view is None or view.open is None),
            ("not_ready", any(b is None for b in books.values())),
            ("counter_only", house.spec.mode == "counter_only"),
            ("count_due", place.compartment in memory.durable.count_due),
            ("staff_absent", place.tobacco and not facts.on_duty),
            ("no_licence", place.tobacco and (licence is None or local is None or local.date() > licence.valid_until)),
            ("closed", place.tobacco and (local is None or not hours.open <= local.time() < hours.close)),
            ("busy", memory.slot is not None),
        )
        reason = next((word for word, bad in checks if bad), "")
        result.append(
            CompartmentSnapshot(
                compartment=place.compartment,
                tobacco=place.tobacco,
                available=not reason,
                reason=reason,
                door_open=view.open if view else None,
                count_due=place.compartment in memory.durable.count_due,
                units={(s, sku): n for s, b in books.items() if b for sku, n in b.units.items()},
            )
        )
    return tuple(result)


def reviews(memory: Memory) -> tuple[ReviewSnapshot, ...]:
    """Sessions that staff must decide. `delta_g`: what left in all; None: the weights are no evidence."""
    return tuple(
        ReviewSnapshot(
            session=s.id,
            compartment=s.compartment,
            reason=s.review_reason,
            delta_g=_sum([d.delta_g for d in s.deltas]),
            proposal=s.proposal,
        )
        for s in memory.durable.session.values()
        if s.conclusion == "review" and not s.money
    )


def _sum(deltas: list[float | None]) -> float | None:
    known = [d for d in deltas if d is not None]
    return round(sum(known), 3) if known and len(known) == len(deltas) else None
