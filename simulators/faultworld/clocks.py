"""A machine's clocks in virtual time: a monotonic one that drifts, and a calendar that may jump."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

WORLD_BEGINS = datetime(2026, 3, 1, 8, 0, tzinfo=UTC).timestamp()


def world_wall_s(time_s: float) -> float:
    """The true calendar at a virtual time, seconds since 1970."""
    return WORLD_BEGINS + time_s


class BoxClock:
    """The clock of one boot of one machine; see contracts.clock.Clock.

    `drift` is how much faster than the world it runs (1e-4: 100 ppm). `offset_s()` is what the calendar is wrong by.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, drift: float, offset_s: Callable[[], float]) -> None:
        self._loop = loop
        self._boot_s = loop.time()
        self._rate = 1.0 + drift
        self._offset_s = offset_s

    def now_s(self) -> float:
        return (self._loop.time() - self._boot_s) * self._rate

    def wall(self) -> datetime:
        return datetime.fromtimestamp(world_wall_s(self._loop.time()) + self._offset_s(), UTC)

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(max(0.0, duration_s) / self._rate)
