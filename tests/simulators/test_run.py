"""A whole simulated store on its ports, and shoppers in it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import serial

from contracts.clock import ManualClock, ScaledClock
from simulators.hardware.control import MAX_CLIENTS, MAX_LINE_BYTES, SimControl, SimRefusedError
from simulators.hardware.faults import FaultPlan
from simulators.hardware.lock_8a import LockBus
from simulators.hardware.rig import Rig
from simulators.hardware.run import run_store
from simulators.hardware.shoppers import Habits, Member, Shoppers
from simulators.truth import TruthRecord, read_truth
from simulators.world import NotThereError, World
from tests.simulators.stores import store

MEMBERS = [("m-1", "ZG1.m-1.00112233445566aa"), ("m-2", "ZG1.m-2.00112233445566bb")]
START = datetime(2026, 6, 1, tzinfo=UTC)


class Doorman:
    """Stands in for the agent: whoever is scanned gets a pulse, unless it is told to be deaf."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.told: list[TruthRecord] = []
        self.deaf = deaf
        self.world: World | None = None

    def __call__(self, record: TruthRecord) -> None:
        self.told.append(record)
        if record.kind == "scanned" and not self.deaf and self.world is not None:
            self.world.pulse("board-1", 1 if record.cabinet == "snacks-a" else 2)


async def shop(
    tmp_path: Path, *, seed: int, duration_s: float, deaf: bool = False, **habits: Any
) -> tuple[Doorman, Shoppers]:
    clock, doorman = ManualClock(), Doorman(deaf=deaf)
    config = store(tmp_path)
    world = doorman.world = World(config, clock=clock, seed=seed, record=doorman)
    rig = Rig(config, world, clock=clock, seed=seed, faults={})
    shoppers = Shoppers(
        world=world,
        rig=rig,
        clock=clock,
        seed=seed,
        members=[Member(*pair) for pair in MEMBERS],
        cabinets=["snacks-a", "snacks-b", "tobacco"],
        habits=Habits(**habits),
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(shoppers.run(duration_s), name="shoppers")
        while not task.done():
            await clock.advance(0.5)
    return doorman, shoppers


async def test_shoppers_come_about_as_often_as_said_and_leave_every_door_closed(tmp_path: Path) -> None:
    doorman, shoppers = await shop(tmp_path, seed=5, duration_s=1800.0)
    visits = [r for r in doorman.told if r.kind == "visit_started"]
    assert 22 <= len(visits) + shoppers.counters["balked"] <= 62  # 40 expected in half an hour
    assert len(visits) == shoppers.counters["visits"] == sum(r.kind == "visit_ended" for r in doorman.told)
    assert doorman.world is not None
    assert not any(door.is_open for door in doorman.world.doors.values())
    assert not doorman.world.visits
    assert shoppers.inside == 0
    assert {r.member for r in visits} == {"m-1", "m-2"}
    assert {r.cabinet for r in visits} == {"snacks-a", "snacks-b"}  # nobody shops tobacco by themselves
    for kind in ("opened", "put_back", "walked_off"):
        assert shoppers.counters[kind] > 0
    taken = sum(r.qty for r in doorman.told if r.kind == "taken") - sum(
        r.qty for r in doorman.told if r.kind == "put_back"
    )
    assert taken == shoppers.counters["items"] > 0
    assert not any("ZG1" in str(r) for r in doorman.told)  # the code is nobody's business


async def test_never_two_at_one_cabinet_unless_asked(tmp_path: Path) -> None:
    doorman, shoppers = await shop(tmp_path, seed=5, duration_s=600.0, mean_gap_s=2.0)
    inside: dict[str, int] = {}
    for record in doorman.told:
        if record.kind in {"visit_started", "visit_ended"}:
            inside[record.cabinet] = inside.get(record.cabinet, 0) + (1 if record.kind == "visit_started" else -1)
            assert inside[record.cabinet] <= 1
    assert shoppers.counters["balked"] > 0


async def test_nobody_takes_the_door_that_was_freed_for_one_who_walked_off(tmp_path: Path) -> None:
    """Their goods would be on another's bill, and no store could know."""
    doorman, shoppers = await shop(tmp_path, seed=5, duration_s=600.0, mean_gap_s=1.0, walk_off_p=1.0)
    assert shoppers.counters["walked_off"] > 10
    free_since: dict[str, float] = {}
    for record in doorman.told:
        if record.kind == "pulsed":
            free_since[record.cabinet] = record.t
        elif record.kind == "latch_expired":
            free_since.pop(record.cabinet, None)
        elif record.kind == "visit_started":
            assert record.cabinet not in free_since, record


async def test_the_same_seed_gives_the_same_day(tmp_path: Path) -> None:
    days = [(await shop(tmp_path, seed=seed, duration_s=300.0))[0].told for seed in (1, 1, 2)]
    assert days[0] == days[1] != days[2]


async def test_without_a_pulse_everyone_gives_up_after_their_patience(tmp_path: Path) -> None:
    doorman, shoppers = await shop(tmp_path, seed=1, duration_s=300.0, deaf=True, walk_off_p=0.0)
    assert shoppers.counters["gave_up"] == shoppers.counters["visits"] > 0
    assert {r.kind for r in doorman.told} == {"visit_started", "scanned", "visit_ended"}
    ends = {r.visit: r.t for r in doorman.told if r.kind == "visit_ended"}
    scans = {r.visit: r.t for r in doorman.told if r.kind == "scanned"}
    assert all(15.0 <= ends[visit] - scans[visit] <= 15.6 for visit in scans)


async def test_an_empty_cabinet_and_a_disturbed_shopper_end_well(tmp_path: Path) -> None:
    _, shoppers = await shop(tmp_path, seed=1, duration_s=900.0, mean_gap_s=8.0, walk_off_p=0.0, nothing_p=0.0)
    assert shoppers.counters["sold_out"] > 0


async def test_a_door_closed_by_somebody_else_ends_the_shopping(tmp_path: Path) -> None:
    clock, doorman = ManualClock(), Doorman()
    config = store(tmp_path)
    world = doorman.world = World(config, clock=clock, seed=1, record=doorman)
    rig = Rig(config, world, clock=clock, seed=1, faults={})
    habits = Habits(mean_gap_s=1.0, walk_off_p=0.0, nothing_p=0.0)
    shoppers = Shoppers(
        world=world, rig=rig, clock=clock, seed=1, members=[Member("m", "c")], cabinets=["snacks-a"], habits=habits
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(shoppers.run(None), name="shoppers")
        while not world.doors["a1"].is_open:
            await clock.advance(0.1)
        shoppers.stopping.set()
        world.close("a1")
        while not task.done():
            await clock.advance(0.5)
    assert shoppers.counters["disturbed"] == 1
    assert not world.visits


# ------------------------------------------------------------------ the whole store


@asynccontextmanager
async def running(tmp_path: Path, *, speed: float = 50.0, **options: Any) -> AsyncIterator[SimControl]:
    clock = ScaledClock.create(tmp_path / "clock", speed=speed, start=START)
    desk = tmp_path / "sim.sock"
    task = asyncio.create_task(
        run_store(
            store(tmp_path),
            clock=clock,
            seed=1,
            truth_path=tmp_path / "truth",
            member_codes=options.pop("member_codes", []),
            control=desk,
            linger_s=0.1,
            **options,
        ),
        name="store",
    )
    await until(desk.exists)
    async with SimControl(desk) as sim:
        yield sim
        await sim.call("stop")
    await task
    assert not desk.exists()
    assert not (tmp_path / "locks").is_symlink()


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # what is waited for is another task's file or the kernel's
        await asyncio.sleep(0.001)


def kinds(tmp_path: Path) -> list[str]:
    return [record.kind for record in read_truth(tmp_path / "truth")]


async def refused(sim: SimControl, cmd: str, **fields: Any) -> str:
    with pytest.raises(SimRefusedError) as caught:
        await sim.call(cmd, **fields)
    return str(caught.value)


async def test_a_person_plays_a_whole_purchase_over_the_socket_and_real_ports(tmp_path: Path) -> None:
    async with running(tmp_path) as sim:
        with serial.Serial(str(tmp_path / "scan-a"), timeout=2) as scanner:
            assert (await sim.call("scan", scanner="scanner-a", code="hello"))["heard"] is True
            assert await asyncio.to_thread(scanner.read, 6) == b"hello\r"
        with serial.Serial(str(tmp_path / "locks"), timeout=2) as locks:
            locks.write(bytes.fromhex("8A 01 01 11 9B"))
            assert await asyncio.to_thread(locks.read, 5) == bytes.fromhex("8A 01 01 00 8A")
            await sim.call("open", compartment="a1")
            locks.write(bytes.fromhex("80 01 01 33 B3"))
            assert await asyncio.to_thread(locks.read, 5) == bytes.fromhex("80 01 01 00 80")
        await sim.call("take", shelf="shelf-a1", sku="nuts", qty=2)
        await sim.call("put_back", shelf="shelf-a1", sku="nuts")
        await sim.call("foreign", shelf="shelf-a1", grams=80.0)
        await sim.call("stock", shelf="shelf-a1", sku="crisps", qty=1)
        await sim.call("close", compartment="a1")
        status = await sim.call("status")
        assert status["doors"] == {"a1": "locked", "b1": "locked", "t1": "locked"}
        assert status["shelves"]["shelf-a1"]["units"] == {"crisps": 21, "nuts": 19}  # type: ignore[index]  # plain JSON
        await sim.call("leave", cabinet="snacks-a")
    records = list(read_truth(tmp_path / "truth"))
    assert [r.kind for r in records] == [
        "visit_started",
        "scanned",
        "pulsed",
        "door_opened",
        "taken",
        "put_back",
        "foreign",
        "stocked",
        "door_closed",
        "visit_ended",
    ]
    assert {r.visit for r in records if r.kind != "pulsed"} == {"hand-1"}


async def test_faults_on_demand_reach_the_lines_and_the_truth(tmp_path: Path) -> None:
    async with running(tmp_path, faults={"scan-b": FaultPlan(drop_p=1.0)}) as sim:
        await sim.call("unplug", bus="lock-bus")
        assert not (tmp_path / "locks").exists()
        await sim.call("unplug", bus="lock-bus")
        await sim.call("replug", bus="lock-bus")
        await sim.call("replug", bus="lock-bus")
        assert (tmp_path / "locks").exists()
        await sim.call("stuck", compartment="a1", to="open")
        await sim.call("stuck", compartment="a1", to="closed")
        await sim.call("stuck", compartment="a1")
        await sim.call("stuck", compartment="a1")
        await sim.call("stuck", shelf="shelf-a1")
        await sim.call("stuck", shelf="shelf-a1", on=False)
        await sim.call("lean", shelf="shelf-a1", grams=500.0)
        await sim.call("lean", shelf="shelf-a1")
        await sim.call("faults", bus="scale-bus", drop_p=0.5)
        await sim.call("faults", bus="scale-bus")
        await sim.call("force_door", compartment="t1")
        await sim.call("close", compartment="t1")
        assert (await sim.call("scan", scanner="scanner-b", code=MEMBERS[0][1]))["heard"] is False
    records = list(read_truth(tmp_path / "truth"))
    assert [(r.kind, r.detail) for r in records] == [
        ("fault", "bad_line"),
        ("fault", "unplug"),
        ("fault_cleared", "unplug"),
        ("fault", "stuck"),
        ("fault_cleared", "stuck"),
        ("fault", "stuck"),
        ("fault_cleared", "stuck"),
        ("fault", "lean"),
        ("fault_cleared", "lean"),
        ("fault", "bad_line"),
        ("fault_cleared", "bad_line"),
        ("door_opened", "forced"),
        ("door_closed", ""),
        ("visit_started", ""),
        ("scanned", ""),
        ("visit_ended", ""),
    ]


async def test_a_scale_and_a_board_reboot(tmp_path: Path) -> None:
    async with running(tmp_path) as sim:
        await sim.call("reboot", device="scale-1")
        await sim.call("reboot", device="board-1")
        counters: Any = (await sim.call("status"))["counters"]
        assert counters["scale-bus.silenced"] == counters["lock-bus.silenced"] == counters["lock-bus.reboots"] == 1
        await until(lambda: kinds(tmp_path).count("fault_cleared") == 2)
    assert sorted(kinds(tmp_path)) == ["fault", "fault", "fault_cleared", "fault_cleared", "scale_restarted"]


async def test_a_card_is_laid_and_taken_away(tmp_path: Path) -> None:
    async with running(tmp_path) as sim:
        visit = (await sim.call("arrive", cabinet="tobacco"))["visit"]
        with serial.Serial(str(tmp_path / "card"), timeout=2) as reader:
            find = bytes.fromhex("AA AA AA 96 69 00 03 20 01 22")
            await sim.call("card", device="reader-1", number="000000199001010018")
            reader.write(find)
            assert (await asyncio.to_thread(reader.read, 15))[9] == 0x9F
            await sim.call("card", device="reader-1")
            reader.write(find)
            assert (await asyncio.to_thread(reader.read, 11))[9] == 0x80
    records = list(read_truth(tmp_path / "truth"))
    assert [(r.kind, r.visit) for r in records] == [(k, visit) for k in ("visit_started", "card_read", "visit_ended")]
    assert not any("000000" in str(r) for r in records)


async def test_a_bad_order_is_refused_with_its_reason_and_the_line_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path) as sim:
        assert "no command" in await refused(sim, "explode")
        assert "locked" in await refused(sim, "open", compartment="a1")
        assert "closed door" in await refused(sim, "take", shelf="shelf-a1", sku="nuts")
        assert "no compartment" in await refused(sim, "open", compartment="x")
        assert "no compartment" in await refused(sim, "stuck", compartment="x", to="open")
        assert "no shelf" in await refused(sim, "take", shelf="x", sku="nuts")
        assert "no simulated bus" in await refused(sim, "unplug", bus="x")
        assert "no simulated device" in await refused(sim, "reboot", device="entrance")
        assert "no scanner or card reader" in await refused(sim, "scan", scanner="board-1", code="x")
        assert "is no scanner" in await refused(sim, "scan", scanner="reader-1", code="x")
        assert "is no card reader" in await refused(sim, "card", device="scanner-a", number="000000199001010018")
        assert "made-up" in await refused(sim, "card", device="reader-1", number="110105194912310023"[:17])
        assert "code" in await refused(sim, "scan", scanner="scanner-a", code="")
        assert "must be 0 to 1" in await refused(sim, "faults", bus="lock-bus", drop_p=7.0)
        assert "unknown field" in await refused(sim, "status", colour="red")
        assert "no visit" in await refused(sim, "open", compartment="a1", visit="ghost")
        assert (await sim.call("status"))["ports"]["lock-bus"] is True  # type: ignore[index]  # plain JSON


async def test_a_line_too_long_loses_only_its_own_client(tmp_path: Path) -> None:
    async with running(tmp_path) as sim:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "sim.sock")
        writer.write(b"x" * (2 * MAX_LINE_BYTES))
        assert await reader.read() == b""
        writer.close()
        others = [await asyncio.open_unix_connection(tmp_path / "sim.sock") for _ in range(MAX_CLIENTS)]
        assert await others[-1][0].read() == b""  # one too many
        for _, other in others:
            other.close()
        counters: Any = (await sim.call("status"))["counters"]
        assert counters["clients_lost"] == counters["clients_refused"] == 1


async def test_a_dead_store_is_a_connection_error(tmp_path: Path) -> None:
    async with running(tmp_path) as sim:
        await sim.call("stop")
        await until(lambda: not (tmp_path / "sim.sock").exists())
        with pytest.raises(ConnectionError):
            await sim.call("status")
        sim.call = _nothing  # type: ignore[method-assign]  # the store has stopped already


async def _nothing(cmd: str, **fields: Any) -> dict[str, object]:
    return {}


async def test_shoppers_with_a_real_line_are_served_by_frames_alone(tmp_path: Path) -> None:
    """A host of a few lines reads codes and pulses locks over the ports; everyone who wants in gets in."""
    clock = ScaledClock.create(tmp_path / "clock", speed=100.0, start=START)

    async def host() -> None:
        await until((tmp_path / "locks").exists)
        locks = serial.Serial(str(tmp_path / "locks"), timeout=0)
        scanners = [(serial.Serial(str(tmp_path / f"scan-{n}"), timeout=0), i) for i, n in enumerate("ab")]
        try:
            while True:
                for scanner, index in scanners:
                    if scanner.in_waiting and b"\r" in scanner.read(200):
                        locks.write(bytes.fromhex(["8A 01 01 11 9B", "8A 01 02 11 98"][index]))
                await asyncio.sleep(0.001)
        finally:
            locks.close()
            for scanner, _ in scanners:
                scanner.close()

    serving = asyncio.create_task(host(), name="host")
    counters = await run_store(
        store(tmp_path),
        clock=clock,
        seed=4,
        truth_path=tmp_path / "truth",
        member_codes=MEMBERS,
        duration_s=120.0,
        habits=Habits(mean_gap_s=10.0, walk_off_p=0.0),
        linger_s=0.5,
    )
    serving.cancel()
    assert counters["shoppers.opened"] > 0
    told = kinds(tmp_path)
    assert told.count("door_opened") == told.count("door_closed") == counters["shoppers.opened"]
    assert told.count("visit_started") == told.count("visit_ended") == counters["shoppers.visits"]
    assert counters["lock-bus.pulses"] == told.count("pulsed")


def test_real_hardware_is_left_alone_and_an_idle_scale_answers(tmp_path: Path) -> None:
    config = store(tmp_path)
    bus = config.bus[0].model_copy(update={"url": "serial:///dev/ttyUSB0"})
    config = config.model_copy(update={"bus": (bus, *config.bus[1:])})
    clock = ManualClock()
    told: list[TruthRecord] = []
    world = World(config, clock=clock, seed=1, record=told.append)
    rig = Rig(config, world, clock=clock, seed=1, faults={})
    assert "lock-bus" not in rig.ports
    with pytest.raises(NotThereError):
        rig.port("lock-bus")
    scales: Any = rig.ports["scale-bus"].device
    assert abs(scales.units[9].cell.read().gross_g) < 5
    assert rig.scanner_of("tobacco") is None


def test_a_line_echoes_if_one_of_its_boards_is_said_to(tmp_path: Path) -> None:
    config = store(tmp_path)
    board = config.device[0].model_copy(update={"echo": True})
    config = config.model_copy(update={"device": (board, *config.device[1:])})
    world = World(config, clock=ManualClock(), seed=1, record=lambda _: None)
    rig = Rig(config, world, clock=ManualClock(), seed=1, faults={})
    assert rig.ports["lock-bus"].echo
    assert not rig.ports["scale-bus"].echo


def test_a_refusal_in_hold_off_is_told_as_a_fault(tmp_path: Path) -> None:
    told: list[TruthRecord] = []
    config = store(tmp_path)
    world = World(config, clock=ManualClock(), seed=1, record=told.append)
    line = Rig(config, world, clock=ManualClock(), seed=1, faults={}).ports["lock-bus"].device
    assert isinstance(line, LockBus)
    for _ in range(2):
        line.answer(bytes.fromhex("8A 01 01 11 9B"), 5.0)
    assert [(r.kind, r.compartment) for r in told] == [("pulsed", "a1"), ("fault", "a1"), ("fault_cleared", "a1")]


async def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "sim.sock"))
    dead.close()
    clock = ScaledClock.create(tmp_path / "clock", speed=50.0, start=START)
    counters = await run_store(
        store(tmp_path),
        clock=clock,
        seed=1,
        truth_path=tmp_path / "truth",
        member_codes=[],
        duration_s=1.0,
        control=tmp_path / "sim.sock",
        linger_s=0.1,
    )
    assert counters["lock-bus.plugged"] == 1
    assert not (tmp_path / "sim.sock").exists()


async def test_the_store_waits_for_the_last_open_door_and_sends_the_player_home(tmp_path: Path) -> None:
    async with running(tmp_path, member_codes=MEMBERS, habits=Habits(mean_gap_s=1e9)) as sim:
        await sim.call("scan", scanner="scanner-a", code=MEMBERS[1][1])
        await sim.call("scan", scanner="scanner-a", code=MEMBERS[0][1])  # somebody else steps up
        await sim.call("force_door", compartment="a1")
        visit = (await sim.call("arrive", cabinet="snacks-b"))["visit"]
        await sim.call("take", shelf="shelf-a1", sku="nuts", visit=visit)  # an arm from the next cabinet
        await sim.call("stop")
        assert (await sim.call("status"))["doors"]["a1"] == "open"  # type: ignore[index]  # plain JSON
        await sim.call("close", compartment="a1")
        await until(lambda: kinds(tmp_path).count("visit_ended") == 3)
        sim.call = _nothing  # type: ignore[method-assign]  # the store has stopped already
    records = list(read_truth(tmp_path / "truth"))
    assert [r.member for r in records if r.kind == "visit_started"] == ["m-2", "m-1", ""]
    assert [r.visit for r in records if r.kind == "taken"] == [visit]
