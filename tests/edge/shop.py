"""A whole store in one process for the agent's tests: the demo's description, its hardware on real ptys, its truth."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from contracts.clock import ScaledClock
from contracts.envelope import decode_data, decode_envelope
from contracts.event_types import CabinetSessionEnded, EventData
from edge.agent import Agent, opened
from edge.config import StoreConfig, load_store
from edge.desk.messages import Ask, Reply, SessionDesk
from edge.ledger import show
from simulators.hardware.rig import Rig
from simulators.truth import Comparison, TruthRecord, compare
from simulators.truth.sessions import Event
from simulators.world import World
from tests.edge_sessions.fakes import PIN_HASH
from zhanggui.demo.store import DemoStore, make

SPEED = 10.0
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # 12:00 in the store
ADULT_CARD, MINOR_CARD = "000000199001010018", "000000201001010018"
STAFF_CARD = "000000198801010011"


def described(folder: Path, url: str = "mqtt://127.0.0.1:1") -> DemoStore:
    """The demo store below `folder`; both members of staff have the PIN of the sessions' tests."""
    demo = make(folder / "shop", broker_url=url, camera=False, pin_hashes={"amy": PIN_HASH, "bo": PIN_HASH})
    policy = demo.folder / "policy.toml"
    text = policy.read_text().replace("verify = 3.0", "verify = 1.0")  # real seconds: a lost line costs a test less
    policy.write_text(text)
    return demo


class Shop:
    """Hardware, people and agents of one store. The clock is shared and runs at `SPEED`."""

    def __init__(self, folder: Path, url: str = "mqtt://127.0.0.1:1", **changes: Any) -> None:
        self.demo = described(folder, url)
        if "store" in changes:  # in the file too: `config.reload` reads it again
            text = self.demo.store_toml.read_text()
            self.demo.store_toml.write_text(text.replace('store = "s001"', f'store = "{changes["store"]}"'))
        self.config: StoreConfig = load_store(self.demo.store_toml).model_copy(update=changes)
        self.clock = ScaledClock.create(self.demo.clock_file, speed=SPEED, start=NOON)
        self.truth: list[TruthRecord] = []
        self.world = World(self.config, clock=self.clock, seed=1, record=self.truth.append)
        self.rig = Rig(self.config, self.world, clock=self.clock, seed=1, faults={})
        with self.demo.codes_csv.open(newline="") as file:
            self.codes = dict(csv.reader(file))
        self.agent: Agent
        self.kills: list[float] = []
        self._visits = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        """An agent until the block ends, stopped as SIGTERM stops it."""
        self.rig.plug_all()
        stop = asyncio.Event()
        try:
            toml = self.demo.store_toml
            async with opened(self.config, clock=self.clock, rng=Random(3), store_toml=toml) as self.agent:
                task = asyncio.create_task(self.agent.run(stop), name="agent")
                try:
                    await self.until(lambda: task.done() or self.ready("S1"))
                    yield self.agent
                finally:
                    stop.set()
                    await task
        finally:
            self.rig.unplug_all()

    async def until(self, true: Callable[[], bool], *, real_s: float = 60.0) -> None:
        """Wait for what must come; the bound only ends a test that hangs."""
        async with asyncio.timeout(real_s):
            while not true():
                await asyncio.sleep(0.01)

    # -------------------------------------------------------------- looking

    def ready(self, cabinet: str) -> bool:
        """A session could begin there."""
        shown = next(c for c in self.agent.front.state().cabinets if c.cabinet == cabinet)
        return all(k.reason in ("", "staff_absent") for k in shown.compartments) and shown.session is None

    def session(self, cabinet: str) -> SessionDesk | None:
        """What the cabinet's screen shows."""
        return next(c.session for c in self.agent.front.state().cabinets if c.cabinet == cabinet)

    def events(self) -> list[Event]:
        """All that stands in the ledger, in order (nothing is freed without a cloud)."""
        raws = [e.raw for e in show(self.config.data_dir / "ledger.db", "ledger", 0, 10_000) if e.raw is not None]
        return [(envelope, decode_data(envelope)) for envelope in map(decode_envelope, raws)]

    def said(self, kind: type[EventData]) -> list[Any]:
        return [data for _, data in self.events() if isinstance(data, kind)]

    def outcomes(self) -> list[str]:
        return [data.outcome for data in self.said(CabinetSessionEnded)]

    def pulses(self) -> int:
        """How often any solenoid fired, as the boards themselves count it."""
        return self.rig.ports["locks"].device.counters["pulses"]

    def judged(self) -> Comparison:
        """The ledger against what truly happened."""
        self.world.settle()
        return compare(self.truth, self.events(), kills=self.kills, bounce_s=0.5 * SPEED, late_s=2.0 * SPEED)

    # -------------------------------------------------------------- doing

    async def ask(self, action: str, **fields: Any) -> Reply:
        """What a page asks."""
        return await self.agent.front.ask(Ask(id="1", action=action, **fields))

    def arrive(self, cabinet: str, member: str = "") -> str:
        self._visits += 1
        self.world.arrive(f"visit-{self._visits}", cabinet, member)
        return f"visit-{self._visits}"

    def scan(self, visit: str, member: str = "m0001", scanner: str = "scanner-S1") -> None:
        self.rig.scan(scanner, self.codes[member], visit=visit, member=member)

    async def opens(self, visit: str, compartment: str = "S1-door") -> None:
        """Pull the door as soon as it is free."""
        await self.until(lambda: self.world.is_free(compartment))
        self.world.open(compartment, visit)
        await self.clock.sleep(1.5)

    async def takes(self, visit: str, shelf: str, sku: str, qty: int = 1) -> None:
        self.world.take(shelf, sku, qty, visit)
        await self.clock.sleep(1.0)

    async def leaves(self, visit: str, compartment: str = "S1-door") -> None:
        """Shut the door, if it is open, and walk away."""
        if self.world.doors[compartment].is_open:
            self.world.close(compartment, visit)
        await self.clock.sleep(0.5)
        self.world.leave(visit)

    async def buys(self, goods: dict[tuple[str, str], int], member: str = "m0001") -> str:
        """A whole visit at the snack cabinet, to its end; how it ended."""
        await self.until(lambda: self.ready("S1"))
        before = len(self.outcomes())
        visit = self.arrive("S1", member)
        self.scan(visit, member)
        await self.opens(visit)
        for (shelf, sku), qty in goods.items():
            await self.takes(visit, shelf, sku, qty)
        await self.leaves(visit)
        await self.until(lambda: len(self.outcomes()) > before)
        return self.outcomes()[-1]
