"""What a camera saw in each minute of store time: counts, frames, and how many frames were skipped."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from contracts.clock import Clock, rfc3339
from edge.vision.messages import Interval

INTERVAL_S = 60.0


class Minutes:
    """Sums of the running minute. Minutes end at whole multiples of 60 store seconds; the first is shorter.

    If nobody asked for longer than a minute, one longer interval says so: no time is left out and none is invented.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start_s = clock.now_s()
        self._clear()

    def _clear(self) -> None:
        self._entered = self._left = self._frames = self._skipped = 0

    def frame(self, *, skipped: int) -> None:
        """A frame was looked at, `skipped` before it were not."""
        self._frames += 1
        self._skipped += skipped

    def crossing(self, direction: str) -> None:
        """Somebody crossed, `in` or `out`."""
        if direction == "in":
            self._entered += 1
        else:
            self._left += 1

    def over(self) -> Interval | None:
        """The interval that has ended since the last call, if any."""
        end_s = math.floor(self._clock.now_s() / INTERVAL_S) * INTERVAL_S
        return self._close(end_s) if end_s > self._start_s else None

    def rest(self) -> Interval:
        """The unfinished interval up to now; for the end of a worker that ends by itself."""
        return self._close(self._clock.now_s())

    def _close(self, end_s: float) -> Interval:
        wanted = self._frames + self._skipped
        interval = Interval(
            start=rfc3339(self._wall(self._start_s)),
            end=rfc3339(self._wall(end_s)),
            entered=self._entered,
            left=self._left,
            frames=self._frames,
            skipped=self._skipped,
            quality=round(self._frames / wanted, 4) if wanted else 0.0,
        )
        self._start_s = end_s
        self._clear()
        return interval

    def _wall(self, at_s: float) -> datetime:
        moment = self._clock.wall() - timedelta(seconds=self._clock.now_s() - at_s)
        return moment + timedelta(microseconds=500)  # to the nearest millisecond, as events round down
