"""The secrets behind pseudonyms: one for each day of the store, made a day ahead, destroyed after two days."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.clock import ManualClock
from device_drivers.errors import UnavailableError
from edge.day_keys import KIND, LOOK_EVERY_S, DayKeys
from tests.edge_sessions.build import policy
from tests.edge_sessions.fakes import FakeLedger

# 23:50 on 2 March in the store (UTC+8), still 2 March in UTC
LATE = datetime(2026, 3, 2, 15, 50, tzinfo=UTC)
DAY_S = 86400.0


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


def keys(ledger: FakeLedger, wall: datetime = LATE) -> tuple[DayKeys, ManualClock]:
    """What one process makes of the ledger."""
    clock = ManualClock(wall)
    return DayKeys(ledger=ledger, clock=clock, hours=policy().hours), clock


def days(ledger: FakeLedger) -> list[str]:
    return sorted(ledger.state(KIND))


async def test_a_day_is_the_stores_and_its_secret_is_made_the_day_before(ledger: FakeLedger) -> None:
    made, clock = keys(ledger)
    with pytest.raises(UnavailableError):  # nothing is durable yet: nobody can be told apart
        made.current()
    await made.turn()
    assert days(ledger) == ["2026-03-02", "2026-03-03"]
    today = made.current()
    assert len(today) == 32
    clock.step(700)  # midnight in the store, and no commit since
    assert made.today().isoformat() == "2026-03-03"
    tomorrow = made.current()
    assert tomorrow != today


async def test_a_restart_keeps_the_secrets_and_turning_twice_changes_nothing(ledger: FakeLedger) -> None:
    made, _ = keys(ledger)
    await made.turn()
    before = made.current()
    again, _ = keys(ledger)
    await again.turn()
    await again.turn()
    assert again.current() == before
    assert days(ledger) == ["2026-03-02", "2026-03-03"]


@pytest.mark.parametrize(
    ("later_days", "left"),
    [
        (1, ["2026-03-02", "2026-03-03", "2026-03-04"]),  # yesterday's is kept: a session may cross midnight
        (2, ["2026-03-03", "2026-03-04", "2026-03-05"]),  # the day before yesterday's is destroyed
        (30, ["2026-04-01", "2026-04-02"]),  # the box was off for a month
    ],
)
async def test_a_secret_lives_for_two_days(ledger: FakeLedger, later_days: int, left: list[str]) -> None:
    made, clock = keys(ledger)
    await made.turn()
    clock.step(later_days * DAY_S)
    await made.turn()
    assert days(ledger) == left


async def test_a_clock_gone_back_destroys_nothing_and_still_has_a_secret(ledger: FakeLedger) -> None:
    await keys(ledger)[0].turn()
    back, clock = keys(ledger, LATE - timedelta(days=10))
    with pytest.raises(UnavailableError):
        back.current()
    await back.turn()
    assert days(ledger) == ["2026-02-20", "2026-02-21", "2026-03-02", "2026-03-03"]
    assert len(back.current()) == 32
    clock.step(12 * DAY_S)  # right again, and later: what is too old goes
    await back.turn()
    assert days(ledger) == ["2026-03-03", "2026-03-04", "2026-03-05"]


async def test_a_full_ledger_is_tried_again_at_the_next_look(ledger: FakeLedger) -> None:
    made, clock = keys(ledger)
    ledger.full = True
    running = asyncio.create_task(made.run())
    await clock.advance(LOOK_EVERY_S)
    assert days(ledger) == []
    with pytest.raises(UnavailableError):
        made.current()
    ledger.full = False
    await clock.advance(LOOK_EVERY_S)
    assert len(days(ledger)) == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_secrets_are_never_told(ledger: FakeLedger) -> None:
    made, _ = keys(ledger)
    await made.turn()
    assert ledger.events == []
    assert made.current().hex() not in repr(made)
