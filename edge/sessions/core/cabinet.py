"""One cabinet as a pure machine: an input, facts and the time in; one atomic step out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

import msgspec

from contracts.event_types import GateDecision, InventoryCounted
from edge.sessions.core import asking, money, pulse, recovery, sale, watch
from edge.sessions.core.asking import House
from edge.sessions.core.draft import Draft, Step
from edge.sessions.core.inputs import (
    Acknowledge,
    Answer,
    CabinetSpec,
    CompartmentSpec,
    Count,
    Decide,
    Declare,
    Drop,
    Facts,
    Give,
    Head,
    Input,
    Lift,
    Look,
    Memory,
    PowerUp,
    Prove,
    Reply,
    Request,
    Revoke,
    Silent,
    Start,
    Unstable,
)
from edge.sessions.core.records import Book
from edge.sessions.policy import Policy

QUOTA_DAYS = 2


@dataclass(frozen=True, slots=True)
class CabinetMachine:
    """Tables A, B, C, G, M, R, S and W of one cabinet. Holds no state: memory goes in and comes out."""

    spec: CabinetSpec
    policy: Policy

    def step(self, memory: Memory, given: Input, facts: Facts, now_s: float) -> Step:
        """What this input does. The caller commits the transaction first, then takes the memory, then does the
        effects; if the commit fails, the step has not happened."""
        house, d = House(self.spec, self.policy), Draft(memory, facts, now_s, self.spec.cabinet)
        match given:
            case Start():
                recovery.recover(house, d)
            case Request():
                sale.request(house, d, given)
            case Declare():
                sale.declare(house, d, given)
            case Prove():
                sale.prove(house, d, given)
            case Give():
                sale.give(house, d, given)
            case Drop():
                sale.drop(house, d, given)
            case Answer():
                money.answer(d, given)
            case Head():
                pulse.head(house, d)
            case Reply():
                pulse.reply(house, d, given)
            case Look():
                self._look(house, d)
            case Silent():
                pulse.silent(house, d)
            case Unstable():
                pulse.unstable(house, d)
            case PowerUp():
                d.flag("epoch", given.shelf, self.epoch(memory, given.shelf) + 1)
                d.do(Acknowledge(given.shelf))
            case Decide():
                money.decide(d, given)
            case Revoke():
                d.revoked |= {given.target}
                self._keep_revokes(d)
            case Lift():
                self._lift(d, given)
            case Count():
                self._count(d, given)
        return d.done()

    def may_encode(self, memory: Memory, facts: Facts, now_s: float) -> tuple[str, ...]:
        """g3: ids of the rules that stand against writing the frame in this very block. Empty: write it."""
        return asking.may_encode(House(self.spec, self.policy), Draft(memory, facts, now_s, self.spec.cabinet))

    def shut(self, memory: Memory, target: str) -> Memory:
        """A revoke in memory alone: at once, even while the disk is full. The `Revoke` step makes it durable."""
        return replace(memory, revoked=memory.revoked | {target})

    @staticmethod
    def epoch(memory: Memory, shelf: str) -> int:
        """How often the scale of a shelf has been seen to restart."""
        flag = memory.durable.epoch.get(shelf)
        return flag.n if flag else 0

    # -------------------------------------------------------------- rows that stand alone

    def _look(self, house: House, d: Draft) -> None:
        """Devices and time. One pending step of the live session, then table W; each at most one row."""
        self._keep_revokes(d)
        for compartment in self.spec.compartments:
            watch.fence(d, compartment)
        before = (d.slot, len(d.records))
        sale.advance(house, d)
        if (d.slot, len(d.records)) == before:
            pulse.advance(house, d)
        for compartment in self.spec.compartments:
            watch.look(house, d, compartment)
        money.expire(d, self.policy.timeouts_s.review)
        self._forget(d)

    def _forget(self, d: Draft) -> None:
        """Pseudonyms of persons live two days."""
        if d.facts.wall is None or not d.kind("quota"):
            return
        gone = self.policy.hours.local(d.facts.wall).date() - timedelta(days=QUOTA_DAYS)
        for session, quota in list(d.kind("quota").items()):
            if date.fromisoformat(quota.day) <= gone:
                del d.kind("quota")[session]

    def _keep_revokes(self, d: Draft) -> None:
        """A revoke acts from memory at once and becomes durable as soon as it can."""
        for target in sorted(d.revoked):
            key = f"{self.spec.cabinet}|{target}"
            if key not in d.kind("revoke"):
                d.flag("revoke", key)
                d.say(self._word(target, "revoked", ""))

    def _lift(self, d: Draft, given: Lift) -> None:
        if given.staff_id not in (d.facts.on_duty or ()):
            d.answer = "staff_absent"
        elif given.target not in d.revoked:
            d.answer = "not_revoked"
        else:
            d.revoked -= {given.target}
            d.kind("revoke").pop(f"{self.spec.cabinet}|{given.target}", None)
            d.say(self._word(given.target, "lifted", given.staff_id))

    def _word(self, target: str, outcome: str, staff_id: str) -> GateDecision:
        return GateDecision(
            session=target.removeprefix("session:") if target.startswith("session:") else "",
            stage="revoke",
            outcome="revoked" if outcome == "revoked" else "lifted",
            inputs={"target": target},
            policy_version=self.policy.version,
            staff_id=staff_id,
        )

    def _count(self, d: Draft, given: Count) -> None:
        """All shelves of a compartment in one transaction, so that no half of a count ever lets a door sell again. The
        pieces of the book follow, its weight does not: that is the scales' word, and only table W and S move it."""
        place = self.spec.compartments.get(given.compartment)
        if place is None:
            d.answer = "no_such_compartment"
        elif any(shelf.shelf not in d.kind("book") for shelf in place.shelves):
            d.answer = "not_ready"
        elif not _whole(place, given.shelves):
            d.answer = "bad_basket"
        elif asking.claimed(d, given.compartment):
            d.answer = "busy"  # a door that a session may still open: what is counted now may be gone when it settles
        elif given.compartment in d.kind("incident"):
            d.answer = "blocked"
        else:
            for shelf, units in given.shelves.items():
                book: Book = d.kind("book")[shelf]
                d.kind("book")[shelf] = msgspec.structs.replace(book, units=dict(units))
                for sku, n in units.items():
                    d.say(InventoryCounted(shelf=shelf, sku=sku, units=n, reason="count", staff_id=given.staff_id))
            d.kind("count_due").pop(given.compartment, None)


def _whole(place: CompartmentSpec, shelves: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether a count names every product of every shelf and nothing else, none of them below none."""
    return {s.shelf: {k.sku for k in s.skus} for s in place.shelves} == {
        shelf: set(units) for shelf, units in shelves.items()
    } and all(n >= 0 for units in shelves.values() for n in units.values())
