"""The shell of one cabinet: owns its slot, polls doors and scales, runs steps, sends the one frame, moves money.

Steps run one after another in one task: commit, then memory, then effects. Only two things happen at once, from
anywhere: a revoke and a cancel close the gate in memory, and the guard of the frame sees it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Literal

from contracts.clock import Clock
from contracts.event_types import Line
from device_drivers.capabilities import AdultReading, Lock, Scale
from device_drivers.errors import DeviceError
from edge.config import CabinetConfig, StoreConfig
from edge.ports import LedgerFullError, LedgerPort, Payment, Transaction
from edge.sessions.cashier import Cashier
from edge.sessions.core.asking import House
from edge.sessions.core.cabinet import CabinetMachine
from edge.sessions.core.draft import Step, load
from edge.sessions.core.gate import Release
from edge.sessions.core.inputs import (
    Acknowledge,
    Alarm,
    Answer,
    Authorise,
    Count,
    Decide,
    Declare,
    Drop,
    Effect,
    Ended,
    Facts,
    Frame,
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
    Unlock,
    Unstable,
)
from edge.sessions.core.records import Mode
from edge.sessions.disk_pause import DiskPause
from edge.sessions.eyes import Pace
from edge.sessions.ledgered import belongs_to, day_units
from edge.sessions.policy import Policy
from edge.sessions.screen import Screen, failed_rules
from edge.sessions.senses import Senses
from edge.sessions.snapshot import CabinetSnapshot
from edge.sessions.spec import cabinet_spec
from edge.sessions.staff_desk import StaffDesk

MAX_WAITING = 32  # asks of people that may wait for one cabinet
MAX_REF = 64
MAX_TARGET = 80  # `session:` and an id
MAX_ROWS = 8  # rows that one look may run through
log = logging.getLogger("zhanggui.sessions")

Method = Literal["id_card", "member_document", "staff_document", "network_id"]


@dataclass(frozen=True, slots=True)
class RequestResult:
    """The cabinet's word. `reason` is a word that the pages translate; empty when ok."""

    ok: bool
    session: str = ""
    reason: str = ""


@dataclass(slots=True)
class _Ask:
    given: Input
    done: asyncio.Future[Step | None]


class CabinetRunner:
    """Async shell of one `CabinetMachine`."""

    def __init__(
        self,
        *,
        cabinet: CabinetConfig,
        store: StoreConfig,
        policy: Policy,
        ledger: LedgerPort,
        locks: Mapping[str, Lock],
        scales: Mapping[str, Scale],
        payment: Payment,
        clock: Clock,
        staff: StaffDesk,
        rng: Random,
        on_change: Callable[[], None],
        wall_known: Callable[[], bool] = lambda: True,
        shutter_open: Callable[[], bool | None] = lambda: None,
        pace: Pace | None = None,
        real_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`locks` by lock board id, `scales` by scale id. `wall_known`: whether the calendar time can be trusted."""
        self._spec, self._policy = cabinet_spec(cabinet, store), policy
        self._machine, self._house = CabinetMachine(self._spec, policy), House(self._spec, policy)
        self._ledger, self._payment, self._clock, self._staff, self._rng = ledger, payment, clock, staff, rng
        self._changed, self._wall_known, self._shutter_open = on_change, wall_known, shutter_open
        self._pace, self._real_s = pace or Pace(), real_s
        self._memory = Memory()
        self._wake = asyncio.Event()
        self._asks: deque[_Ask] = deque()
        self._answers: deque[_Ask] = deque()
        self._unlock: Unlock | None = None
        self._reply: Reply | None = None  # told by the driver, not durable yet
        self._dropped: set[str] = set()
        self._shut: set[str] = set()
        self._ready = False
        self._entered: tuple[object, float] = (None, 0.0)  # the slot's state, and the real time of entering it
        self._screen = Screen(self._house)
        self.counters: Counter[str] = Counter()
        self._pause = DiskPause(
            cabinet=self._spec.cabinet,
            ledger=ledger,
            retry_s=self._pace.retry_s,
            real_s=real_s,
            told=self._disk,
            changed=on_change,
            counters=self.counters,
        )
        self._cashier = Cashier(
            cabinet=self._spec.cabinet,
            payment=payment,
            timeouts=policy.timeouts_s,
            clock=clock,
            rng=rng,
            retry_s=self._pace.retry_s,
            session=lambda key: self._memory.durable.session.get(key),  # noqa: PLW0108 - memory is replaced at each step
            answer=self._answer,
            counters=self.counters,
        )
        self._locks = {p.board: locks[p.board] for p in self._spec.compartments.values()}
        self._senses = Senses(
            spec=self._spec,
            locks=self._locks,
            scales={s.id: scales[s.scale] for c in cabinet.compartment for s in c.shelf},
            clock=clock,
            pace=self._pace,
            real_s=real_s,
            near=self._near,
            wake=self._wake.set,
        )
        staff.listen(self._wake.set)

    # -------------------------------------------------------------- life

    async def run(self) -> None:
        """Recover, then serve until cancelled. A ledger that is full at start is waited for."""
        self._ready, self._unlock, self._reply = False, None, None
        with suppress(LedgerFullError):  # commits are made in order: one of a run that fell may still be on its way
            await self._ledger.commit(Transaction())
        self._memory = Memory(durable=load(self._ledger.state, belongs_to(self._spec)))
        try:
            async with asyncio.TaskGroup() as group:
                self._cashier.open(group)
                self._senses.start(group)
                group.create_task(self._serve(), name=f"{self._spec.cabinet}:serve")
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        """Nobody serves any more: whoever waits for an answer gets none."""
        self._ready = False
        for ask in (*self._answers, *self._asks):
            if not ask.done.done():
                ask.done.set_result(None)
        self._answers.clear()
        self._asks.clear()

    async def _serve(self) -> None:
        while await self._apply(Start()) is None:  # noqa: ASYNC110 - a disk tells nobody when it has room
            await asyncio.sleep(self._pace.retry_s)
        await self._first_look()
        self._ready = True
        self._changed()
        while True:
            self._wake.clear()
            await self._turn()
            await self._nap()

    async def _first_look(self) -> None:
        """Every board fenced and every scale heard before the first request; a dead one is waited for no longer than
        `T_verify`."""
        until_s = self._real_s() + self._policy.timeouts_s.verify
        while self._real_s() < until_s and not self._senses.all_heard():
            self._wake.clear()
            await self._nap()

    async def _nap(self) -> None:
        """Until something wakes us, or a tick."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.tick_s):
                await self._wake.wait()

    async def _turn(self) -> None:
        """Everything that is due now."""
        if self._reply is not None and await self._apply(self._reply) is not None:
            self._reply = None
        for queue in (self._answers, self._asks):
            for _ in range(len(queue)):
                ask = queue[0]  # it leaves the queue with its answer, so that `_hang_up` finds it until then
                step = await self._apply(ask.given)
                queue.popleft()
                if not ask.done.done():
                    ask.done.set_result(step)
                await self._send()
        await self._look()
        self._cashier.move(self._memory.durable.session.values())
        await self._pause.probe()

    # -------------------------------------------------------------- steps

    async def _apply(self, given: Input) -> Step | None:
        """One step: commit, memory, effects. None: the ledger is full and nothing has happened."""
        step = self._machine.step(self._memory, given, self._facts(), self._clock.now_s())
        if not step.silent:
            if self._pause.waits:
                return None
            try:
                await self._ledger.commit(step.transaction)
            except LedgerFullError:
                self._pause.full()
                return None
            self._pause.well()
        before = self._memory
        self._memory = replace(step.memory, revoked=step.memory.revoked | self._shut)
        self._screen.moved(before, self._memory, self._clock.now_s())
        for effect in step.effects:
            self._do(effect, before)
        if not step.silent or before.slot != self._memory.slot:
            self._changed()
        return step

    def _disk(self, paused: bool) -> None:
        if paused:
            self._screen.alarm("ledger_full", self._spec.cabinet, self._clock.now_s())
        else:
            self._screen.clear("ledger_full", self._spec.cabinet)

    def _do(self, effect: Effect, before: Memory) -> None:
        match effect:
            case Unlock():
                self._unlock = effect
            case Authorise():
                self._cashier.authorise(effect)
            case Acknowledge():
                self._senses.scale(effect.shelf).booked()
            case Alarm():
                self._screen.alarm(effect.code, effect.subject, self._clock.now_s())
                log.warning("cabinet %s: %s at %s", self._spec.cabinet, effect.code, effect.subject)
            case Ended():
                self._screen.ended(before, effect, self._clock.now_s())
            case Frame():
                pass  # the guard has seen it

    async def _look(self) -> None:
        """Devices and time, row after row until nothing moves."""
        for shelf in self._senses.powered_up():
            await self._apply(PowerUp(shelf))
        self._senses.forget_moving(self._policy.timeouts_s.settle)
        for _ in range(MAX_ROWS):
            before = self._memory
            step = await self._apply(Look())
            if step is None or (step.silent and before.slot == self._memory.slot):
                break
            await self._send()
        await self._time_out()

    async def _time_out(self) -> None:
        """What the devices owe us: bounded in real time, because a bus knows no other, and in store time."""
        slot = self._memory.slot
        state = (slot.session, slot.state, slot.since_s) if slot else None
        if state != self._entered[0]:
            self._entered = (state, self._real_s())
        if slot is None:
            return
        t = self._policy.timeouts_s
        silent_s = self._senses.door(slot.compartment).silent_s(slot.compartment)
        if slot.state in ("verify", "wait", "weigh") and silent_s >= t.verify:
            await self._apply(Silent())
        elif slot.state == "weigh":
            real_s, store_s = self._real_s() - self._entered[1], self._clock.now_s() - slot.since_s
            if min(real_s, store_s) >= t.settle + t.weigh:
                await self._apply(Unstable())

    async def _send(self) -> None:
        """Hand the frame of a fresh intent to the bus, guarded by g3. Waits for the reply; nothing else steps."""
        unlock, self._unlock = self._unlock, None
        if unlock is None:
            return
        place, encoded = self._spec.compartments[unlock.compartment], False

        def guard() -> bool:
            nonlocal encoded
            if encoded or unlock.session in self._dropped:
                return False
            step = self._machine.step(self._memory, Head(), self._facts(), self._clock.now_s())
            self._memory = step.memory
            if any(isinstance(e, Frame) and e.intent == unlock.intent for e in step.effects):
                encoded = True
                self._senses.door(unlock.compartment).frame(unlock.compartment)
            return encoded

        try:
            reply = await self._locks[place.board].unlock(place.channel, guard)
        except DeviceError:
            self._reply = Reply(unlock.intent, "no_reply" if encoded else "not_sent")
        else:
            self._reply = Reply(unlock.intent, reply.result, reply.latency_ms)
        if await self._apply(self._reply) is not None:
            self._reply = None

    async def _answer(self, given: Answer) -> Step | None:
        ask = _Ask(given, asyncio.get_running_loop().create_future())
        self._answers.append(ask)
        self._wake.set()
        return await ask.done

    # -------------------------------------------------------------- what people ask

    async def request(
        self, mode: Mode, compartment: str, actor_ref: str, declared: tuple[Line, ...] = ()
    ) -> RequestResult:
        """Ask for a compartment. `actor_ref`: the member; in a restock the staff id. Opens nothing itself."""
        if len(actor_ref) > MAX_REF:
            return RequestResult(ok=False, reason="bad_request")
        session = f"{self._rng.getrandbits(80):020x}"
        given = Request(session, mode, compartment, actor_ref, tuple(declared))
        result = await self._ask(given)
        if result.ok:
            self._screen.failed = ()  # what stood against the session before is not this one's
        return replace(result, session=session)

    async def declare(self, session: str, lines: tuple[Line, ...]) -> RequestResult:
        """What a proven adult wants of tobacco (T12): after the proof, before the release."""
        return await self._ask(Declare(session, tuple(lines)), session)

    async def cancel(self, session: str) -> RequestResult:
        """The buyer leaves. After the frame it is too late: the session goes on to its truth."""
        return await self._drop(session, "cancelled")

    async def refuse(self, session: str, staff_id: str, reason: str) -> RequestResult:
        """Staff on duty refuse a pending session."""
        if staff_id not in self._staff.on_duty():
            return RequestResult(ok=False, session=session, reason="staff_absent")
        return await self._drop(session, f"refused_{reason}"[:64] if reason else "refused")

    async def _drop(self, session: str, reason: str) -> RequestResult:
        self._dropped.add(session)  # the guard sees it before the queue does
        try:
            return await self._ask(Drop(session, reason), session)
        finally:
            self._dropped.discard(session)

    async def age_proof(self, session: str, reading: AdultReading, method: Method) -> RequestResult:
        """An identity document was read for this session (T03)."""
        passed = reading.adult and reading.doc_valid
        return await self._ask(Prove(session, method, passed, reading.person_day_key), session)

    async def release(self, session: str, staff_id: str, pin: str) -> RequestResult:
        """Staff release the live session with the basket as it stands now (T02); the PIN is asked for each release."""
        if staff_id not in self._staff.on_duty():
            return RequestResult(ok=False, session=session, reason="staff_absent")
        held = self._memory.durable.session.get(session)
        if why := await self._staff.confirm(staff_id, pin):
            return RequestResult(ok=False, session=session, reason=why)
        slot = self._memory.slot
        if slot is None or slot.session != session:
            return RequestResult(ok=False, session=session, reason="no_session")
        word = Release(
            id=f"r{self._rng.getrandbits(80):020x}",
            staff_id=staff_id,
            session=session,
            compartment=slot.compartment,
            at_s=self._clock.now_s(),
        )
        return await self._ask(Give(word, held.declared if held else None), session)

    async def decide_review(self, session: str, staff_id: str, accept: bool) -> RequestResult:
        """Staff on duty charge the proposal of a review, or drop it."""
        if staff_id not in self._staff.on_duty():
            return RequestResult(ok=False, session=session, reason="staff_absent")
        return await self._ask(Decide(session, staff_id, accept), session)

    async def revoke(self, target: str) -> RequestResult:
        """`store`, `cabinet:<id>` or `session:<id>`: closes at once in memory, durable as soon as it can be."""
        if len(target) > MAX_TARGET:
            return RequestResult(ok=False, reason="bad_target")
        self.shut(target)
        result = await self._ask(Revoke(target))
        return replace(result, ok=True)  # closed it is, durable or not yet

    def shut(self, target: str) -> None:
        """A revoke in memory alone, at once; it becomes durable with the next step that the ledger takes."""
        self._shut.add(target)
        self._memory = self._machine.shut(self._memory, target)
        self._wake.set()

    @property
    def live(self) -> str:
        """The session in the slot, or empty."""
        return self._memory.slot.session if self._memory.slot else ""

    async def lift(self, target: str, staff_id: str, pin: str) -> RequestResult:
        """A manager on duty lifts a revoke; nothing else can."""
        if staff_id not in self._staff.on_duty() or not self._staff.is_manager(staff_id):
            return RequestResult(ok=False, reason="not_manager")
        if why := await self._staff.confirm(staff_id, pin):
            return RequestResult(ok=False, reason=why)
        was = target in self._shut
        self._shut.discard(target)
        result = await self._ask(Lift(target, staff_id))
        if not result.ok and was:
            self._shut.add(target)
            self._memory = self._machine.shut(self._memory, target)
        return result

    async def count(self, compartment: str, shelves: Mapping[str, Mapping[str, int]], staff_id: str) -> RequestResult:
        """Staff on duty have counted every product (pieces by shelf and product): the book's pieces follow, its weight
        does not, and a compartment that waited for it may sell again."""
        if staff_id not in self._staff.on_duty():
            return RequestResult(ok=False, reason="staff_absent")
        return await self._ask(Count(compartment, {s: dict(units) for s, units in shelves.items()}, staff_id))

    async def _ask(self, given: Input, session: str = "") -> RequestResult:
        if not self._ready:
            return RequestResult(ok=False, session=session, reason="starting")
        if len(self._asks) >= MAX_WAITING:
            self.counters["asks_dropped"] += 1
            return RequestResult(ok=False, session=session, reason="busy")
        ask = _Ask(given, asyncio.get_running_loop().create_future())
        self._asks.append(ask)
        self._wake.set()
        step = await ask.done
        if step is None:
            return RequestResult(ok=False, session=session, reason="ledger_full" if self._ready else "starting")
        self._screen.failed = failed_rules(step) or self._screen.failed
        return RequestResult(ok=not step.answer, session=session, reason=step.answer)

    # -------------------------------------------------------------- what is known

    def _near(self) -> bool:
        return self._memory.slot is not None or not self._ready

    def _wall(self) -> datetime | None:
        return self._clock.wall() if self._wall_known() else None

    def _facts(self) -> Facts:
        wall = self._wall()
        return Facts(
            wall=wall,
            on_duty=self._staff.on_duty(),
            adult_staff=self._staff.adults(),
            staff_keys=self._staff.keys(self._policy.hours.local(wall).date() if wall else None),
            shutter_open=self._shutter_open(),
            day_units=day_units(
                self._ledger.state, self._memory.slot, self._policy.hours.local(wall) if wall else None
            ),
            writable=self._ledger.writable,
            views=self._senses.views(lambda shelf: self._machine.epoch(self._memory, shelf)),
        )

    def snapshot(self) -> CabinetSnapshot:
        """What the pages may know now."""
        return self._screen.snapshot(self._memory, self._facts(), self._clock.now_s(), self.counters)
