"""Tracks: one id a person from start to end, none for a flicker, and the cheapest matching proved by trying all."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.assignment import FORBIDDEN, assign
from models.person import Detection
from models.tracking import NO_ID, Settings, Tracker, overlaps


def box(x, y, score=0.8, width=60, height=120) -> Detection:
    return Detection(x - width / 2, y - height / 2, x + width / 2, y + height / 2, score)


def play(frames, *, fps=5.0, settings=None) -> list:
    """Feed lists of detections at a steady rate; None is a frame that never came."""
    tracker = Tracker(settings or Settings())
    return [tracker.update(frame, i / fps) for i, frame in enumerate(frames) if frame is not None]


def ids(played) -> list[list[int]]:
    return [sorted(seen.id for seen in tracked.seen) for tracked in played]


def walk(n, *, x=100, y=50, step=20, score=0.8):
    return [[box(x, y + i * step, score)] for i in range(n)]


# ------------------------------------------------------------------ matching

costs = st.integers(1, 5).flatmap(
    lambda rows: st.integers(1, 5).flatmap(
        lambda columns: st.lists(
            st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, FORBIDDEN]), min_size=columns, max_size=columns),
            min_size=rows,
            max_size=rows,
        )
    )
)


def total(cost, pairs) -> float:
    """What a matching costs when every pair that is missing or forbidden costs FORBIDDEN."""
    real = [cost[r][c] for r, c in pairs if cost[r][c] < FORBIDDEN]
    return sum(real) + FORBIDDEN * (min(len(cost), len(cost[0])) - len(real))


@settings(max_examples=200, deadline=None)
@given(costs)
def test_no_matching_is_cheaper(cost):
    rows, columns = len(cost), len(cost[0])
    pairs = assign(np.array(cost))
    assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)
    assert all(cost[r][c] < FORBIDDEN for r, c in pairs)
    if rows <= columns:
        every = (list(enumerate(chosen)) for chosen in itertools.permutations(range(columns), rows))
    else:
        every = ([(r, c) for c, r in enumerate(chosen)] for chosen in itertools.permutations(range(rows), columns))
    assert total(cost, pairs) == pytest.approx(min(total(cost, pairs_) for pairs_ in every))


def test_greed_would_be_wrong():
    """The cheapest pair first forces the dearest: both crosswise is better."""
    assert assign(np.array([[0.1, 0.2], [0.15, 0.9]])) == [(0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((5, 5, 10, 10), (5, 5, 10, 10), 1.0),  # the same
        ((5, 5, 10, 10), (10, 5, 10, 10), 1 / 3),  # half over half
        ((5, 5, 10, 10), (15, 5, 10, 10), 0.0),  # side by side
        ((5, 5, 10, 10), (50, 50, 10, 10), 0.0),  # apart
        ((5, 5, 10, 10), (5, 5, 5, 5), 0.25),  # within
    ],
)
def test_overlap(first, second, expected):
    found = overlaps(np.array([first], float), np.array([second], float))
    assert found[0, 0] == pytest.approx(expected)


# ------------------------------------------------------------------ tracks


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        # Someone walks: no id in the first frame, one id from then on
        (walk(5), [[NO_ID], [1], [1], [1], [1]]),
        # One frame alone is a flicker: it never gets an id
        ([*walk(1), [], [], []], [[NO_ID], [], [], []]),
        # A flicker uses no id up: the next person is number 1
        ([[box(400, 50)], [], *walk(3)], [[NO_ID], [], [NO_ID], [1], [1]]),
        # An unsure detection never starts a track
        (walk(5, score=0.30), [[], [], [], [], []]),
        # Sure enough to be matched, not to start
        (walk(3, score=0.38), [[], [], []]),
        # Half hidden for two frames: the unsure detections carry the track
        (walk(2) + walk(4, score=0.25, y=90)[:2] + walk(2, y=130), [[NO_ID], [1], [1], [1], [1], [1]]),
        # Hidden for four frames, 0.8 s: the same id, where the motion led
        (
            walk(4) + [[]] * 4 + [[box(100, 50 + 20 * i)] for i in range(8, 10)],
            [[NO_ID], [1], [1], [1], [], [], [], [], [1], [1]],
        ),
        # Three frames never came: the same id
        ([*walk(4), None, None, None, [box(100, 190)], [box(100, 210)]], [[NO_ID], [1], [1], [1], [1], [1]]),
        # Two abreast: two ids, never more
        (
            [[box(100, 50 + 20 * i), box(180, 50 + 20 * i)] for i in range(4)],
            [[NO_ID, NO_ID], [1, 2], [1, 2], [1, 2]],
        ),
    ],
)
def test_who_is_who(frames, expected):
    assert ids(play(frames)) == expected


def test_two_who_pass_each_other_keep_their_ids():
    """One down, one up, in lanes beside each other; the ids stay with the lanes."""
    frames = [[box(100, 40 + 25 * i), box(150, 340 - 25 * i)] for i in range(13)]
    lanes = {}
    for tracked in play(frames):
        for seen in tracked.seen:
            if seen.id != NO_ID:
                lanes.setdefault(seen.id, set()).add(round(seen.centre[0], -1))
    assert lanes == {1: {100}, 2: {150}}


def test_the_end_is_told_once_and_an_id_is_never_used_again():
    played = play([*walk(3), *[[]] * 8, *walk(3)])
    assert [tracked.ended for tracked in played if tracked.ended] == [(1,)]
    assert ids(played)[-1] == [2]


def test_a_track_stays_on_a_noisy_walk():
    """Two pixels in a hundred of trembling, a breath in the size: one id, the place within a few pixels."""
    rng = np.random.default_rng(3)
    truth = [(100 + 6 * i, 40 + 18 * i) for i in range(20)]
    frames = [[box(x + rng.normal() * 3, y + rng.normal() * 3, height=120 + rng.normal() * 6)] for x, y in truth]
    played = play(frames)
    assert {i for frame in ids(played)[1:] for i in frame} == {1}
    for tracked, (x, y) in zip(played, truth, strict=True):
        assert math.dist(tracked.seen[0].centre, (x, y)) < 12


def test_too_many_people_are_counted_as_dropped():
    tracker = Tracker(Settings(max_tracks=3))
    crowd = [box(100 + 100 * i, 100) for i in range(5)]
    tracker.update(crowd, 0.0)
    assert len(tracker.update(crowd, 0.2).seen) == 3
    assert tracker.dropped == 4


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 600), st.integers(0, 380), st.sampled_from([0.25, 0.5, 0.9])), max_size=6),
        max_size=25,
    )
)
def test_whatever_comes_ids_are_unique_and_ended_ids_stay_ended(frames):
    tracker = Tracker()
    ended: set[int] = set()
    for i, frame in enumerate(frames):
        tracked = tracker.update([box(x, y, score) for x, y, score in frame], i * 0.2)
        real = [seen.id for seen in tracked.seen if seen.id != NO_ID]
        assert len(real) == len(set(real))
        assert not ended & set(real)
        ended |= set(tracked.ended)
        assert all(math.isfinite(v) for seen in tracked.seen for v in (seen.x1, seen.y1, seen.x2, seen.y2))
