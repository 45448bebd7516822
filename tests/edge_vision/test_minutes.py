"""Every second of store time is in exactly one interval, and skipped frames lower its quality."""

import itertools
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.clock import ManualClock
from edge.vision.minutes import Minutes


def test_a_minute_is_summed_and_the_next_starts_empty():
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    minutes = Minutes(clock)
    minutes.crossing("in")
    minutes.crossing("in")
    minutes.crossing("out")
    for _ in range(3):
        minutes.frame(skipped=0)
    minutes.frame(skipped=1)
    clock.step(59.9)
    assert minutes.over() is None
    clock.step(0.2)
    first = minutes.over()
    assert (first.entered, first.left, first.frames, first.skipped, first.quality) == (2, 1, 4, 1, 0.8)
    assert (first.start, first.end) == ("2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.000Z")
    assert minutes.over() is None
    clock.step(30)
    rest = minutes.rest()
    assert (rest.entered, rest.frames, rest.quality) == (0, 0, 0.0)
    assert (rest.start, rest.end) == ("2026-01-01T00:01:00.000Z", "2026-01-01T00:01:30.100Z")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.01, 400), min_size=1, max_size=40))
def test_intervals_touch_and_lose_nobody(steps):
    clock = ManualClock()
    clock.step(17.3)  # a worker starts in the middle of a minute
    minutes = Minutes(clock)
    closed = []
    for step in steps:
        clock.step(step)
        interval = minutes.over()
        if interval:
            closed.append(interval)
        minutes.crossing("in")
    closed.append(minutes.rest())
    assert sum(interval.entered for interval in closed) == len(steps)
    for earlier, later in itertools.pairwise(closed):
        assert earlier.end == later.start
