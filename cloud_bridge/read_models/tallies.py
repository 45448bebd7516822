"""Counts over time: sales and visitors by day, visitors by minute. Days are those of Asia/Shanghai."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from cloud_bridge.views import VisitorBar

MINUTE_MS = 60_000
DAY_MS = 86_400_000
SHANGHAI_MS = 8 * 3_600_000  # no summer time since 1991
BARS = 60
_DAYS_KEPT = 8
_MINUTES_KEPT = 24 * 60
MAX_KEPT = 4096

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def keep(table: dict[K, V], key: K, value: V, most: int = MAX_KEPT) -> None:
    """Set `key`; beyond `most` keys the oldest goes, so that no store can grow without end."""
    table[key] = value
    if len(table) > most:
        del table[next(iter(table))]


def day_of(time_ms: int) -> int:
    """The day in Shanghai, counted from 1970."""
    return (time_ms + SHANGHAI_MS) // DAY_MS


def parse_ms(text: str) -> int | None:
    """RFC 3339 as ms since 1970; None for anything else."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


@dataclass(slots=True)
class Day:
    sales: int = 0
    revenue_fen: int = 0
    visitors: int = 0


@dataclass(slots=True)
class Tallies:
    """What happened when, of one store."""

    _days: dict[int, Day] = field(default_factory=dict)
    _minutes: dict[int, tuple[int, int]] = field(default_factory=dict)
    _crossings_told: bool = False

    def day(self, time_ms: int) -> Day:
        """The day of `time_ms`, to read or to add to."""
        number = day_of(time_ms)
        if number not in self._days:
            keep(self._days, number, Day(), _DAYS_KEPT)
        return self._days[number]

    def today(self, now_ms: int) -> Day:
        """The running day; zeros if nothing happened yet."""
        return self._days.get(day_of(now_ms), Day())

    def crossing(self, time_ms: int, entered: int, left: int) -> None:
        """People crossed a line."""
        self._crossings_told = True
        self._people(time_ms, entered, left)

    def interval(self, start_ms: int, entered: int, left: int) -> None:
        """A camera's own sum. It repeats the crossings, so it counts only for a store that tells none."""
        if not self._crossings_told:
            self._people(start_ms, entered, left)

    def _people(self, time_ms: int, entered: int, left: int) -> None:
        self.day(time_ms).visitors += entered
        minute = time_ms // MINUTE_MS
        before = self._minutes.get(minute, (0, 0))
        keep(self._minutes, minute, (before[0] + entered, before[1] + left), _MINUTES_KEPT)

    def bars(self, now_ms: int) -> tuple[VisitorBar, ...]:
        """The last hour, a bar a minute, oldest first; empty if nobody crossed in it."""
        last = now_ms // MINUTE_MS
        minutes = range(last - BARS + 1, last + 1)
        if not any(minute in self._minutes for minute in minutes):
            return ()
        return tuple(VisitorBar(minute * MINUTE_MS, *self._minutes.get(minute, (0, 0))) for minute in minutes)
