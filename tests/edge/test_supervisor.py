"""A supervised task falls and is started again; its neighbour never notices."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from contracts.clock import ManualClock
from device_drivers.errors import UnavailableError
from edge.supervisor import Supervisor


class Rush(Random):
    """Full jitter that always draws the shortest wait."""

    def uniform(self, a, b):
        return a


async def test_a_task_that_falls_is_started_again_and_counted(clock: ManualClock, caplog: pytest.LogCaptureFixture):
    supervisor = Supervisor(clock=clock, rng=Rush())
    falls = [UnavailableError("the port is gone"), RuntimeError("a bug"), None]
    done = asyncio.Event()

    async def work() -> None:
        if not falls:
            done.set()
            await asyncio.Event().wait()
        fall = falls.pop(0)
        if fall is not None:
            raise fall

    task = asyncio.create_task(supervisor.keep("work", work))
    await asyncio.wait_for(done.wait(), 5)
    health = supervisor.tasks["work"]
    assert (health.state, health.restarts, health.crashes) == ("running", 3, 1)
    assert health.last_error == "ended"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "the port is gone" in caplog.text


async def test_a_neighbour_goes_on(clock: ManualClock):
    supervisor = Supervisor(clock=clock, rng=Rush())
    turns = 0
    enough = asyncio.Event()

    async def falls() -> None:
        raise UnavailableError("again")

    async def works() -> None:
        nonlocal turns
        while True:
            turns += 1
            if turns > 20:
                enough.set()
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(supervisor.keep("falls", falls)), group.create_task(supervisor.keep("works", works))]
        await asyncio.wait_for(enough.wait(), 5)
        for task in tasks:
            task.cancel()
    assert supervisor.tasks["works"].restarts == 0


async def test_the_same_trouble_is_logged_once(clock: ManualClock, caplog: pytest.LogCaptureFixture):
    supervisor = Supervisor(clock=clock, rng=Rush())
    times = 0
    enough = asyncio.Event()

    async def falls() -> None:
        nonlocal times
        times += 1
        if times >= 10:
            enough.set()
            await asyncio.Event().wait()
        raise UnavailableError("the port is gone")

    task = asyncio.create_task(supervisor.keep("work", falls))
    await asyncio.wait_for(enough.wait(), 5)
    task.cancel()
    assert sum("work is down" in r.message for r in caplog.records) == 1
