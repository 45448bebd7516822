"""`realTime` counts: counters that only rise, until a restart or midnight sets them to zero.

The sum is that of the rises between counts in the order of the camera's time, and a counter that fell began anew. Each
rise is the least that explains both counts, so the sum never holds a person who did not pass; a count that comes late
can only add what it proves. Where more may have passed, a gap is told.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from datetime import datetime, timedelta
from itertools import pairwise

from device_drivers.people_counter.alert import Counting, Counts
from device_drivers.people_counter.steps import MAX_AHEAD, MAX_GAPS, Gap, Outcome, plus, risen

MAX_KEPT = 256  # counts among which a late one still finds its place
MIDNIGHT_SLACK = timedelta(seconds=60)  # a camera may tell the last of a day just after its end


class RunningFold:
    """One counter of one camera.

    `resets_daily`: at midnight of the camera's own time it begins at zero, also if no fall shows. `known` is the last
    count of an earlier run: people are counted from it on, and without it from the first count on.
    """

    def __init__(self, *, resets_daily: bool, known: Counting | None = None) -> None:
        self.resets_daily = resets_daily
        self._kept: list[tuple[datetime, Counting, bool]] = []  # start, count, whether the line was away before it
        self._settled = Counts()
        self._old_gaps: deque[Gap] = deque(maxlen=MAX_GAPS)
        self._was_away = known is not None
        self._behind: datetime | None = None
        self._dropped = False
        if known is not None:
            self._kept.append((known.start, known, False))

    @property
    def last(self) -> Counting | None:
        """The newest count."""
        return self._kept[-1][1] if self._kept else None

    @property
    def total(self) -> Counts:
        """Everybody since the first count."""
        total = self._settled
        for (_, before, _), (_, after, _) in pairwise(self._kept):
            total = plus(total, self._rise(before, after))
        return total

    @property
    def gaps(self) -> list[Gap]:
        """Where people may be missing, the oldest first."""
        found = list(self._old_gaps)
        for (_, before, _), (_, after, away) in pairwise(self._kept):
            if (gap := self._gap(before, after, away)) is not None:
                found.append(gap)
        if self._behind is not None:
            found.append(Gap(self._behind, self._kept[-1][0], "clock"))
        return found

    def interrupted(self) -> None:
        """The line was away: the camera may have started anew meanwhile."""
        self._was_away = bool(self._kept)

    def add(self, count: Counting, now: datetime) -> Outcome:
        """Take one count; `now` is our own time."""
        if count.start > now + MAX_AHEAD:
            return "ahead"
        at = bisect_left(self._kept, count.start, key=lambda kept: kept[0])
        if at == len(self._kept):
            self._kept.append((count.start, count, self._was_away))
            self._was_away = False
            self._behind = None
            self._settle()
            return "counted"
        if self._kept[at][0] == count.start:
            return self._again(at, count)
        if at == 0:
            return self._older(count, "forgotten" if self._dropped else "older")
        (_, before, _), (_, after, away) = self._kept[at - 1], self._kept[at]
        new = self._new_beginnings(before, count, after)
        if new > 0 and not (away and count.late):
            return self._older(count, "contradicts")
        if new < 0:  # just after midnight: what stands proves more
            return "older"
        total = self.total
        self._kept.insert(at, (count.start, count, away))
        changed = self.total != total
        self._settle()
        return "late" if changed else "older"

    def _again(self, at: int, count: Counting) -> Outcome:
        """A second count of the same moment: a camera tells whole seconds, and two people may pass in one."""
        start, known, away = self._kept[at]
        if known.counts == count.counts:
            return "same"
        if self._fell(known, count) or (at > 0 and self._hides(self._kept[at - 1][1], known, count)):
            return self._older(count, "older")
        if at + 1 < len(self._kept):
            after = self._kept[at + 1][1]
            if self._begins_anew(count, after) != self._begins_anew(known, after):
                return self._older(count, "contradicts")
        if at == 0:  # where we begin moves on within its second: who passed in it stays counted
            self._settled = plus(self._settled, risen(known.counts, count.counts))
        self._kept[at] = (start, count, away)
        return "updated"

    def _hides(self, before: Counting, known: Counting, count: Counting) -> bool:
        """Whether this count would hide the new beginning that the known one of the same moment shows."""
        return self._begins_anew(before, known) and not self._begins_anew(before, count)

    def _older(self, count: Counting, outcome: Outcome) -> Outcome:
        if not count.late and self._was_away:  # what comes after a restart is older than what came before it
            self._behind = count.start
        return outcome

    def _new_beginnings(self, before: Counting, between: Counting, after: Counting) -> int:
        """How many new beginnings this count would show that nothing else shows; below zero: it would hide one."""
        halves = self._begins_anew(before, between) + self._begins_anew(between, after)
        return halves - self._begins_anew(before, after)

    def _begins_anew(self, before: Counting, after: Counting) -> bool:
        if self._fell(before, after):
            return True
        return self.resets_daily and before.start.date() != after.start.date() and not _just_after_midnight(after)

    def _rise(self, before: Counting, after: Counting) -> Counts:
        return after.counts if self._begins_anew(before, after) else risen(before.counts, after.counts)

    def _gap(self, before: Counting, after: Counting, away: bool) -> Gap | None:
        another_day = self.resets_daily and before.start.date() != after.start.date()
        if another_day and not self._begins_anew(before, after):
            return Gap(before.start, after.start, "midnight")
        if self._fell(before, after) and not another_day:
            return Gap(before.start, after.start, "reset")
        return Gap(before.start, after.start, "outage") if away else None

    @staticmethod
    def _fell(before: Counting, after: Counting) -> bool:
        return after.counts.entered < before.counts.entered or after.counts.left < before.counts.left

    def _settle(self) -> None:
        while len(self._kept) > MAX_KEPT:
            (_, before, _), (_, after, away) = self._kept[0], self._kept[1]
            self._settled = plus(self._settled, self._rise(before, after))
            if (gap := self._gap(before, after, away)) is not None:
                self._old_gaps.append(gap)
            del self._kept[0]
            self._dropped = True


def _just_after_midnight(count: Counting) -> bool:
    at = count.start
    return timedelta(hours=at.hour, minutes=at.minute, seconds=at.second) < MIDNIGHT_SLACK
