"""The loop of virtual time keeps asyncio's promises: order, timers, what is cancelled, and errors that nobody took."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from simulators.faultworld.loop import StuckError, VirtualLoop
from simulators.faultworld.process import FEW_TASKS, Process


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.close()


def test_time_goes_from_timer_to_timer_and_what_is_ready_comes_first(loop: VirtualLoop) -> None:
    seen: list[tuple[str, float]] = []

    def note(name: str) -> None:
        seen.append((name, loop.time()))

    def first() -> None:
        note("first")
        loop.call_soon(note, "soon")
        loop.call_later(0.0, note, "at once")

    loop.call_at(7.0, note, "last")
    loop.call_later(2.0, first)
    loop.call_later(1.0, note, "never").cancel()
    cancelled = loop.call_soon(note, "never")
    cancelled.cancel()
    assert cancelled.cancelled()
    loop.run_until_complete(asyncio.wait_for(loop.create_task(asyncio.sleep(8.0)), 100.0))
    assert seen == [("first", 2.0), ("soon", 2.0), ("at once", 2.0), ("last", 7.0)]
    assert loop.time() == 8.0


def test_timers_fire_by_their_time_in_whatever_order_they_were_set(loop: VirtualLoop) -> None:
    fired: list[float] = []

    async def all_of_them() -> None:
        async def one(delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            fired.append(delay_s)

        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(one(number * 7 % 40))

    loop.run_until_complete(all_of_them())
    assert fired == sorted(fired)
    assert (len(fired), loop.time()) == (40, 39)


def test_a_timeout_ends_what_takes_too_long(loop: VirtualLoop) -> None:
    async def slow() -> None:
        async with asyncio.timeout(3.0):
            await asyncio.sleep(10.0)

    with pytest.raises(TimeoutError):
        loop.run_until_complete(slow())
    assert loop.time() == 3.0


def test_an_error_of_a_callback_is_told_and_the_rest_goes_on(loop: VirtualLoop) -> None:
    told: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: told.append(context))
    loop.call_soon(lambda: 1 // 0)
    loop.run_until_complete(asyncio.sleep(1.0))
    assert isinstance(told[0]["exception"], ZeroDivisionError)
    assert "handle" in told[0]


def test_a_loop_in_which_nobody_will_wake_anybody_says_so(loop: VirtualLoop) -> None:
    with pytest.raises(StuckError):
        loop.run_until_complete(loop.create_future())


def test_tasks_are_numbered_anew_in_each_run() -> None:
    def numbers() -> list[int]:
        async def hashes() -> list[int]:
            return [hash(asyncio.create_task(asyncio.sleep(0.0))) for _ in range(3)]

        loop = VirtualLoop()
        try:
            return loop.run_until_complete(hashes())
        finally:
            loop.close()

    assert numbers() == numbers()


def test_a_process_knows_its_tasks_and_forgets_those_that_ended(loop: VirtualLoop) -> None:
    async def live() -> tuple[set[str], int, int]:
        process = Process("p", on_step=lambda _process, _what: None)
        process.spawn(asyncio.sleep(1000.0), "stays")
        for _ in range(20 * FEW_TASKS):
            process.spawn(asyncio.sleep(0.1), "goes")
            await asyncio.sleep(1.0)
        held = len(process._tasks)
        alive = {task.get_name() for task in process.tasks}
        process.die()
        await process.gone()
        return alive, held, len(process.tasks)

    alive, held, after = loop.run_until_complete(live())
    assert alive == {"p-stays"}
    assert held <= 2 * FEW_TASKS
    assert after == 0
