"""The tobacco story: customers ask at the kiosk, lay a card on the reader, staff look and release, a door opens once.

Everything goes the way of a real page (the desk socket) and of real hardware (card, latch, shelf); nothing here can
open a door by itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from contracts.clock import Clock
from edge.config import CabinetConfig, CompartmentConfig, IdCardConfig, StoreConfig
from edge.desk.client import DeskClient
from edge.desk.messages import CabinetDesk, CountDesk, SessionDesk, StaffDesk, Wish
from simulators.hardware.rig import Rig
from simulators.world import DoorClosedError, NotThereError, World

ADULT_CARD = "000000199001010018"
STAFF_CARD = "000000198801010011"
MINOR_CARD = "000000201001010018"
LOOK_EVERY_S = 0.2
BEAT_EVERY_S = 30.0
COUNT_EVERY_S = 10.0  # staff walk to the shelf no more often
KNOW_S = 40.0  # patience of staff with the reader
SEEN_S = 8.0  # a card that was taken away is gone for the reader too
SIGN_IN_S = 5.0  # what typing a PIN takes, and until the page shows it
TERMINAL = "counter"


@dataclass(frozen=True, slots=True)
class TobaccoHabits:
    """How tobacco is bought. Durations in store seconds, `_p` are probabilities of a visit."""

    mean_gap_s: float = 60.0
    patience_s: float = 45.0
    max_packs: int = 3
    minor_p: float = 0.12
    refuse_p: float = 0.08
    fewer_p: float = 0.15
    walk_off_p: float = 0.05


class TobaccoStory:
    """Staff of one store and the customers of its tobacco cabinets. The same seed gives the same wishes."""

    def __init__(
        self,
        *,
        config: StoreConfig,
        world: World,
        rig: Rig,
        desk: DeskClient,
        clock: Clock,
        seed: int,
        pins: Mapping[str, str],
        habits: TobaccoHabits | None = None,
    ) -> None:
        self._world = world
        self._rig = rig
        self._desk = desk
        self._clock = clock
        self._seed = seed
        self._pins = dict(pins)
        self._habits = habits or TobaccoHabits()
        self._cabinets = [c for c in config.cabinet if c.mode == "staff_release"]
        self._readers = {d.cabinet: d.id for d in config.device if isinstance(d, IdCardConfig)}
        self._reading = {reader: asyncio.Lock() for reader in self._readers.values()}  # one person at a time
        self.counters: Counter[str] = Counter()

    async def staff(self) -> None:
        """Stay signed in, look after requests, count what is asked for, until cancelled. Needs someone with a PIN."""
        rng = Random(f"{self._seed}:staff")
        person = next(iter(self._pins))
        answered: set[str] = set()
        next_beat_s = next_count_s = 0.0
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            state = self._desk.state
            if state is None or self._desk.stale:
                continue
            mine = next((s for s in state.staff if s.staff_id == person), None)
            if mine is None:
                continue
            if not mine.on_duty:
                reply = await self._desk.ask("sign_in", staff_id=person, pin=self._pins[person], terminal=TERMINAL)
                self.counters["staff.signed_in"] += reply.ok
                next_beat_s = self._clock.now_s() + BEAT_EVERY_S
                await self._clock.sleep(SIGN_IN_S)
                continue
            if self._clock.now_s() >= next_beat_s:
                next_beat_s = self._clock.now_s() + BEAT_EVERY_S
                await self._desk.ask("beat", staff_id=person, terminal=TERMINAL)
            if not mine.known and self._cabinets:
                await self._show_own_card(person)
                continue
            if state.counts and self._clock.now_s() >= next_count_s:
                next_count_s = self._clock.now_s() + COUNT_EVERY_S
                for due in state.counts:
                    await self._count(person, due)
            for session in self._waiting(state.cabinets):
                if session.session not in answered:
                    answered.add(session.session)
                    await self._answer(rng, person, session)

    async def _show_own_card(self, person: str) -> None:
        """Once a day and duty: without it nobody knows that whoever releases is not the buyer (T02)."""
        cabinet = self._cabinets[0].id
        reader = self._readers[cabinet]
        async with self._reading[reader]:
            await self._desk.ask("beat", staff_id=person, terminal=TERMINAL)
            await self._clock.sleep(SEEN_S)
            reply = await self._desk.ask("know", staff_id=person, cabinet=cabinet, terminal=TERMINAL)
            if not reply.ok:
                self.counters[f"staff.{reply.reason}"] += 1
                return
            self._rig.lay_card(reader, STAFF_CARD)
            try:
                known = await self._until(lambda: (me := self._person(person)) is not None and me.known, KNOW_S)
                self.counters["staff.known"] += known
            finally:
                self._rig.lay_card(reader, None)
            await self._clock.sleep(SEEN_S)

    async def _count(self, person: str, due: CountDesk) -> None:
        """Count what truly stands behind a closed door, as the agent asks before it sells there again."""
        if self._world.door(due.compartment).is_open:
            return
        shelves = [shelf for shelf in self._world.shelves.values() if shelf.compartment == due.compartment]
        units = {g.sku: sum(shelf.units()[g.sku] for shelf in shelves) for g in due.goods}
        reply = await self._desk.ask(
            "count", cabinet=due.cabinet, compartment=due.compartment, staff_id=person, units=units
        )
        self.counters["staff.counted"] += reply.ok

    @staticmethod
    def _waiting(cabinets: Sequence[CabinetDesk]) -> list[SessionDesk]:
        """Sessions with a proven adult that only wait for a release."""
        live = [c.session for c in cabinets if c.session is not None]
        return [s for s in live if s.mode == "staff_release" and s.needs == ("release",) and s.declared]

    async def _answer(self, rng: Random, person: str, session: SessionDesk) -> None:
        refuses = rng.random() < self._habits.refuse_p
        await self._clock.sleep(rng.uniform(1.0, 4.0))
        if refuses:
            reply = await self._desk.ask("refuse", session=session.session, staff_id=person, reason="not_served")
            self.counters["staff.refused"] += reply.ok
        else:
            lines = tuple(Wish(sku=line.sku, qty=line.qty) for line in session.declared)
            reply = await self._desk.ask(
                "release", session=session.session, staff_id=person, pin=self._pins[person], lines=lines
            )
            self.counters["staff.released"] += reply.ok

    async def customers(self, more: Callable[[float], bool]) -> None:
        """Send customers, one at a time, while `more(now_s)`; returns when the last has left."""
        rng = Random(f"{self._seed}:tobacco")
        number = 0
        while self._cabinets and self._pins:
            due_s = self._clock.now_s() + rng.expovariate(1.0 / self._habits.mean_gap_s)
            while self._clock.now_s() < due_s:
                if not more(self._clock.now_s()):
                    return
                await self._clock.sleep(min(1.0, max(0.001, due_s - self._clock.now_s())))
            number += 1
            cabinet = self._cabinets[rng.randrange(len(self._cabinets))]
            await self._visit(Random(f"{self._seed}:tobacco:{number}"), f"tobacco-{number}", cabinet)

    async def _visit(self, rng: Random, visit: str, cabinet: CabinetConfig) -> None:
        compartment = cabinet.compartment[rng.randrange(len(cabinet.compartment))]
        reader = self._readers[cabinet.id]
        self._world.arrive(visit, cabinet.id)
        self.counters["tobacco.visits"] += 1
        try:
            await self._clock.sleep(rng.uniform(0.5, 2.0))
            async with self._reading[reader]:
                begun = await self._desk.ask("start", cabinet=cabinet.id, compartment=compartment.id)
                if not begun.ok:
                    self.counters[f"tobacco.{begun.reason}"] += 1
                    return
                minor = rng.random() < self._habits.minor_p
                self._rig.lay_card(reader, MINOR_CARD if minor else ADULT_CARD, visit=visit)
                try:
                    proven = await self._until(lambda: bool(self._session(cabinet.id, begun.session).adult_by))
                finally:
                    self._rig.lay_card(reader, None)
                if not proven:
                    self.counters["tobacco.not_proven"] += 1
                    await self._desk.ask("cancel", session=begun.session)
                    return
            await self._buy(rng, visit, cabinet.id, compartment, begun.session)
        finally:
            self._world.leave(visit)

    async def _buy(self, rng: Random, visit: str, cabinet: str, compartment: CompartmentConfig, session: str) -> None:
        sku, packs = compartment.shelf[0].stock[0].sku, rng.randint(1, self._habits.max_packs)
        wanted = await self._desk.ask(
            "start", cabinet=cabinet, compartment=compartment.id, session=session, sku=sku, qty=packs
        )
        if not wanted.ok:
            self.counters[f"tobacco.{wanted.reason}"] += 1
            await self._desk.ask("cancel", session=session)
            return
        if not await self._until(lambda: self._world.is_free(compartment.id)):
            self.counters["tobacco.not_opened"] += 1
            await self._desk.ask("cancel", session=session)
            return
        if rng.random() < self._habits.walk_off_p:
            self.counters["tobacco.walked_off"] += 1
            return
        self._world.open(compartment.id, visit)
        taken = packs - (rng.random() < self._habits.fewer_p)
        await self._clock.sleep(rng.uniform(1.0, 2.5))
        try:
            if taken:
                self._world.take(compartment.shelf[0].id, sku, taken, visit)
                self.counters["tobacco.packs"] += taken
                await self._clock.sleep(rng.uniform(0.8, 2.0))
        except (DoorClosedError, NotThereError):
            self.counters["tobacco.disturbed"] += 1
        self._world.close(compartment.id, visit)
        await self._clock.sleep(rng.uniform(0.5, 1.5))

    async def _until(self, true: Callable[[], bool], patience_s: float | None = None) -> bool:
        """Wait for something within somebody's patience, by default a customer's."""
        end_s = self._clock.now_s() + (self._habits.patience_s if patience_s is None else patience_s)
        while self._clock.now_s() < end_s:
            if true():
                return True
            await self._clock.sleep(LOOK_EVERY_S)
        return False

    def _person(self, staff_id: str) -> StaffDesk | None:
        state = self._desk.state
        return next((s for s in state.staff if s.staff_id == staff_id), None) if state else None

    def _session(self, cabinet: str, session: str) -> SessionDesk:
        """What the kiosk shows of the customer's session; an empty one when it shows another or none."""
        state = self._desk.state
        shown = next((c.session for c in state.cabinets if c.cabinet == cabinet), None) if state else None
        if shown is not None and shown.session == session:
            return shown
        return SessionDesk(session=session, compartment="", mode="staff_release", state="")


async def serve(story: TobaccoStory, desk: DeskClient, more: Callable[[float], bool]) -> None:
    """Run staff and customers over one desk connection until the customers are through."""
    async with asyncio.TaskGroup() as group:
        background = [
            group.create_task(desk.run(), name="tobacco-desk"),
            group.create_task(story.staff(), name="tobacco-staff"),
        ]
        await story.customers(more)
        for task in background:
            task.cancel()
