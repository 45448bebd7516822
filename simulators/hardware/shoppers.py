"""Seeded shoppers: they walk up, show their code, wait for the latch, take, sometimes think better of it, and leave."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from contracts.clock import Clock
from simulators.hardware.rig import Rig
from simulators.world import DoorClosedError, NotThereError, World

LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Habits:
    """How they shop. Durations in store seconds, `_p` are probabilities of a visit."""

    mean_gap_s: float = 45.0
    patience_s: float = 15.0
    max_items: int = 3
    nothing_p: float = 0.10
    put_back_p: float = 0.15
    walk_off_p: float = 0.08
    one_at_a_cabinet: bool = True


@dataclass(frozen=True, slots=True)
class Member:
    """Who shops: the reference that events carry, and the text of the QR."""

    member_ref: str
    code: str


class Shoppers:
    """A stream of visits at some cabinets. The same seed gives the same arrivals and wishes."""

    def __init__(
        self,
        *,
        world: World,
        rig: Rig,
        clock: Clock,
        seed: int,
        members: Sequence[Member],
        cabinets: Sequence[str],
        habits: Habits,
    ) -> None:
        self._world = world
        self._rig = rig
        self._clock = clock
        self._seed = seed
        self._members = members
        self._cabinets = [cabinet for cabinet in cabinets if rig.scanner_of(cabinet) is not None]
        self._habits = habits
        self._busy: Counter[str] = Counter()
        self.counters: Counter[str] = Counter()
        self.stopping = asyncio.Event()

    @property
    def inside(self) -> int:
        """Visits that have begun and not ended."""
        return self._busy.total()

    async def run(self, duration_s: float | None) -> None:
        """Send shoppers for so long (None: until `stopping`), and return when the last has left."""
        rng = Random(f"{self._seed}:arrivals")
        end_s = None if duration_s is None else self._clock.now_s() + duration_s
        number = 0
        async with asyncio.TaskGroup() as group:
            while self._members and self._cabinets:
                due_s = self._clock.now_s() + rng.expovariate(1.0 / self._habits.mean_gap_s)
                if not await self._until(due_s, end_s):
                    return
                cabinet = self._choose(rng)
                if cabinet is None:
                    self.counters["balked"] += 1
                    continue
                number += 1
                self._busy[cabinet] += 1
                group.create_task(self._visit(number, cabinet), name=f"shopper-{number}")

    async def _until(self, due_s: float, end_s: float | None) -> bool:
        """Wait for a time; False if no more visits shall begin."""
        while (now_s := self._clock.now_s()) < due_s:
            if self.stopping.is_set() or (end_s is not None and now_s >= end_s):
                return False
            left_s = min(due_s, end_s if end_s is not None else due_s) - now_s
            await self._clock.sleep(min(1.0, max(0.001, left_s)))
        return not self.stopping.is_set() and (end_s is None or due_s < end_s)

    def _choose(self, rng: Random) -> str | None:
        """A cabinet with nobody before it, its doors closed and held: what is free is free for who showed a code."""
        here = set(self._world.visits.values())
        free = [
            cabinet
            for cabinet in self._cabinets
            if not (self._habits.one_at_a_cabinet and (self._busy[cabinet] or cabinet in here))
            and not any(self._world.is_free(name) for name in self._world.compartments_of(cabinet))
        ]
        choice = rng.random()  # drawn always, so that a busy cabinet does not shift all later draws
        return free[int(choice * len(free))] if free else None

    async def _visit(self, number: int, cabinet: str) -> None:
        rng = Random(f"{self._seed}:visit:{number}")
        visit = f"visit-{number}"
        member = self._members[rng.randrange(len(self._members))]
        self._world.arrive(visit, cabinet, member.member_ref)
        self.counters["visits"] += 1
        try:
            await self._clock.sleep(rng.uniform(0.5, 2.0))
            scanner = self._rig.scanner_of(cabinet)
            assert scanner is not None
            self._rig.scan(scanner, member.code, visit=visit, member=member.member_ref)
            if rng.random() < self._habits.walk_off_p:
                self.counters["walked_off"] += 1
                await self._clock.sleep(rng.uniform(0.5, 3.0))
                return
            compartment = await self._free_door(cabinet)
            if compartment is None:
                self.counters["gave_up"] += 1
                return
            await self._shop(rng, visit, compartment)
        finally:
            self._world.leave(visit)
            self._busy[cabinet] -= 1

    async def _free_door(self, cabinet: str) -> str | None:
        """The door that can be pulled, as soon as one can, within the shopper's patience; it is opened at once."""
        end_s = self._clock.now_s() + self._habits.patience_s
        while self._clock.now_s() < end_s:
            for compartment in self._world.compartments_of(cabinet):
                if self._world.is_free(compartment):
                    return compartment
            await self._clock.sleep(LOOK_EVERY_S)
        return None

    async def _shop(self, rng: Random, visit: str, compartment: str) -> None:
        self._world.open(compartment, visit)
        self.counters["opened"] += 1
        taken: list[tuple[str, str]] = []
        wanted = 0 if rng.random() < self._habits.nothing_p else rng.randint(1, self._habits.max_items)
        changes_mind = wanted > 0 and rng.random() < self._habits.put_back_p
        await self._clock.sleep(rng.uniform(1.0, 2.5))
        try:
            for _ in range(wanted):
                goods = self._goods(compartment)
                if not goods:
                    self.counters["sold_out"] += 1
                    break
                shelf, sku = goods[rng.randrange(len(goods))]
                self._world.take(shelf, sku, 1, visit)
                taken.append((shelf, sku))
                await self._clock.sleep(rng.uniform(0.8, 2.0))
            if taken and changes_mind:
                self._world.put_back(*taken.pop(), 1, visit)
                self.counters["put_back"] += 1
                await self._clock.sleep(rng.uniform(0.5, 1.5))
        except (DoorClosedError, NotThereError):
            self.counters["disturbed"] += 1  # somebody else closed the door, or was quicker
        self._world.close(compartment, visit)
        self.counters["items"] += len(taken)
        await self._clock.sleep(rng.uniform(0.5, 1.5))

    def _goods(self, compartment: str) -> list[tuple[str, str]]:
        """What can be taken, as (shelf, sku), in a fixed order."""
        return [
            (shelf.name, sku)
            for shelf in self._world.shelves.values()
            if shelf.compartment == compartment
            for sku in sorted(shelf.units())
        ]
