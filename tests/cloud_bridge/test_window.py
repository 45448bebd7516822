"""How much stores may have in flight: the table of one note, calm that lasts, and what an ingest announces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest
from cloud_bridge.ingest.window import CALM_S, FULL_WINDOW, HOLD_S, ReceiveWindow
from contracts.clock import ManualClock
from contracts.messages import MAX_BATCH_EVENTS, Hello
from tests.cloud_bridge.wire import LEDGER, STREAM, Chain

NOTES = [
    # what is seen, the window after it
    (("queued", 0, 128), FULL_WINDOW),
    (("queued", 63, 128), FULL_WINDOW),  # less than half
    (("queued", 64, 128), FULL_WINDOW // 2),  # half
    (("queued", 128, 128), FULL_WINDOW // 2),  # full: one step at a time
    (("committed", 0.99), FULL_WINDOW),
    (("committed", 1.0), FULL_WINDOW // 2),
    (("committed", 30.0), FULL_WINDOW // 2),
]


@pytest.mark.parametrize(("note", "size"), NOTES)
def test_one_note(note, size) -> None:
    window = ReceiveWindow()
    name, *numbers = note
    getattr(window, name)(*numbers, 100.0)
    assert window.size(100.0) == size


def test_pressure_that_lasts_halves_it_once_a_second_down_to_one_batch() -> None:
    window, seen = ReceiveWindow(), []
    for n in range(60):
        window.queued(128, 128, n / 10)  # ten times a second
        seen.append(window.size(n / 10))
    assert seen[0] == FULL_WINDOW // 2
    assert seen[round(10 * HOLD_S) - 1] == FULL_WINDOW // 2
    assert seen[round(10 * HOLD_S)] == FULL_WINDOW // 4
    assert seen[-1] == MAX_BATCH_EVENTS


def test_calm_that_lasts_doubles_it_step_by_step() -> None:
    window = ReceiveWindow()
    for n in range(3):
        window.queued(128, 128, float(n))
    assert window.size(2.0) == MAX_BATCH_EVENTS
    assert window.size(2.0 + CALM_S - 0.01) == MAX_BATCH_EVENTS
    assert window.size(2.0 + CALM_S) == 2 * MAX_BATCH_EVENTS
    assert window.size(2.0 + 2 * CALM_S) == FULL_WINDOW
    assert window.size(1e9) == FULL_WINDOW


@pytest.mark.parametrize("note", [("queued", 40, 128), ("committed", 0.5)])  # neither pressed nor calm
def test_between_the_two_nothing_moves_either_way(note) -> None:
    window = ReceiveWindow()
    window.queued(128, 128, 0.0)
    name, *numbers = note
    for n in range(1, 100):
        getattr(window, name)(*numbers, float(n))
        assert window.size(float(n)) == FULL_WINDOW // 2
    assert window.size(99.0 + CALM_S) == FULL_WINDOW


def test_a_new_pressure_begins_the_calm_anew() -> None:
    window = ReceiveWindow()
    window.committed(2.0, 0.0)
    window.committed(2.0, 4.0)
    assert window.size(CALM_S) == FULL_WINDOW // 4


def test_a_window_smaller_than_a_batch_stays_what_it_is() -> None:
    window = ReceiveWindow(full=8)
    window.committed(9.0, 0.0)
    assert window.size(0.0) == 8


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 128), st.floats(0, 20)), max_size=80))
def test_it_stays_between_one_batch_and_all(notes) -> None:
    window, now_s = ReceiveWindow(), 0.0
    for took_s, waiting, pause_s in notes:
        now_s += pause_s
        window.queued(waiting, 128, now_s)
        window.committed(took_s, now_s)
        assert MAX_BATCH_EVENTS <= window.size(now_s) <= FULL_WINDOW
    assert window.size(now_s + 4 * CALM_S) == FULL_WINDOW


# ------------------------------------------------------------------ what the bridge announces


class Slow:
    """A storage in front of the real one; the loop's time jumps by `took_s` while it writes."""

    def __init__(self, storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self._storage = storage
        self.took_s = 0.0
        self.now_s = 1000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now_s)

    async def write(self, work: Callable[[Any], Any]) -> Any:
        found = await self._storage.write(work)
        self.now_s += self.took_s
        return found


async def test_a_bridge_that_is_slow_to_commit_tells_stores_to_send_less_and_later_more(
    storage, clock: ManualClock, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(storage, monkeypatch)
    ingest, chain = Ingest(storage=slow, clock=clock, counters=counters), Chain().grow(9)
    assert (await ingest.batch(LEDGER, chain.batch(1, 1))).window == FULL_WINDOW
    slow.took_s = 2.0
    assert (await ingest.batch(LEDGER, chain.batch(2, 2))).window == FULL_WINDOW // 2
    assert (await ingest.batch(LEDGER, chain.batch(3, 3))).window == FULL_WINDOW // 4
    slow.took_s = 0.0
    hello = Hello(
        stream=STREAM, instance="i", nonce="n", next_seq=4, tail_hash=chain.hashes[3].hex(), t0=0
    )  # the first that a store hears after a reconnect
    answer = await ingest.hello(LEDGER, hello)
    assert answer is not None
    assert answer.window == FULL_WINDOW // 4
    slow.now_s += 2 * CALM_S
    assert (await ingest.batch(LEDGER, chain.batch(4, 4))).window == FULL_WINDOW


async def test_what_was_in_flight_when_the_window_shrank_is_still_parked(
    storage, clock: ManualClock, counters: Counters
) -> None:
    ingest, chain = Ingest(storage=storage, clock=clock, counters=counters), Chain().grow(1500)
    for _ in range(3):
        ingest.queued(128, 128)
    assert ingest.announced < FULL_WINDOW
    ack = await ingest.batch(LEDGER, chain.batch(1401, 1500))  # beyond what is announced, within what was
    assert (ack.watermark, counters["batch_parked"]) == (0, 1)
    for first in range(1, 1401, 200):
        ack = await ingest.batch(LEDGER, chain.batch(first, first + 199))
    assert ack.watermark == 1500
