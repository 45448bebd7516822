"""A whole store's devices on a bench: the product's own drivers, simulated hardware on real pseudo-terminals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from contracts.clock import SystemClock
from device_drivers.capabilities import Door, UnlockReply, WeightSample
from device_drivers.errors import DeviceError
from edge.config import StoreConfig, load_store
from edge.devices.build import build
from edge.devices.built import Devices
from simulators.hardware.faults import FaultPlan
from simulators.hardware.rig import Rig
from simulators.truth import TruthRecord
from simulators.world import World

DAY_KEY = bytes(range(32))  # of a bench: nobody's
TRIES = 200
PAUSE_S = 0.05


class LockBench:
    """One channel of a lock board: the driver on one side, the door on the other."""

    def __init__(self, bench: StoreBench, compartment: str) -> None:
        self._bench, self.compartment = bench, compartment
        self.device, self.channel = next(
            (found.lock, found.channel) for _, found in bench.config.compartments() if found.id == compartment
        )

    async def unlock(self) -> UnlockReply:
        """Pulse the lock, once."""
        return await self._bench.devices.locks[self.device].unlock(self.channel, lambda: True)

    async def door(self) -> Door:
        """What the driver says of the door. Raises UnavailableError."""
        return await self._bench.devices.locks[self.device].door(self.channel)

    async def answers(self) -> Door:
        """What the driver says of the door as soon as the board answers, after whatever was wrong with the line."""
        for _ in range(TRIES):
            try:
                return await self.door()
            except DeviceError:
                await asyncio.sleep(PAUSE_S)
        raise TimeoutError(f"{self.device}: does not answer")

    def pull(self) -> None:
        """Somebody opens the door, which must be unlocked. Raises what the world says to a locked one."""
        self._bench.world.open(self.compartment)

    def push(self) -> None:
        """Somebody closes it."""
        self._bench.world.close(self.compartment)


class ShelfBench:
    """One shelf: goods on it, and the scale under it."""

    def __init__(self, bench: StoreBench, shelf: str) -> None:
        self._bench, self.shelf = bench, shelf
        self.device = next(device for device, found in bench.world.shelf_on.items() if found == shelf)

    @property
    def true_g(self) -> float:
        """What lies there, in grams."""
        return self._bench.world.shelf(self.shelf).true_g

    def take(self, sku: str, qty: int = 1) -> None:
        """Somebody takes pieces off; the door must be open."""
        self._bench.world.take(self.shelf, sku, qty)

    def put_back(self, sku: str, qty: int = 1) -> None:
        """And puts some back."""
        self._bench.world.put_back(self.shelf, sku, qty)

    async def sample(self) -> WeightSample:
        """What the driver reads now. Raises UnavailableError."""
        return await self._bench.devices.scales[self.device].sample()

    async def stable_g(self) -> float:
        """The first stable weight. Raises UnavailableError when there is none for a while."""
        for _ in range(TRIES):
            found = await self.sample()
            if found.stable:
                return found.gross_g
            await asyncio.sleep(PAUSE_S)
        raise TimeoutError(f"{self.shelf}: the scale does not come to rest")


class FaultBench:
    """What goes wrong, and when."""

    def __init__(self, bench: StoreBench) -> None:
        self._bench = bench

    def on(
        self, bus: str, *, drop_p: float = 0.0, corrupt_p: float = 0.0, wrong_addr_p: float = 0.0, delay_ms: float = 0.0
    ) -> None:
        """Spoil a line from now on; without any value it is well again."""
        plan = FaultPlan(drop_p=drop_p, corrupt_p=corrupt_p, wrong_addr_p=wrong_addr_p, delay_ms=delay_ms)
        self._bench.rig.set_faults(bus, plan)

    def unplug(self, bus: str) -> None:
        """Pull the adapter out."""
        self._bench.rig.unplug(bus)

    def plug(self, bus: str) -> None:
        """Put it back."""
        self._bench.rig.replug(bus)

    def reboot(self, device: str) -> None:
        """A device loses its power for a moment."""
        self._bench.rig.reboot(device)


class StoreBench:
    """Everything of one store but its agent. `told` is the truth, as it happens."""

    def __init__(self, config: StoreConfig, *, seed: int = 0) -> None:
        self.config = config
        self.told: list[TruthRecord] = []
        clock = SystemClock()
        self.world = World(config, clock=clock, seed=seed, record=self.told.append)
        self.rig = Rig(config, self.world, clock=clock, seed=seed, faults={})
        self.devices: Devices = build(
            config,
            clock=clock,
            on_change=lambda _health, _before: None,
            on_fault=lambda _bus, _protocol, _kind: None,
            day_key=lambda: DAY_KEY,
            today=lambda: datetime.now(UTC).date(),
        )
        self.faults = FaultBench(self)

    def lock(self, compartment: str) -> LockBench:
        """The lock of a compartment."""
        return LockBench(self, compartment)

    def shelf(self, name: str) -> ShelfBench:
        """A shelf by its name."""
        return ShelfBench(self, name)


def bench_config(folder: Path, description: Path | None = None) -> StoreConfig:
    """The store of the bench in `folder`; `{folder}` in a description stands for it. Raises ConfigError."""
    template = (description or Path(__file__).with_name("store.toml")).read_text(encoding="utf-8")
    target = folder / "store.toml"
    target.write_text(template.replace("{folder}", str(folder)), encoding="utf-8")
    return load_store(target)


@asynccontextmanager
async def plugged(config: StoreConfig, *, seed: int = 0) -> AsyncIterator[StoreBench]:
    """The store with all its ports plugged in and all its buses running; everything is taken away afterwards."""
    bench = StoreBench(config, seed=seed)
    bench.rig.plug_all()
    owners = [asyncio.create_task(_keep(bus.run), name=f"bus[{name}]") for name, bus in bench.devices.buses.items()]
    try:
        await asyncio.sleep(0)
        yield bench
    finally:
        for owner in owners:
            owner.cancel()
        await asyncio.gather(*owners, return_exceptions=True)
        bench.rig.unplug_all()


async def _keep(run: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await run()
        except DeviceError:
            await asyncio.sleep(PAUSE_S)
