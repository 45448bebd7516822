"""One small store around one device of any kind, and the pieces of the agent that look after such a device."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any

from contracts.clock import Clock, ScaledClock
from contracts.event_types import DeviceReading, EventData
from edge.config import StoreConfig, load_store
from edge.devices.alarm_book import AlarmBook
from edge.devices.build import build
from edge.devices.built import Devices
from edge.devices.health import DeviceHealth, State
from edge.devices.polled import Poller
from edge.devices.scanners import watch_scanner
from edge.ports import LedgerFullError, Transaction
from edge.supervisor import Supervisor
from simulators.hardware.rig import Rig
from simulators.world import World

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
SPEED = 10.0

STORE = """
tenant = "t"
store = "s"
name_zh = "店"
name_en = "Shop"
data_dir = "edge"
member_key_file = "member.key"
[cloud]
url = "mqtt://127.0.0.1:1"
[[bus]]
id = "locks"
url = "serial://{folder}/dev/locks"
protocol = "lock_8a"
[[bus]]
id = "scales"
url = "serial://{folder}/dev/scales"
protocol = "modbus_rtu"
[[device]]
kind = "lock_board"
id = "lock-1"
bus = "locks"
address = 1
feedback_polarity = "locked_short"
[[device]]
kind = "scale"
id = "scale-a"
bus = "scales"
address = 1
{scale}
[[product]]
sku = "p1"
name_zh = "茶"
name_en = "Tea"
price_fen = 100
unit_weight_g = 50.0
category = "drink"
[[cabinet]]
id = "A"
name_zh = "柜"
name_en = "Cabinet"
mode = "self_service"
[[cabinet.compartment]]
id = "A-1"
lock = "lock-1"
channel = 1
[[cabinet.compartment.shelf]]
id = "A-1a"
scale = "scale-a"
stock = [{{ sku = "p1", units = 10, capacity = 20 }}]
"""


def line(folder: Path, protocol: str, name: str = "line", url: str = "") -> str:
    """A bus of its own for the device under test."""
    address = url or f"serial://{folder}/dev/{name}"
    return f'[[bus]]\nid = "{name}"\nurl = "{address}"\nprotocol = "{protocol}"\n'


def described(folder: Path, more: str = "", scale: str = "") -> Path:
    """The store's file with `more` in it."""
    (folder / "edge").mkdir(exist_ok=True)
    key = folder / "member.key"
    key.touch(mode=0o600)
    key.write_text("ab" * 32)
    unit = folder / "unit.key"
    unit.touch(mode=0o600)
    unit.write_text("cd" * 32)
    toml = folder / "store.toml"
    toml.write_text(STORE.format(folder=folder, scale=scale) + more)
    return toml


class Ledger:
    """As much of a ledger as alarms need. `full`: it has no room."""

    def __init__(self) -> None:
        self.events: list[EventData] = []
        self.full = False
        self.kept: dict[tuple[str, str], bytes] = {}
        self.writable = True

    async def commit(self, transaction: Transaction) -> None:
        if self.full:
            raise LedgerFullError("no room")
        await asyncio.sleep(0)
        self.events += [record.data for record in transaction.records]
        self.kept |= dict(transaction.puts)
        for place in transaction.deletes:
            self.kept.pop(place, None)

    def state(self, kind: str) -> Mapping[str, bytes]:
        return {key: raw for (of, key), raw in self.kept.items() if of == kind}


@dataclass(slots=True)
class Kinds:
    """A running store. `told` holds what telemetry was told, `lives` every state of every device."""

    config: StoreConfig
    clock: Clock
    rig: Rig
    world: World
    devices: Devices
    ledger: Ledger
    told: list[EventData] = field(default_factory=list)
    lives: list[tuple[str, State]] = field(default_factory=list)
    doors: dict[str, bool | None] = field(default_factory=dict)

    async def until(self, true: Callable[[], Any], *, real_s: float = 60.0) -> None:
        """Wait for what must come; the bound only ends a test that hangs."""
        async with asyncio.timeout(real_s):
            while not true():
                await asyncio.sleep(0.01)

    def state(self, device: str) -> str:
        return self.devices.health[device].state

    def shown(self, device: str) -> Mapping[str, float | str]:
        """The latest reading of a device."""
        readings = [e.values for e in self.told if isinstance(e, DeviceReading) and e.device == device]
        return readings[-1] if readings else {}


@asynccontextmanager
async def running(toml: Path, *, only: Sequence[str] = ()) -> AsyncIterator[Kinds]:
    """The devices of a store, each bus and each device under supervision, on simulated hardware."""
    config = load_store(toml)
    clock = ScaledClock.create(toml.parent / "clock", speed=SPEED, start=NOON)
    world = World(config, clock=clock, seed=1, record=lambda _record: None)
    rig = Rig(config, world, clock=clock, seed=1, faults={})
    ledger, told, lives = Ledger(), list[EventData](), list[tuple[str, State]]()
    doors: dict[str, bool | None] = {"A-1": False}

    def changed(health: DeviceHealth, _before: State) -> None:
        lives.append((health.device, health.state))

    devices = build(
        config,
        clock=clock,
        on_change=changed,
        on_fault=lambda _bus, _protocol, _kind: None,
        day_key=lambda: bytes(32),
        today=lambda: date(2026, 3, 2),
        door_open=doors.get,
    )
    supervisor = Supervisor(clock=clock, rng=Random(1))
    book = AlarmBook(ledger)
    rig.plug_all()
    tasks = [asyncio.create_task(supervisor.keep(f"bus:{n}", b.run, cap_s=0.2)) for n, b in devices.buses.items()]
    for polled in devices.polled:
        if not only or polled.device in only:
            poller = Poller(polled, clock, lambda data, _device: told.append(data), book)
            tasks.append(asyncio.create_task(supervisor.keep(f"device:{polled.device}", poller.run, cap_s=0.2)))
    for name, company in ((p.device, p.company) for p in devices.polled if p.company is not None):
        tasks.append(asyncio.create_task(supervisor.keep(f"company:{name}", company, cap_s=0.2)))
    for watched in devices.scanners:
        tasks.append(asyncio.create_task(supervisor.keep("scanner", watched.scanner.run, cap_s=0.2)))
        tasks.append(asyncio.create_task(watch_scanner(watched)))
    try:
        yield Kinds(config, clock, rig, world, devices, ledger, told, lives, doors)
        assert [task.name for task in supervisor.tasks.values() if task.crashes] == []
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        rig.unplug_all()
