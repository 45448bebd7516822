"""A machine that cannot keep up lowers the speed; it never fakes it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.clock import ScaledClock
from zhanggui.demo import pace
from zhanggui.demo.pace import WINDOW_TICKS, Pace


@pytest.fixture
def clock(tmp_path: Path) -> ScaledClock:
    return ScaledClock.create(tmp_path / "clock", speed=5.0, start=datetime(2026, 1, 1, tzinfo=UTC))


WAKES = [
    # how late each wake-up was, the speed after it
    pytest.param([0.001] * WINDOW_TICKS, 5.0, id="in time"),
    pytest.param([0.2] * (WINDOW_TICKS - 1), 5.0, id="late, but not for a whole window"),
    pytest.param([0.2] * WINDOW_TICKS, 4.0, id="late for a window"),
    pytest.param([0.2] + [0.001] * (WINDOW_TICKS - 1), 5.0, id="one hiccup"),
    pytest.param(([0.001] * 19 + [0.3]) * (WINDOW_TICKS // 20), 4.0, id="each twentieth late"),
    pytest.param([0.2] * WINDOW_TICKS * 20, 1.0, id="hopeless: real time, not slower"),
]


@pytest.mark.parametrize(("wakes", "speed"), WAKES)
def test_speed_follows_wake_ups(clock: ScaledClock, wakes: list[float], speed: float):
    governor = Pace(clock)
    for late_s in wakes:
        governor.note(late_s)
    assert clock.speed == pytest.approx(speed)
    assert (governor.lowered == []) == (speed == 5.0)


async def test_it_measures_itself(clock: ScaledClock, monkeypatch: pytest.MonkeyPatch):
    import asyncio

    monkeypatch.setattr(pace, "TICK_S", 0.001)
    governor = Pace(clock)
    watching = asyncio.create_task(governor.watch())
    await asyncio.sleep(0.05)
    watching.cancel()
    assert len(governor._late) > 3
