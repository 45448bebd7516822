"""The product's drivers meet the simulated devices on real terminals: two readings of the same protocols agree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from contracts.clock import SystemClock
from device_drivers.bus import Bus, Link
from device_drivers.capabilities import Door
from device_drivers.errors import UnavailableError
from device_drivers.id_card import IdCardReader
from device_drivers.lock_8a import LockBoard8A
from device_drivers.modbus_rtu import WeightTransmitter
from device_drivers.scanner import SerialScanner
from device_drivers.serial_link import open_serial
from simulators.hardware.faults import FaultPlan
from simulators.hardware.rig import Rig
from simulators.truth import TruthRecord
from simulators.world import World
from tests.simulators.stores import store

CLOCK = SystemClock()
T = TypeVar("T")


class Bench:
    """A plugged store and what it told."""

    def __init__(self, folder: Path, *, echo: bool = False) -> None:
        self.config = store(folder)
        if echo:
            boards = [d.model_copy(update={"echo": True}) if d.kind == "lock_board" else d for d in self.config.device]
            self.config = self.config.model_copy(update={"device": tuple(boards)})
        self.told: list[TruthRecord] = []
        self.world = World(self.config, clock=CLOCK, seed=1, record=self.told.append)
        self.rig = Rig(self.config, self.world, clock=CLOCK, seed=1, faults={})

    @asynccontextmanager
    async def bus(self, name: str) -> AsyncIterator[Bus]:
        self.rig.plug_all()
        port = str(self.rig.port(name).path)

        async def link() -> Link:
            return await open_serial(port, 9600)

        bus = Bus(name=name, open_link=link, on_fault=lambda _kind, _detail: None)
        owner = asyncio.create_task(bus.run(), name=name)
        try:
            yield bus
        finally:
            owner.cancel()
            await asyncio.gather(owner, return_exceptions=True)
            self.rig.unplug_all()


async def patiently(ask: Callable[[], Awaitable[T]], *, pause_s: float = 0.01) -> T:
    """Ask until there is an answer; the line loses some."""
    while True:
        try:
            return await ask()
        except UnavailableError:
            await asyncio.sleep(pause_s)  # a bus that is down refuses at once


@pytest.mark.parametrize("echo", [False, True])
async def test_a_lock_is_pulsed_once_and_its_door_is_seen_in_both_wirings(tmp_path: Path, echo: bool) -> None:
    bench = Bench(tmp_path, echo=echo)
    async with bench.bus("lock-bus") as bus:
        for address, compartment, polarity in ((1, "a1", "locked_short"), (2, "t1", "open_short")):
            board = LockBoard8A(bus, address=address, feedback_polarity=polarity, echo=echo)
            assert await patiently(partial(board.door, 1)) is Door.CLOSED
            assert (await board.unlock(1, lambda: False)).result == "not_sent"
            assert (await board.unlock(1, lambda: True)).result == "opened"
            bench.world.open(compartment)
            assert await board.door(1) is Door.OPEN
            bench.world.close(compartment)
            assert await board.door(1) is Door.CLOSED
    assert [r.compartment for r in bench.told if r.kind == "pulsed"] == ["a1", "t1"]


async def test_scales_are_read_and_acknowledged(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with bench.bus("scale-bus") as bus:
        scale = WeightTransmitter(bus, address=2)
        sample = await patiently(scale.sample)
        assert sample.gross_g == pytest.approx(bench.world.shelf("shelf-b1").true_g, abs=4)
        assert sample.stable
        assert not sample.power_on
        bench.world.restart_scale("shelf-b1")
        sample = await scale.sample()
        assert sample.power_on
        assert abs(sample.gross_g) < 4
        await scale.acknowledge_power_on()
        assert not (await scale.sample()).power_on
        with pytest.raises(UnavailableError):
            await WeightTransmitter(bus, address=77).sample()


async def test_a_card_tells_adult_and_valid(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with bench.bus("card-bus") as bus:
        reader = IdCardReader(bus, day_key=lambda: b"k" * 32, today=lambda: date(2026, 11, 22))
        assert await patiently(reader.read) is None
        for number, adult, valid in (
            ("000000199001010018", True, True),
            ("000000201001010018", False, True),
            ("000000200811230018", False, True),  # one day too young
            ("000000199001010011", False, False),  # wrong check digit
        ):
            bench.rig.lay_card("reader-1", number)
            reading = await reader.read()
            assert reading is not None
            assert (reading.adult, reading.doc_valid) == (adult, valid)


async def test_a_code_arrives_as_it_was_shown(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.rig.plug_all()
    scanner = SerialScanner(open_link=lambda: open_serial(str(bench.rig.port("scan-a").path), 9600), clock=CLOCK)
    owner = asyncio.create_task(scanner.run(), name="scanner")
    while not scanner._open:
        await asyncio.sleep(0.001)
    bench.rig.scan("scanner-a", "ZG1.m-1.00112233445566aa")
    assert (await scanner.next_code()).text == "ZG1.m-1.00112233445566aa"
    owner.cancel()
    await asyncio.gather(owner, return_exceptions=True)
    bench.rig.unplug_all()


async def test_a_bad_line_never_tells_a_wrong_door_or_a_wrong_weight(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    plan = FaultPlan(corrupt_p=0.2, wrong_addr_p=0.2, delay_ms=5)
    async with bench.bus("scale-bus") as bus:
        bench.rig.set_faults("scale-bus", plan)
        scale, true_g = WeightTransmitter(bus, address=2), bench.world.shelf("shelf-b1").true_g
        for _ in range(5):
            assert (await patiently(scale.sample)).gross_g == pytest.approx(true_g, abs=4)
    async with bench.bus("lock-bus") as bus:
        bench.rig.set_faults("lock-bus", plan)
        board = LockBoard8A(bus, address=1, feedback_polarity="locked_short")
        for _ in range(3):
            assert await patiently(partial(board.door, 1)) is Door.CLOSED
    counters = bench.rig.counters()
    assert counters["scale-bus.corrupted"] + counters["scale-bus.wrong_addr"] > 0
