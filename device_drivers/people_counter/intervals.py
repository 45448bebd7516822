"""`timeRange` and `signalTrigger` counts: each is the total of an interval of its own.

An interval is known by its start. Told again, it takes the place of what was told; another that holds part of a known
one is not added, since its people may be counted already.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from datetime import datetime
from itertools import pairwise

from device_drivers.people_counter.alert import Counting, Counts
from device_drivers.people_counter.steps import MAX_AHEAD, MAX_GAPS, Gap, Outcome, plus

MAX_KEPT = 4096  # intervals that may still be told again: weeks of a quarter of an hour


class IntervalFold:
    """One line of one camera. Intervals that follow one another without touching leave a gap between them.

    `known` is the last interval of an earlier run: it is not counted again, and nothing before its end is.
    """

    def __init__(self, *, known: Counting | None = None) -> None:
        self._kept: list[tuple[datetime, Counting, bool]] = []  # start, count, whether the line was away before it
        self._sum = Counts()
        self._old_gaps: deque[Gap] = deque(maxlen=MAX_GAPS)
        self._was_away = False
        self._dropped = False
        self._floor = known.end if known is not None else None

    @property
    def last(self) -> Counting | None:
        """The newest interval."""
        return self._kept[-1][1] if self._kept else None

    @property
    def total(self) -> Counts:
        """Everybody in all intervals."""
        return self._sum

    @property
    def gaps(self) -> list[Gap]:
        """Where no interval was told, and those that hold part of another; the oldest first of each."""
        found = list(self._old_gaps)
        if self._floor is not None and self._kept and not self._dropped and self._kept[0][0] > self._floor:
            found.append(Gap(self._floor, self._kept[0][0], "missing"))
        for (_, before, _), (_, after, away) in pairwise(self._kept):
            if (gap := _hole(before, after, away)) is not None:
                found.append(gap)
        return found

    def interrupted(self) -> None:
        """The line was away. Only triggered counts that name no span need to know: their holes do not show."""
        self._was_away = bool(self._kept)

    def add(self, count: Counting, now: datetime) -> Outcome:
        """Take one interval; `now` is our own time."""
        if count.start > now + MAX_AHEAD:
            return "ahead"
        if self._floor is not None and count.start < self._floor:
            return "forgotten"
        at = bisect_left(self._kept, count.start, key=lambda kept: kept[0])
        if at < len(self._kept) and self._kept[at][0] == count.start:
            return self._again(at, count)
        if at == 0 and self._dropped:
            return "forgotten"
        if self._overlaps(at, at, count):
            return "overlaps"
        newest = at == len(self._kept)
        away = self._was_away if newest else self._kept[at][2]
        self._was_away = self._was_away and not newest
        self._kept.insert(at, (count.start, count, away))
        self._sum = plus(self._sum, count.counts)
        self._settle()
        return "counted" if newest else "late"

    def _again(self, at: int, count: Counting) -> Outcome:
        start, known, away = self._kept[at]
        if (known.end, known.counts) == (count.end, count.counts):
            return "same"
        if (count.end, count.late) < (known.end, known.late):
            return "older"  # a shorter part of it, or what a retransmission has mended already
        if self._overlaps(at, at + 1, count):
            return "overlaps"
        self._sum = plus(plus(self._sum, known.counts, -1), count.counts)
        self._kept[at] = (start, count, away)
        return "updated"

    def _overlaps(self, before: int, after: int, count: Counting) -> bool:
        """Whether it holds part of its neighbours: the one before index `before`, and the one at `after`."""
        early = before > 0 and self._kept[before - 1][1].end > count.start
        late = after < len(self._kept) and count.end > self._kept[after][0]
        if early or late:
            self._old_gaps.append(Gap(count.start, count.end, "overlap"))
        return early or late

    def _settle(self) -> None:
        while len(self._kept) > MAX_KEPT:
            (_, before, _), (_, after, away) = self._kept[0], self._kept[1]
            if (gap := _hole(before, after, away)) is not None:
                self._old_gaps.append(gap)
            del self._kept[0]
            self._dropped = True


def _hole(before: Counting, after: Counting, away: bool) -> Gap | None:
    if after.start == after.end:  # a moment: what led up to it has no beginning that could be missing
        return Gap(before.end, after.start, "outage") if away else None
    return Gap(before.end, after.start, "missing") if after.start > before.end else None
