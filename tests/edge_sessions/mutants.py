"""Faults of the agent, planted from outside for one test: each takes one thought out of the tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from edge.sessions.core import asking, cabinet, conclude, gate, money, pulse, recovery, sale, watch
from edge.sessions.core.draft import Draft
from edge.sessions.core.inputs import CLAIMED, Unlock

Patch = Callable[[pytest.MonkeyPatch], None]


def without(rule: str) -> Patch:
    """The rule is never asked."""

    def plant(m: pytest.MonkeyPatch) -> None:
        m.setattr(gate, "RULES", {k: tuple(r for r in rules if r[0] != rule) for k, rules in gate.RULES.items()})

    return plant


def rule(name: str, wrong: Callable[..., bool]) -> Patch:
    """The rule is asked wrongly."""

    def plant(m: pytest.MonkeyPatch) -> None:
        rules = {k: tuple((n, wrong if n == name else r) for n, r in rs) for k, rs in gate.RULES.items()}
        m.setattr(gate, "RULES", rules)

    return plant


def no_clock(m: pytest.MonkeyPatch) -> None:
    for name, right in (("T04", gate.licensed), ("T05", gate.in_hours)):
        rule(name, lambda f, p, right=right: f.wall is None or right(f, p))(m)


def _release_but(**blind: Any) -> Callable[..., bool]:
    """T02, blind to some fields of the facts: each names what to pretend."""

    def released(f: Any, p: Any) -> bool:
        if f.release is None:
            return False
        pretend = {k: (v(f) if callable(v) else v) for k, v in blind.items()}
        return gate.released(replace(f, release=replace(f.release, **pretend)), p)

    return released


def by_reference_only(m: pytest.MonkeyPatch) -> None:
    m.setattr(gate, "same_person", lambda *_: "")


def releaser_gone(m: pytest.MonkeyPatch) -> None:
    rule("T01", lambda f, p: bool(f.on_duty))(m)
    m.setattr(gate, "on_duty_since", lambda *_: True)


def no_recheck(m: pytest.MonkeyPatch) -> None:
    m.setattr(pulse, "may_encode", lambda _h, d: () if d.slot is not None and d.slot.state == "intent" else ("none",))


def retry_tobacco(m: pytest.MonkeyPatch) -> None:
    def verify(house: Any, d: Draft, slot: Any, *_: Any) -> None:
        weighed = asking.view(d, slot.compartment).weights is not None
        if slot.compartment not in d.unfenced and slot.attempt == 1 and weighed:
            sale.intend(house, d)

    m.setattr(pulse, "_verify", verify)
    no_recheck(m)


def retry_refused(m: pytest.MonkeyPatch) -> None:
    right = pulse.reply

    def reply(house: Any, d: Draft, given: Any) -> None:
        right(house, d, given)
        if given.result == "refused" and d.slot is not None and d.slot.state == "verify":
            sale.cancel(house, d, "refused")

    m.setattr(pulse, "reply", reply)


def blind_settle(m: pytest.MonkeyPatch) -> None:
    right = conclude.find
    m.setattr(conclude, "find", lambda h, d, s, w, *, blind: right(h, d, s, w, blind=False))


def reboot_ignored(m: pytest.MonkeyPatch) -> None:
    right = conclude.find

    def find(h: Any, d: Draft, s: Any, w: Any, *, blind: bool) -> Any:
        return right(h, d, s, {k: replace(v, epoch=d.kind("book")[k].epoch) for k, v in w.items()}, blind=blind)

    m.setattr(conclude, "find", find)


def odd_rounds(m: pytest.MonkeyPatch) -> None:
    right = conclude.solve
    m.setattr(
        conclude,
        "solve",
        lambda g, skus, *, sigma_g, max_items: right(round(g, -1), skus, sigma_g=sigma_g, max_items=max_items),
    )


def declared_ignored(m: pytest.MonkeyPatch) -> None:
    right = conclude._doubt
    m.setattr(
        conclude, "_doubt", lambda *a, **k: "" if (why := right(*a, **k)) in ("over_declared", "over_hold") else why
    )


def busy_ignored(m: pytest.MonkeyPatch) -> None:
    right = sale.request

    def request(house: Any, d: Draft, asked: Any) -> None:
        d.slot = None
        right(house, d, asked)

    m.setattr(sale, "request", request)


def no_outcome(m: pytest.MonkeyPatch) -> None:
    right = recovery._take_up

    def take_up(house: Any, d: Draft, session: Any) -> None:
        said = len(d.records)
        right(house, d, session)
        del d.records[said:]

    m.setattr(recovery, "_take_up", take_up)


def resend_recovery(m: pytest.MonkeyPatch) -> None:
    right = recovery._take_up

    def take_up(house: Any, d: Draft, session: Any) -> None:
        last = session.intents[-1] if session.intents else None
        right(house, d, session)
        if last is not None and not last.result and d.slot is not None:
            d.session(session.id, intents=session.intents)
            d.go("intent")
            d.do(Unlock(session.id, last.id, session.compartment))

    m.setattr(recovery, "_take_up", take_up)
    no_recheck(m)


def base_anew(m: pytest.MonkeyPatch) -> None:
    right = recovery.recover

    def recover(house: Any, d: Draft) -> None:
        for c in house.spec.compartments:
            for shelf, w in (asking.view(d, c).weights or {}).items():
                if shelf in d.kind("book"):
                    d.kind("book")[shelf] = msgspec.structs.replace(d.kind("book")[shelf], g=w.g, epoch=w.epoch)
        right(house, d)

    m.setattr(recovery, "recover", recover)


def no_watch(m: pytest.MonkeyPatch) -> None:
    right = watch.look
    # the first books are still taken, or nothing would ever be sold
    m.setattr(
        watch, "look", lambda h, d, c: right(h, d, c) if f"{c}-s1" not in d.kind("book") or d.kind("incident") else None
    )


def claim_dropped(m: pytest.MonkeyPatch) -> None:
    def claimed(d: Draft, c: str) -> bool:
        return d.slot is not None and d.slot.compartment == c and d.slot.state in CLAIMED

    m.setattr(watch, "claimed", claimed)


def void_once(m: pytest.MonkeyPatch) -> None:
    right = money.void

    def void(d: Draft, session: str, reason: str = "") -> None:
        right(d, session, reason)
        d.end(session, "voided", reason)

    m.setattr(money, "void", void)


def void_forget(m: pytest.MonkeyPatch) -> None:
    right = sale.cancel

    def cancel(house: Any, d: Draft, reason: str, failed: tuple[str, ...] = ()) -> None:
        if d.slot is not None and d.slot.state == "paying":
            d.session(d.slot.session, pay_asked=False)
        right(house, d, reason, failed)

    m.setattr(sale, "cancel", cancel)


def review_keeps(m: pytest.MonkeyPatch) -> None:
    m.setattr(money, "expire", lambda *_: None)


def count_ignored(m: pytest.MonkeyPatch) -> None:
    right = sale.request

    def request(house: Any, d: Draft, asked: Any) -> None:
        due = dict(d.kind("count_due"))
        d.kind("count_due").clear()
        right(house, d, asked)
        d.kind("count_due").update(due)

    m.setattr(sale, "request", request)


def count_dies_with_the_boot(m: pytest.MonkeyPatch) -> None:
    right = recovery.recover

    def recover(house: Any, d: Draft) -> None:
        right(house, d)
        d.kind("count_due").clear()

    m.setattr(recovery, "recover", recover)


def half_counts(m: pytest.MonkeyPatch) -> None:
    m.setattr(cabinet, "_whole", lambda *_: True)


def count_in_vain(m: pytest.MonkeyPatch) -> None:
    right = cabinet.CabinetMachine._count

    def count(self: Any, d: Draft, given: Any) -> None:
        due = dict(d.kind("count_due"))
        right(self, d, given)
        d.kind("count_due").update(due)

    m.setattr(cabinet.CabinetMachine, "_count", count)


def intent_late(m: pytest.MonkeyPatch) -> None:
    right = sale.intend

    def intend(house: Any, d: Draft) -> None:
        said = len(d.records)
        right(house, d)
        del d.records[said:]

    m.setattr(sale, "intend", intend)


def nothing(_: pytest.MonkeyPatch) -> None:
    """The fault is one of the shell: the world plays it (flag of the same name)."""


PLANTED: dict[str, Patch] = {
    **{f"no_{r}": without(r) for r in ("T01", "T02", "T03", "T04", "T05", "T06")},
    "no_clock": no_clock,
    "no_revoke": without("revoke"),
    "no_recheck": no_recheck,
    "release_any": rule("T02", _release_but(compartment=lambda f: f.compartment)),
    "release_old": rule("T02", _release_but(at_s=lambda f: f.now_s)),
    "self_release": by_reference_only,
    "self_release_by_name": rule(
        "T02", lambda f, p: gate.released(replace(f, buyer="" if f.kind == "tobacco_sale" else f.buyer), p)
    ),
    "releaser_gone": releaser_gone,
    "retry_tobacco": retry_tobacco,
    "retry_refused": retry_refused,
    "intent_late": intent_late,
    "disk_ignored": nothing,
    "no_outcome": no_outcome,
    "resend_recovery": resend_recovery,
    "no_fence": nothing,
    "busy_ignored": busy_ignored,
    "base_anew": base_anew,
    "blind_settle": blind_settle,
    "reboot_ignored": reboot_ignored,
    "odd_rounds": odd_rounds,
    "no_watch": no_watch,
    "claim_dropped": claim_dropped,
    "declared_ignored": declared_ignored,
    "capture_early": nothing,
    "void_once": void_once,
    "no_tombstone": nothing,
    "void_forget": void_forget,
    "review_keeps": review_keeps,
    "count_ignored": count_ignored,
    "count_dies_with_the_boot": count_dies_with_the_boot,
    "half_counts": half_counts,
    "count_in_vain": count_in_vain,
}
