"""The calendar is trusted only while it is known and has not gone back behind what was known before."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.clock import ManualClock
from contracts.envelope import ClockQuality
from edge.timekeeping import KEY, KIND, NOTE_EVERY_S, SLACK_S, Timekeeping
from tests.edge_sessions.fakes import FakeLedger

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


class Box:
    """One machine: its disk outlives its processes, its clock may be set to anything."""

    def __init__(self) -> None:
        self.ledger = FakeLedger()
        self.quality: ClockQuality = "synced"

    def start(self, wall: datetime) -> tuple[Timekeeping, ManualClock]:
        clock = ManualClock(wall)
        return Timekeeping(ledger=self.ledger, clock=clock, quality=lambda: self.quality), clock

    @property
    def mark(self) -> bytes | None:
        return self.ledger.state(KIND).get(KEY)


@pytest.mark.parametrize(
    ("quality", "known"),
    [
        ("synced", True),
        ("estimated", False),  # known to be wrong, by so much: the rules would read it as it stands
        ("unknown", False),
    ],
)
def test_a_clock_is_known_by_its_quality(quality: ClockQuality, known: bool) -> None:
    box = Box()
    box.quality = quality
    assert box.start(NOON)[0].known() is known


@pytest.mark.parametrize(
    ("back_s", "known"),
    [
        (-3600.0, True),  # an hour later
        (0.0, True),
        (SLACK_S, True),  # a small correction
        (SLACK_S + 1, False),
        (365 * 86400.0, False),  # an empty battery
    ],
)
async def test_a_clock_that_has_gone_back_over_a_restart_is_not_known(back_s: float, known: bool) -> None:
    box = Box()
    await box.start(NOON)[0].note()
    assert box.start(NOON - timedelta(seconds=back_s))[0].known() is known


async def test_a_clock_gone_back_leaves_no_mark_and_is_known_again_when_time_has_caught_up() -> None:
    box = Box()
    await box.start(NOON)[0].note()
    mark = box.mark
    back, clock = box.start(NOON - timedelta(seconds=60))
    await back.note()
    assert (back.known(), box.mark) == (False, mark)
    clock.step(60 - SLACK_S)
    assert back.known()
    await back.note()
    assert float(box.mark or b"0") == (NOON - timedelta(seconds=SLACK_S)).timestamp()


async def test_an_unknown_time_is_never_noted() -> None:
    box = Box()
    box.quality = "unknown"
    await box.start(NOON)[0].note()
    assert box.mark is None


async def test_the_known_time_is_noted_each_minute_and_a_full_ledger_only_delays_it() -> None:
    box = Box()
    time, clock = box.start(NOON)
    running = asyncio.create_task(time.run())
    await clock.advance(NOTE_EVERY_S - 1)
    assert box.mark is None
    await clock.advance(1)
    first = box.mark
    assert first is not None
    box.ledger.full = True
    await clock.advance(NOTE_EVERY_S)
    assert box.mark == first
    assert time.known()
    box.ledger.full = False
    await clock.advance(NOTE_EVERY_S)
    assert float(box.mark or b"0") == NOON.timestamp() + 3 * NOTE_EVERY_S
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_mark_that_was_not_durable_binds_nobody() -> None:
    """The clock is set forward, the note fails, the clock is set right: time stays known."""
    box = Box()
    ahead, _ = box.start(NOON + timedelta(hours=1))
    box.ledger.full = True
    await ahead.note()
    assert box.start(NOON)[0].known()


class SetClock(ManualClock):
    """A box whose calendar can be set while it runs; the monotonic clock never hears of it."""

    set_by = timedelta()

    def wall(self) -> datetime:
        return super().wall() + self.set_by


@pytest.mark.parametrize(
    ("set_by_s", "known"),
    [
        (SLACK_S, True),
        (-SLACK_S, True),
        (SLACK_S + 1, False),
        (8 * 3600.0, False),  # closing time made into opening time, while there is no line to the cloud
        (365 * 86400.0, False),  # a child of 17 made 18
        (-SLACK_S - 1, False),
    ],
)
async def test_a_calendar_that_is_set_while_no_cloud_can_tell_is_not_known_until_it_is_set_back(
    set_by_s: float, known: bool
) -> None:
    box = Box()
    clock = SetClock(NOON)
    time = Timekeeping(ledger=box.ledger, clock=clock, quality=lambda: box.quality)
    assert time.known()
    clock.set_by = timedelta(seconds=set_by_s)
    assert time.known() is known
    clock.step(2.0)
    await time.note()
    assert (box.mark is not None) is known  # a wrong moment must not bind the box for a year
    clock.set_by = timedelta()
    assert time.known()


def test_the_cloud_s_word_makes_a_calendar_that_was_set_known_again() -> None:
    box = Box()
    clock = SetClock(NOON)
    time = Timekeeping(ledger=box.ledger, clock=clock, quality=lambda: box.quality)
    assert time.known()
    clock.set_by = timedelta(hours=1)
    box.quality = "estimated"
    assert not time.known()
    box.quality = "synced"  # the cloud's clock says the same now
    assert time.known()


async def test_a_calendar_that_drifts_stays_known() -> None:
    """A crystal loses a second an hour for a day: no step of it is more than a little."""
    box = Box()
    clock = SetClock(NOON)
    time = Timekeeping(ledger=box.ledger, clock=clock, quality=lambda: box.quality)
    for _ in range(24):
        clock.step(3600.0)
        clock.set_by += timedelta(seconds=1)
        assert time.known()
        await time.note()
    assert time.known()
