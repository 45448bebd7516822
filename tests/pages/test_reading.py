"""One reading a second for all visitors; a failure is shown, counted, and logged once down, once up."""

from __future__ import annotations

import logging

import pytest

from cloud_bridge.pages.reading import Reading, Source
from contracts.clock import ManualClock
from tests.pages.conftest import NOW_MS, START
from tests.pages.fake_views import FakeViews, fleet_row

NEVER: Reading[dict[str, int]] = Reading(None, 0, broken=False)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def source(views: FakeViews, clock: ManualClock) -> Source:
    return Source(views=lambda: views, clock=clock, real_ms=lambda: clock.now_s() * 1000)


def test_visitors_of_one_second_share_a_reading(source: Source, views: FakeViews, clock: ManualClock) -> None:
    readings = [source.fleet() for _ in range(10)]
    assert views.reads == 1
    assert len({id(reading) for reading in readings}) == 1
    clock.step(1)
    source.fleet()
    assert views.reads == 2


def test_an_unchanged_fleet_is_prepared_once(source: Source, views: FakeViews, clock: ManualClock) -> None:
    first = source.fleet().value
    clock.step(1)
    assert source.fleet().value is first
    views.rows = (fleet_row(),)
    clock.step(1)
    changed = source.fleet().value
    assert changed is not None
    assert len(changed) == 1


def test_a_failure_keeps_what_was_known(
    source: Source, views: FakeViews, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "zhanggui.pages")
    known = source.fleet().value
    views.broken = True
    for _ in range(3):
        clock.step(1)
        reading = source.fleet()
    assert reading == Reading(known, NOW_MS, broken=True)
    assert source.failures == 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    views.broken = False
    clock.step(1)
    assert source.fleet() == Reading(known, NOW_MS + 4000, broken=False)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_failure_from_the_start_knows_nothing(source: Source, views: FakeViews) -> None:
    views.broken = True
    assert source.fleet() == Reading(None, 0, broken=True)
    assert source.counters(NEVER) == Reading(None, 0, broken=True)
    assert source.store("yn", "cuihu", Reading(None, 0, broken=False)).broken


def test_the_views_may_come_later(clock: ManualClock, views: FakeViews) -> None:
    ready = False

    def get() -> FakeViews:
        if not ready:
            raise LookupError("the bridge is starting")
        return views

    source = Source(views=get, clock=clock, real_ms=lambda: clock.now_s() * 1000)
    assert source.fleet().broken
    ready = True
    clock.step(1)
    assert not source.fleet().broken
