"""When a value is an alarm, that each is told once, and that one told before a restart is taken back after it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.event_types import DeviceFault, DeviceRecovered
from edge.devices.alarm_book import MAX_WAITING, AlarmBook
from edge.devices.limits import Change, Limit, LimitWatch
from edge.devices.polled import MAX_VALUES, tidy
from tests.edge.kinds import Ledger

WARM = Limit("temperature_c", "too_warm", most=8.0, hysteresis=0.5, for_s=10.0)
COLD = Limit("temperature_c", "too_cold", least=2.0, hysteresis=0.5, for_s=10.0)
PROBE = Limit("temperature_c", "probe_broken", for_s=10.0)
STORIES = [
    # limit, (seconds, value; None is no value), what is told
    (WARM, [(0, 8.1), (9, 9.0), (10, 8.1)], ["+too_warm"]),  # long enough
    (WARM, [(0, 8.1), (9, 9.0)], []),  # not yet
    (WARM, [(0, 8.1), (5, 7.9), (10, 8.1)], []),  # it was inside for a moment
    (WARM, [(0, 8.0), (100, 8.0)], []),  # the limit itself is inside
    (WARM, [(0, 9), (10, 9), (20, 7.6), (30, 8.2), (40, 7.5)], ["+too_warm", "-too_warm"]),  # trembles, told once
    (COLD, [(0, 1.9), (10, 1.9), (20, 2.4), (30, 2.5)], ["+too_cold", "-too_cold"]),
    (WARM, [(0, 9), (5, None), (10, None), (11, 9)], ["+too_warm"]),  # nobody knows what was between
    (WARM, [(0, 9), (10, 9), (20, None), (30, None)], ["+too_warm"]),  # a broken probe ends no alarm
    (PROBE, [(0, None), (9, None), (10, None), (20, 3.0)], ["+probe_broken", "-probe_broken"]),
    (PROBE, [(0, None), (5, 1.0), (12, None)], []),
]


@pytest.mark.parametrize(("limit", "story", "told"), STORIES)
def test_an_alarm_begins_and_ends_once(limit: Limit, story: list[tuple[float, float | None]], told: list[str]) -> None:
    watch = LimitWatch((limit,))
    found = [
        f"{'+' if change.begins else '-'}{change.code}"
        for at_s, value in story
        for change in watch.see({} if value is None else {"temperature_c": value}, at_s)
    ]
    assert found == told


@given(st.lists(st.tuples(st.floats(0, 30), st.one_of(st.none(), st.floats(-50, 50))), max_size=60))
def test_whatever_comes_alarms_begin_and_end_in_turn(story: list[tuple[float, float | None]]) -> None:
    watch, now_s, active = LimitWatch((WARM, COLD, PROBE)), 0.0, set[str]()
    for wait_s, value in story:
        now_s += wait_s
        for change in watch.see({} if value is None else {"temperature_c": value}, now_s):
            assert (change.code in active) != change.begins
            (active.add if change.begins else active.discard)(change.code)
        assert not {"too_warm", "too_cold"} <= active or value is None


async def test_an_alarm_told_before_a_restart_is_taken_back_after_it() -> None:
    ledger = Ledger()
    await AlarmBook(ledger).tell("fridge", "fridge", [Change("too_warm", begins=True, detail="9")])
    again = AlarmBook(ledger)  # another process over the same ledger
    watch = LimitWatch((WARM,), again.active("fridge"))
    await again.tell("fridge", "fridge", watch.see({"temperature_c": 9.0}, 0.0))
    assert [type(event) for event in ledger.events] == [DeviceFault]  # it goes on, and is not told again
    await again.tell("fridge", "fridge", watch.see({"temperature_c": 5.0}, 1.0))
    assert [type(event) for event in ledger.events] == [DeviceFault, DeviceRecovered]
    assert ledger.kept == {}


async def test_an_alarm_of_a_limit_that_is_gone_is_taken_back() -> None:
    ledger = Ledger()
    await AlarmBook(ledger).tell("fridge", "fridge", [Change("too_warm", begins=True), Change("too_cold", begins=True)])
    await AlarmBook(ledger).forget_all_but({"fridge": ["too_cold"]})
    (over,) = [event for event in ledger.events if isinstance(event, DeviceRecovered)]
    assert (over.device, over.kind, over.code) == ("fridge", "fridge", "too_warm")


async def test_a_full_ledger_is_told_later_and_only_what_is_still_true() -> None:
    ledger, book = Ledger(), None
    book = AlarmBook(ledger)
    ledger.full = True
    await book.tell("a", "fridge", [Change("too_warm", begins=True)])
    await book.tell("b", "fridge", [Change("too_warm", begins=True)])
    await book.tell("a", "fridge", [Change("too_warm", begins=False)])  # over before anybody heard
    ledger.full = False
    await book.tell("c", "fridge", [])
    assert [(type(e), e.device) for e in ledger.events if isinstance(e, DeviceFault | DeviceRecovered)] == [
        (DeviceFault, "b")
    ]
    assert book.counters["alarm_not_written"] == 3


async def test_two_devices_that_tell_at_once_tell_each_alarm_once() -> None:
    ledger = Ledger()
    book = AlarmBook(ledger)
    await asyncio.gather(*(book.tell(name, "fridge", [Change("too_warm", begins=True)]) for name in "abc"))
    assert sorted(event.device for event in ledger.events if isinstance(event, DeviceFault)) == ["a", "b", "c"]


async def test_what_waits_is_capped() -> None:
    ledger = Ledger()
    ledger.full = True
    book = AlarmBook(ledger)
    await book.tell("a", "k", [Change(f"c{n}", begins=True) for n in range(MAX_WAITING + 5)])
    assert book.counters["alarm_dropped"] == 5


def test_a_reading_is_made_fit_for_an_event() -> None:
    values = {"x" * 100: "y" * 100, "a": float("nan"), "b": float("inf"), "c": 1.23456} | {
        f"n{n}": 1.0 for n in range(99)
    }
    found = tidy(values)
    assert len(found) <= MAX_VALUES
    assert all(len(name) <= 64 for name in found)
    assert found["c"] == 1.235
    assert not {"a", "b"} & found.keys()
