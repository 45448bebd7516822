"""A task is ended for sure, even one that swallows a cancellation or two."""

from __future__ import annotations

import asyncio

import pytest

from contracts import tasks
from contracts.tasks import end


async def stubborn(swallows: int) -> None:
    """Goes on after the first cancellations, as a `wait_for` of Python 3.11 may make a task do."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if swallows == 0:
                raise
            swallows -= 1


@pytest.mark.parametrize("swallows", [0, 1, 3])
async def test_it_asks_again(swallows: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tasks, "AGAIN_S", 0.001)
    task = asyncio.create_task(stubborn(swallows))
    await asyncio.sleep(0)
    await end([task])
    assert task.cancelled()


async def test_what_has_ended_is_left_alone():
    done = asyncio.create_task(asyncio.sleep(0, "word"))
    await done
    await end([done])
    assert done.result() == "word"


async def test_an_error_on_the_way_out_stays_with_its_task():
    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("at the end")

    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await end([task])
    assert str(task.exception()) == "at the end"
