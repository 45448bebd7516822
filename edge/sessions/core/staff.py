"""Who is on duty (sessions, section 9): sign-in, heartbeat, lapse, and a lock-out after wrong PINs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from edge.sessions.policy import Policy


@dataclass(frozen=True, slots=True)
class Duty:
    """One person on duty. `since_s` tells one sign-in from the next: a release does not outlive its own.

    `person_key` is the pseudonym of `key_day` that the person's own card gave; empty until it was read."""

    since_s: float
    beat_s: float
    terminal: str
    person_key: str = ""
    key_day: date | None = None


@dataclass(frozen=True, slots=True)
class Wrong:
    """Wrong PINs in a row, and until when the person is locked out."""

    count: int
    until_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Roster:
    """All people of a store. Lives in memory: after a restart nobody is on duty."""

    on: Mapping[str, Duty] = field(default_factory=dict)
    wrong: Mapping[str, Wrong] = field(default_factory=dict)


def locked_out(roster: Roster, staff_id: str, now_s: float) -> bool:
    wrong = roster.wrong.get(staff_id)
    return wrong is not None and now_s < wrong.until_s


def locked_s(roster: Roster, staff_id: str, now_s: float) -> float | None:
    """What is left of a lock-out, seconds; None without one."""
    return roster.wrong[staff_id].until_s - now_s if locked_out(roster, staff_id, now_s) else None


def pin_checked(roster: Roster, policy: Policy, staff_id: str, now_s: float, *, right: bool) -> Roster:
    """One PIN was checked: a right one forgives, the fifth wrong one locks out."""
    if right:
        return replace(roster, wrong={k: v for k, v in roster.wrong.items() if k != staff_id})
    count = roster.wrong.get(staff_id, Wrong(0)).count + 1
    out = count >= policy.staff.wrong_pins
    wrong = Wrong(0, now_s + policy.timeouts_s.lock_out) if out else Wrong(count)
    return replace(roster, wrong={**roster.wrong, staff_id: wrong})


def sign_in(roster: Roster, staff_id: str, terminal: str, now_s: float) -> Roster:
    """A person whose PIN was right comes on duty, or again at another terminal."""
    return replace(roster, on={**roster.on, staff_id: Duty(now_s, now_s, terminal)})


def sign_out(roster: Roster, staff_id: str) -> Roster:
    return replace(roster, on={k: v for k, v in roster.on.items() if k != staff_id})


def beat(roster: Roster, policy: Policy, staff_id: str, terminal: str, now_s: float) -> Roster:
    """A sign of life from the terminal of the sign-in. It never signs in, and it comes too late once presence has
    lapsed."""
    duty = roster.on.get(staff_id)
    if duty is None or duty.terminal != terminal or now_s - duty.beat_s > policy.timeouts_s.presence:
        return roster
    return replace(roster, on={**roster.on, staff_id: replace(duty, beat_s=now_s)})


def on_duty(roster: Roster, policy: Policy, now_s: float) -> dict[str, float]:
    """Everyone present by heartbeat, and since when."""
    return {k: d.since_s for k, d in roster.on.items() if now_s - d.beat_s <= policy.timeouts_s.presence}


def know(roster: Roster, policy: Policy, staff_id: str, now_s: float, *, key: str, day: date) -> Roster:
    """The card of a person on duty was read on `day`: their pseudonym, until this duty ends."""
    if not key or staff_id not in on_duty(roster, policy, now_s):
        return roster
    return replace(roster, on={**roster.on, staff_id: replace(roster.on[staff_id], person_key=key, key_day=day)})


def keys(roster: Roster, policy: Policy, now_s: float, day: date) -> dict[str, str]:
    """The pseudonym of everyone on duty whose card was read on `day`: two days' pseudonyms tell nobody apart."""
    here = on_duty(roster, policy, now_s)
    return {k: d.person_key for k, d in roster.on.items() if k in here and d.person_key and d.key_day == day}


def lapsed(roster: Roster, policy: Policy, now_s: float) -> dict[str, Duty]:
    """Everyone whose heartbeat is too old, still on the roster."""
    return {k: d for k, d in roster.on.items() if now_s - d.beat_s > policy.timeouts_s.presence}
