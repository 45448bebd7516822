"""In-memory stand-ins for what the runner is given: a ledger, a lock board, a scale, a provider, a quick clock."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from contracts.event_types import EventData
from device_drivers.capabilities import Door, UnlockReply, WeightSample
from device_drivers.errors import UnavailableError
from edge.config import StoreConfig
from edge.ports import LedgerFullError, PaymentAnswer, PaymentUnansweredError, Transaction
from edge.sessions import CabinetRunner, PendedBasket, StaffDesk, pins
from edge.sessions.eyes import Pace
from edge.sessions.policy import Policy
from tests.edge_sessions.build import NOON, policy

PIN = "2468"
with pytest.MonkeyPatch.context() as cheap:  # a real hash costs 50 ms by design; test_staff makes real ones
    cheap.setattr(pins, "_N", 16)
    PIN_HASH = pins.hash_pin(PIN)
QUICK = Pace(near_s=0.002, idle_s=0.004, fresh_s=0.5, weight_fresh_s=0.5, tick_s=0.004, retry_s=0.01)
SPEED = 20.0


class QuickClock:
    """Store time that runs at a multiple of real time."""

    def __init__(self, speed: float = SPEED) -> None:
        self._speed, self._start = speed, time.monotonic()

    def now_s(self) -> float:
        return (time.monotonic() - self._start) * self._speed + 1000.0

    def wall(self) -> datetime:
        return NOON + timedelta(seconds=self.now_s() - 1000.0)

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s / self._speed)


class FakeLedger:
    """Implements `LedgerPort` in memory; `full` makes every append fail, `crash` stops the world before or after one."""

    def __init__(self) -> None:
        self.events: list[EventData] = []
        self.kinds: dict[str, dict[str, bytes]] = {}
        self.full = False
        self.writable = True
        self.only_reserve = False  # appends succeed, and yet nothing new may begin
        self.watch: Callable[[Transaction], None] | None = None

    async def commit(self, transaction: Transaction) -> None:
        await asyncio.sleep(0)
        if self.full:
            self.writable = False
            raise LedgerFullError("no space")
        self.writable = not self.only_reserve
        for (kind, key), value in transaction.puts.items():
            self.kinds.setdefault(kind, {})[key] = value
        for kind, key in transaction.deletes:
            self.kinds.get(kind, {}).pop(key, None)
        self.events += [r.data for r in transaction.records]
        if self.watch is not None:
            self.watch(transaction)

    def state(self, kind: str) -> Mapping[str, bytes]:
        return dict(self.kinds.get(kind, {}))

    def types(self) -> list[str]:
        return [e.TYPE for e in self.events]

    def last(self, kind: type[EventData]) -> Any:
        return next(e for e in reversed(self.events) if isinstance(e, kind))


class KnownStaff(StaffDesk):
    """Whoever signs in has had their own card read, with the pseudonym `staff-<id>`."""

    async def sign_in(self, staff_id: str, pin: str, terminal: str) -> str:
        why = await super().sign_in(staff_id, pin, terminal)
        if not why:
            self.know(staff_id, f"staff-{staff_id}", self._policy.hours.local(self._clock.wall()).date())
        return why


class FakeLock:
    """One board. A pulse opens the door after `opens_after` polls; faults by attribute."""

    def __init__(self) -> None:
        self.open: dict[int, bool] = {}
        self.frames = 0
        self.dead = False
        self.mute = 0  # so many unlocks act, but their reply is lost
        self.deaf = 0  # so many unlocks do nothing and are refused
        self.before_guard: Callable[[], None] | None = None
        self.opens = True

    async def unlock(self, channel: int, guard: Callable[[], bool]) -> UnlockReply:
        await asyncio.sleep(0)
        if self.dead:
            raise UnavailableError("no line")
        if self.before_guard is not None:
            self.before_guard()
        if not guard():
            return UnlockReply("not_sent")
        self.frames += 1
        if self.deaf:
            self.deaf -= 1
            return UnlockReply("refused", 5.0)
        if self.opens:
            self.open[channel] = True
        if self.mute:
            self.mute -= 1
            return UnlockReply("no_reply")
        return UnlockReply("opened", 5.0)

    async def door(self, channel: int) -> Door:
        await asyncio.sleep(0)
        if self.dead:
            raise UnavailableError("no line")
        return Door.OPEN if self.open.get(channel) else Door.CLOSED


class FakeScale:
    """One scale with `gross_g` on it."""

    def __init__(self, gross_g: float) -> None:
        self.gross_g = gross_g
        self.stable = True
        self.power_on = False
        self.dead = False
        self.acknowledged = 0

    async def sample(self) -> WeightSample:
        await asyncio.sleep(0)
        if self.dead:
            raise UnavailableError("no line")
        return WeightSample(self.gross_g, self.stable, self.power_on)

    async def acknowledge_power_on(self) -> None:
        self.acknowledged += 1
        self.power_on = False


class FakePayment:
    """A provider that loses and doubles; keeps what it has done by key."""

    def __init__(self) -> None:
        self.word: dict[str, PaymentAnswer] = {}
        self.calls: Counter[str] = Counter()
        self.lose: Counter[str] = Counter()
        self.decline = False
        self.captures: Counter[str] = Counter()

    async def _answer(self, what: str, key: str, word: PaymentAnswer) -> PaymentAnswer:
        await asyncio.sleep(0)
        self.calls[what] += 1
        self.word[key] = word
        if self.lose[what] > 0:
            self.lose[what] -= 1
            raise PaymentUnansweredError(what)
        return word

    async def authorise(self, key: str, amount_fen: int) -> PaymentAnswer:
        return await self._answer("authorise", key, self.word.get(key, "declined" if self.decline else "held"))

    async def capture(self, key: str, amount_fen: int) -> PaymentAnswer:
        if self.word.get(key) == "held":
            self.captures[key] += 1
        taken = self.word.get(key) in ("held", "captured")
        return await self._answer("capture", key, "captured" if taken else "voided")

    async def void(self, key: str) -> PaymentAnswer:
        now = self.word.get(key)
        return await self._answer("void", key, now if now in ("captured", "declined") else "voided")


def store(mode: str, *, shelves: int = 1) -> StoreConfig:
    """A store with one cabinet of one compartment."""
    category = "snack" if mode == "self_service" else "tobacco"
    return StoreConfig.model_validate(
        {
            "tenant": "t",
            "store": "s",
            "name_zh": "店",
            "name_en": "shop",
            "data_dir": "data",
            "member_key_file": "key",
            "cloud": {"url": "mqtt://localhost:1"},
            "bus": [
                {"id": "bus-1", "url": "serial:///dev/null", "protocol": "lock_8a"},
                {"id": "bus-2", "url": "serial:///dev/null", "protocol": "modbus_rtu"},
            ],
            "device": [
                {"kind": "lock_board", "id": "lock-1", "bus": "bus-1", "address": 3, "feedback_polarity": "open_short"},
                *(
                    {"kind": "scale", "id": f"scale-{i}", "bus": "bus-2", "address": i, "sigma_g": 0.5}
                    for i in range(1, shelves + 1)
                ),
            ],
            "product": [
                {
                    "sku": "biscuit",
                    "name_zh": "饼",
                    "name_en": "biscuit",
                    "price_fen": 500,
                    "unit_weight_g": 50,
                    "sigma_g": 0.02,
                    "category": category,
                },
                {
                    "sku": "juice",
                    "name_zh": "汁",
                    "name_en": "juice",
                    "price_fen": 800,
                    "unit_weight_g": 90,
                    "sigma_g": 0.02,
                    "category": category,
                },
            ],
            "cabinet": [
                {
                    "id": "cab",
                    "name_zh": "柜",
                    "name_en": "cabinet",
                    "mode": mode,
                    "compartment": [
                        {
                            "id": "k1",
                            "lock": "lock-1",
                            "channel": 1,
                            "shelf": [
                                {
                                    "id": f"k1-s{i}",
                                    "scale": f"scale-{i}",
                                    "stock": [
                                        {"sku": "biscuit", "units": 10, "capacity": 10},
                                        {"sku": "juice", "units": 10, "capacity": 10},
                                    ],
                                }
                                for i in range(1, shelves + 1)
                            ],
                        }
                    ],
                }
            ],
            "staff": [
                {"id": "anna", "name": "Anna", "pin_hash": PIN_HASH, "manager": True, "adult_verified": True},
                {"id": "ben", "name": "Ben", "pin_hash": PIN_HASH},
            ],
        }
    )


class Shop:
    """Everything around one runner. `boot()` runs an agent for as long as the block lasts; then it is gone."""

    def __init__(self, mode: str = "self_service", *, shelves: int = 1, rules: Policy | None = None) -> None:
        self.config = store(mode, shelves=shelves)
        rules = rules or policy()
        # bus time-outs are real seconds: keep them short, or every test of silence is a real wait
        quick = {"verify": 0.3, "weigh": 0.5, "retry_min": 0.1, "retry_max": 0.5}
        self.policy = rules.model_copy(update={"timeouts_s": rules.timeouts_s.model_copy(update=quick)})
        self.clock = QuickClock()
        self.ledger, self.lock, self.payment = FakeLedger(), FakeLock(), FakePayment()
        self.scales = {f"scale-{i}": FakeScale(1400.0) for i in range(1, shelves + 1)}
        self.changes = 0
        self.wall_known = True
        self.cash = False
        self.runner: CabinetRunner
        self.staff: StaffDesk

    @property
    def scale(self) -> FakeScale:
        return self.scales["scale-1"]

    def _count(self) -> None:
        self.changes += 1

    @asynccontextmanager
    async def boot(self, *, books: bool = True):
        self.staff = KnownStaff(staff=self.config.staff, policy=self.policy, ledger=self.ledger, clock=self.clock)
        self.runner = CabinetRunner(
            cabinet=self.config.cabinet[0],
            store=self.config,
            policy=self.policy,
            ledger=self.ledger,
            locks={"lock-1": self.lock},
            scales=self.scales,
            payment=PendedBasket(ledger=self.ledger, clock=self.clock) if self.cash else self.payment,
            clock=self.clock,
            staff=self.staff,
            rng=Random(7),
            on_change=self._count,
            wall_known=lambda: self.wall_known,
            pace=QUICK,
        )
        task = asyncio.create_task(self.runner.run(), name="runner")
        try:
            if books:
                await self.until(lambda: self.reason() == "" or self.reason() in ("staff_absent", "busy"))
                await self.clock.sleep(self.policy.timeouts_s.latch + 0.5)
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def reason(self) -> str:
        return self.runner.snapshot().compartments[0].reason

    def state(self) -> str:
        session = self.runner.snapshot().session
        return session.state if session else ""

    def outcome(self) -> str:
        session = self.runner.snapshot().session
        return session.outcome if session else ""

    async def until(self, true: Callable[[], bool], *, real_s: float = 10.0) -> None:
        """Wait for something that must come; the bound only ends a test that hangs."""
        async with asyncio.timeout(real_s):
            while not true():
                await asyncio.sleep(0.002)

    async def ended(self, outcome: str) -> None:
        await self.until(lambda: any(getattr(e, "outcome", "") == outcome for e in self.ledger.events))

    def close(self) -> None:
        self.lock.open[1] = False
