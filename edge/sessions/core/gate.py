"""Table G: may this compartment be opened now? Pure functions over frozen facts; each names the rules that fail.

What is not known fails. Nothing here grants: a rule only ever says why not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from edge.sessions.policy import Policy

Kind = Literal["tobacco_sale", "tobacco_restock", "snack_sale", "snack_restock"]
Stage = Literal["g1", "g2", "g3", "g4"]


@dataclass(frozen=True, slots=True)
class Release:
    """One person's word for one session and one compartment. Lives in memory: a restart ends it."""

    id: str
    staff_id: str
    session: str
    compartment: str
    at_s: float


@dataclass(frozen=True, slots=True)
class AgeProof:
    """The buyer of this session is of age. `person_day_key` is a pseudonym of `day`, or empty."""

    session: str
    at_s: float
    person_day_key: str = ""
    day: date | None = None  # of the store's calendar; None: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What rule D looks at. None: not known."""

    online: bool | None = None
    fenced: bool | None = None
    closed: bool | None = None  # three polls, the last at most 1 s old
    incident: bool | None = None
    at_book: bool | None = None  # stable, this epoch, equal to the book
    latch_over: bool | None = None
    alone: bool | None = None  # no other session of the cabinet


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """Everything one asking of the gate may know. None: not known, and what is not known fails."""

    kind: Kind
    stage: Stage
    session: str
    compartment: str
    cabinet_mode: str
    has_tobacco: bool
    buyer: str = ""  # reference of the buyer; of staff in a restock
    now_s: float | None = None
    wall: datetime | None = None
    revoked: bool | None = None
    on_duty: Mapping[str, float] | None = None  # person: signed in at
    release: Release | None = None
    spent_by: str = ""  # intent that spent the release
    intent: str = ""  # the intent in hand
    age: AgeProof | None = None
    adult_staff: frozenset[str] = frozenset()
    staff_keys: Mapping[str, str] | None = None  # person on duty: pseudonym of today
    shutter_open: bool | None = None
    declared_units: int | None = None
    day_units: int | None = None  # the person's other units of today
    writable: bool | None = None
    device: DeviceFacts | None = None


Rule = Callable[[GateFacts, Policy], bool]


def _fresh(at_s: float, limit_s: float, facts: GateFacts) -> bool:
    return facts.now_s is not None and 0 <= facts.now_s - at_s <= limit_s


def revoke_ok(facts: GateFacts, _: Policy) -> bool:
    """No revoke on store, cabinet or session."""
    return facts.revoked is False


def staffed(facts: GateFacts, _: Policy) -> bool:
    """T01: somebody is on duty, and who has released is one of them."""
    return bool(facts.on_duty) and (facts.release is None or on_duty_since(facts, facts.release))


def on_duty_since(facts: GateFacts, release: Release) -> bool:
    """Whoever has released is on duty, and has been without a break since."""
    since_s = (facts.on_duty or {}).get(release.staff_id)
    return since_s is not None and since_s <= release.at_s


def released(facts: GateFacts, policy: Policy) -> bool:
    """T02: one release, for this session and compartment, in time, spent by no other intent; by another person than
    the buyer, by reference and by card, or by the very person who restocks."""
    release = facts.release
    return (
        release is not None
        and release.session == facts.session
        and release.compartment == facts.compartment
        and _fresh(release.at_s, policy.timeouts_s.release, facts)
        and (release.staff_id == facts.buyer) is (facts.kind == "tobacco_restock")
        and (facts.kind != "tobacco_sale" or not same_person(facts, policy))
        and (facts.spent_by == (facts.intent if facts.stage == "g3" else ""))
    )


def same_person(facts: GateFacts, policy: Policy) -> str:
    """Why whoever releases may be the buyer; empty: two cards, read on the same day, prove that they are two."""
    key = (facts.staff_keys or {}).get(facts.release.staff_id, "") if facts.release else ""
    if not key:
        return "staff_unknown"
    today = policy.hours.local(facts.wall).date() if facts.wall else None
    if today is None or facts.age is None or facts.age.day != today or not facts.age.person_day_key:
        return "buyer_unknown"
    return "staff_is_buyer" if facts.age.person_day_key == key else ""


def signed_in(facts: GateFacts, _: Policy) -> bool:
    """A snack is restocked by a person on duty."""
    return bool(facts.buyer) and facts.buyer in (facts.on_duty or ())


def of_age(facts: GateFacts, policy: Policy) -> bool:
    """T03: the buyer has proven it in this session; whoever restocks has it in the staff record."""
    if facts.kind == "tobacco_restock":
        return facts.release is not None and facts.release.staff_id in facts.adult_staff
    return (
        facts.age is not None
        and facts.age.session == facts.session
        and _fresh(facts.age.at_s, policy.timeouts_s.age, facts)
    )


def licensed(facts: GateFacts, policy: Policy) -> bool:
    """T04: a licence is loaded and valid today."""
    if policy.licence is None or facts.wall is None:
        return False
    today = policy.hours.local(facts.wall).date()
    return policy.licence.valid_from <= today <= policy.licence.valid_until


def in_hours(facts: GateFacts, policy: Policy) -> bool:
    """T05: the clock is known, the store is open, the shutter is up."""
    if facts.wall is None or (policy.hours.shutter_sensor and facts.shutter_open is not True):
        return False
    now, hours = policy.hours.local(facts.wall).time(), policy.hours
    if facts.kind == "tobacco_restock":
        return hours.restock_open <= now < hours.restock_close
    return hours.open <= now < hours.close


def within_cap(facts: GateFacts, policy: Policy) -> bool:
    """T06: one transaction, and one person and day where a cap is set."""
    if facts.declared_units is None or not 0 < facts.declared_units <= policy.sale.tobacco_cap_units:
        return False
    cap = policy.sale.tobacco_day_units
    return cap is None or (facts.day_units is not None and facts.day_units + facts.declared_units <= cap)


def not_a_machine(facts: GateFacts, _: Policy) -> bool:
    """T11: tobacco never leaves a cabinet that sells by itself."""
    if facts.kind == "tobacco_sale":
        return facts.cabinet_mode == "staff_release"
    return facts.cabinet_mode != "self_service" if facts.has_tobacco else True


def audited(facts: GateFacts, _: Policy) -> bool:
    """T14: the ledger can hold the decision."""
    return facts.writable is True


_TOBACCO: tuple[tuple[str, Rule], ...] = (
    ("revoke", revoke_ok),
    ("T01", staffed),
    ("T02", released),
    ("T03", of_age),
    ("T04", licensed),
    ("T05", in_hours),
    ("T11", not_a_machine),
    ("T14", audited),
)
RULES: dict[Kind, tuple[tuple[str, Rule], ...]] = {
    "tobacco_sale": (*_TOBACCO, ("T06", within_cap)),
    "tobacco_restock": _TOBACCO,
    "snack_sale": (("revoke", revoke_ok), ("T11", not_a_machine), ("T14", audited)),
    "snack_restock": (("revoke", revoke_ok), ("T02", signed_in), ("T11", not_a_machine), ("T14", audited)),
}


def rules_of(kind: Kind) -> tuple[str, ...]:
    """Ids of the rules that a kind of session is asked."""
    return tuple(name for name, _ in RULES[kind])


def failing(facts: GateFacts, policy: Policy) -> tuple[str, ...]:
    """Ids of the rules that fail, D apart. Empty: nothing stands against it."""
    return tuple(name for name, rule in RULES[facts.kind] if not rule(facts, policy))


def device_failing(device: DeviceFacts | None) -> tuple[str, ...]:
    """Rule D: ids `D.…` of what the devices do not allow. Empty: ready."""
    d = device or DeviceFacts()
    checks = {
        "D.offline": d.online is True,
        "D.fence": d.fenced is True,
        "D.door": d.closed is True,
        "D.incident": d.incident is False,
        "D.weights": d.at_book is True,
        "D.latch": d.latch_over is True,
        "D.busy": d.alone is True,
    }
    return tuple(name for name, ok in checks.items() if not ok)


def gate(facts: GateFacts, policy: Policy) -> tuple[str, ...]:
    """The whole of table G. At g1 the devices are not asked yet: they may still come ready."""
    return failing(facts, policy) + (() if facts.stage == "g1" else device_failing(facts.device))
