"""Pitfalls of other software that concern lines and devices, each by its number."""

from __future__ import annotations

import asyncio
import itertools
from random import Random

import pytest

from contracts.clock import ManualClock
from device_drivers.bus import Bus
from device_drivers.capabilities import Door
from device_drivers.errors import DeviceError, UnavailableError
from device_drivers.lock_8a import LockBoard8A
from edge.devices.health import DeviceHealth, State, WatchedLock
from edge.supervisor import Supervisor
from simulators.conformance.memory_link import MemoryLink
from simulators.conformance.virtual_time import in_virtual_time
from tests.device_drivers.twins import LockTwin

PERIOD_S = 0.5


class LoopClock(ManualClock):
    """Store time is the virtual time of the loop."""

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()


class Line:
    """A port with boards behind it that can be out for a while; the bus on it under supervision; doors polled."""

    def __init__(self, *boards: LockTwin) -> None:
        self.boards, self.links, self.out, self.break_on = boards, list[MemoryLink](), False, ""
        self.clock = LoopClock()
        self.supervisor = Supervisor(clock=self.clock, rng=Random(7))
        self.bus = Bus(name="line", open_link=self._open, on_fault=lambda _kind, _detail: None)
        self.changes: list[tuple[int, State]] = []
        self.asked: dict[int, list[float]] = {board.board: [] for board in boards}
        self.health = {
            board.board: DeviceHealth(str(board.board), "lock", self.clock, self._changed, since_s=0.0)
            for board in boards
        }
        self.crash = False

    async def _open(self) -> MemoryLink:
        if self.out:
            raise UnavailableError("the port is not there")
        link = MemoryLink(*self.boards)
        link.unplug_on, self.break_on = self.break_on, ""  # type: ignore[assignment]
        self.links.append(link)
        return link

    def unplug(self) -> None:
        self.out = True
        self.links[-1].unplug()

    def _changed(self, health: DeviceHealth, _before: State) -> None:
        self.changes.append((int(health.device), health.state))

    async def _poll(self, address: int) -> None:
        board = LockBoard8A(self.bus, address=address, feedback_polarity="locked_short")
        watched = WatchedLock(board, self.health[address])
        while True:
            if self.crash:
                self.crash = False
                raise ZeroDivisionError("a bug in a driver")
            try:
                assert await watched.door(1) is Door.CLOSED
                self.asked[address].append(asyncio.get_running_loop().time())
            except DeviceError:
                pass
            await asyncio.sleep(PERIOD_S)

    async def run(self, story) -> None:
        async with asyncio.TaskGroup() as tasks:
            kept = [tasks.create_task(self.supervisor.keep("bus", self.bus.run, cap_s=5.0))]
            for address in self.asked:
                start = lambda address=address: self._poll(address)  # noqa: E731
                kept.append(tasks.create_task(self.supervisor.keep(f"poll {address}", start, cap_s=5.0)))
            await story(self)
            for task in kept:
                task.cancel()

    def answers_since(self, address: int, then_s: float) -> int:
        return sum(at_s > then_s for at_s in self.asked[address])


@in_virtual_time
async def test_pitfall_05_a_port_out_for_thirteen_hours_and_a_crash_leave_every_poll_running() -> None:
    async def story(line: Line) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(60)
        line.unplug()
        await asyncio.sleep(13 * 3600)
        assert {health.state for health in line.health.values()} == {"offline"}
        line.out = False
        await asyncio.sleep(30)
        back_s = loop.time()
        line.crash = True  # one of the pollers meets a bug
        await asyncio.sleep(60)
        assert {health.state for health in line.health.values()} == {"online"}
        assert all(line.answers_since(address, back_s) > 80 for address in (1, 2))
        assert sum(health.crashes for health in line.supervisor.tasks.values()) == 1

    await Line(LockTwin(1), LockTwin(2)).run(story)


@in_virtual_time
async def test_pitfall_06_a_silent_device_leaves_its_neighbour_its_period_and_is_seen() -> None:
    async def story(line: Line) -> None:
        loop = asyncio.get_running_loop()
        line.boards[1].silent = True
        began_s = loop.time()
        await asyncio.sleep(1800)
        times = [at_s for at_s in line.asked[1] if at_s > began_s]
        longest_s = max(later - earlier for earlier, later in itertools.pairwise(times))
        assert longest_s < 3 * PERIOD_S  # one time-out of the neighbour stands between, at most
        assert len(times) > 0.5 * 1800 / PERIOD_S
        assert (line.health[1].state, line.health[2].state) == ("online", "offline")
        assert line.health[2].last_error

    await Line(LockTwin(1), LockTwin(2)).run(story)


@pytest.mark.parametrize("call", ["read", "write", "flush"])
def test_pitfall_07_a_port_that_breaks_in_any_call_goes_offline_and_comes_back(call: str) -> None:
    @in_virtual_time
    async def scenario() -> None:
        async def story(line: Line) -> None:
            await asyncio.sleep(5)
            line.links[-1].unplug_on = call  # type: ignore[assignment]
            line.out = True
            line.links[-1].deliver(b"\x00")  # a read that waits goes round once more
            await asyncio.sleep(20)
            assert line.links[-1].closed
            assert line.health[1].state == "offline"
            line.out = False
            await asyncio.sleep(20)
            assert line.health[1].state == "online"
            states = [state for _, state in line.changes]
            assert states == ["online", "degraded", "offline", "online"]  # told once each

        await Line(LockTwin(1)).run(story)

    scenario()


@pytest.mark.parametrize("first", ["", "read", "write", "flush"])
@pytest.mark.parametrize("again", ["read", "write", "flush"])
def test_pitfall_08_a_second_unplug_at_any_point_of_starting_again_is_survived(first: str, again: str) -> None:
    @in_virtual_time
    async def scenario() -> None:
        async def story(line: Line) -> None:
            line.break_on = first
            await asyncio.sleep(5)
            line.break_on = again  # the next port that opens breaks in this call, while the bus starts
            line.unplug()
            line.out = False
            await asyncio.sleep(60)
            assert line.break_on == ""
            assert line.health[1].state == "online"
            assert line.answers_since(1, asyncio.get_running_loop().time() - 10) > 10
            assert all(link.closed for link in line.links[:-1])

        await Line(LockTwin(1)).run(story)

    scenario()
