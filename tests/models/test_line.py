"""Scripted paths over a line, a table with the story of each row; counts must be those a person would give."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.line import LineCounter, LineSettings

FPS = 5.0
LINE = (0.0, 0.5, 1.0, 0.5)
ASPECT = 640 / 384
RULES = LineSettings()


def count(tracks, *, line=LINE, rules=RULES) -> list[tuple[str, int]]:
    """Play `{id: {frame: (x, y)}}`. The crossings as (direction, id)."""
    counter = LineCounter(line, aspect=ASPECT, settings=rules)
    last = max(frame for path in tracks.values() for frame in path)
    crossings = []
    for frame in range(last + 1):
        points = [(track, *path[frame]) for track, path in tracks.items() if frame in path]
        crossings += counter.update(points, frame / FPS)
    crossings += counter.flush()
    return [(crossing.direction, crossing.track) for crossing in crossings]


def along(*ys, x=0.5, start=0) -> dict:
    """A path at one x: a height for each frame, None for a frame without this person."""
    return {start + i: (x, y) for i, y in enumerate(ys) if y is not None}


DOWN = (0.2, 0.3, 0.4, 0.47, 0.55, 0.65, 0.75, 0.8)
UP = DOWN[::-1]


STORIES = [
    # Straight in
    ({1: along(*DOWN)}, [("in", 1)]),
    # Straight out
    ({1: along(*UP)}, [("out", 1)]),
    # Flicker: the box trembles over the line by less than the band; nothing changes side
    ({1: along(0.3, 0.4, 0.49, 0.52, 0.48, 0.52, 0.49, 0.4, 0.3)}, []),
    # Flicker on the way: it trembles, then goes on; one count
    ({1: along(0.3, 0.4, 0.49, 0.52, 0.48, 0.52, 0.49, 0.6, 0.7, 0.8)}, [("in", 1)]),
    # A box that jumps far over the line for one frame and back: not settled, no count
    ({1: along(0.3, 0.4, 0.45, 0.6, 0.45, 0.4, 0.3)}, []),
    # Stands on the line for ten seconds, then goes in
    ({1: along(0.3, 0.4, *[0.5] * 50, 0.6, 0.7, 0.8)}, [("in", 1)]),
    # Stands on the line for ten seconds, then goes back
    ({1: along(0.3, 0.4, *[0.5] * 50, 0.4, 0.3, 0.2)}, []),
    # Born on the line (someone rises from a bench there) and goes in: no side before, so no crossing
    ({1: along(0.5, 0.5, 0.6, 0.7, 0.8)}, []),
    # U-turn before the line
    ({1: along(0.2, 0.3, 0.4, 0.45, 0.4, 0.3, 0.2)}, []),
    # U-turn just behind the line: over the band, and back within half a second
    ({1: along(0.3, 0.4, 0.5, 0.57, 0.58, 0.5, 0.4, 0.3)}, []),
    # Goes in, looks around for two seconds, goes out again: both are true
    ({1: along(0.3, 0.4, 0.5, 0.6, *[0.7] * 10, 0.6, 0.5, 0.4, 0.3, 0.2, 0.2)}, [("in", 1), ("out", 1)]),
    # Id switch on the line: 1 breaks off before it, 2 begins behind it a moment later
    ({1: along(0.3, 0.4, 0.47), 2: along(0.55, 0.65, 0.75, 0.8, start=4)}, [("in", 2)]),
    # Id switch behind the line before the crossing has settled: still one
    ({1: along(0.3, 0.4, 0.48, 0.56), 2: along(0.6, 0.7, 0.8, 0.85, start=4)}, [("in", 2)]),
    # Id switch long before the line
    ({1: along(0.2, 0.25), 2: along(0.35, 0.45, 0.55, 0.65, 0.75, start=2)}, [("in", 2)]),
    # No id switch: 1 left at the upper edge, 2 appears at the lower one
    ({1: along(0.3, 0.2, 0.1), 2: along(0.9, 0.8, 0.7, start=4)}, []),
    # A new track beside someone who is still seen takes nothing over
    ({1: along(*DOWN), 2: along(0.56, 0.6, 0.7, x=0.6, start=3)}, [("in", 1)]),
    # Two abreast: two
    ({1: along(*DOWN, x=0.4), 2: along(*DOWN, x=0.5)}, [("in", 1), ("in", 2)]),
    # Two abreast whose ids are swapped on the line: still two
    (
        {
            1: {**along(*DOWN[:4], x=0.4), **along(*DOWN[4:], x=0.5, start=4)},
            2: {**along(*DOWN[:4], x=0.5), **along(*DOWN[4:], x=0.4, start=4)},
        },
        [("in", 1), ("in", 2)],
    ),
    # One in while one goes out
    ({1: along(*DOWN, x=0.3), 2: along(*UP, x=0.7)}, [("in", 1), ("out", 2)]),
    # Nobody: unconfirmed tracks all carry -1, and jump from one person to another
    ({-1: along(*DOWN)}, []),
    # Unconfirmed at first, confirmed before the line
    ({-1: along(0.2), 1: along(*DOWN[1:], start=1)}, [("in", 1)]),
    # Frame gap over the line: last seen above, next seen below
    ({1: along(0.3, 0.4, None, None, None, 0.7, 0.8, 0.85, 0.9)}, [("in", 1)]),
    # Frame gap with the person gone for good behind the line
    ({1: along(0.3, 0.4, None, None, 0.7)}, [("in", 1)]),
    # Two points are no path
    ({1: along(0.3, 0.7)}, []),
    # A way too short to be a crossing: hardly out of the band on both sides
    ({1: along(0.455, 0.455, 0.5, 0.545, 0.545, 0.545, 0.545)}, []),
]


@pytest.mark.parametrize(("tracks", "expected"), STORIES)
def test_a_path_is_counted_as_a_person_would(tracks, expected):
    assert sorted(count(tracks)) == sorted(expected)


@pytest.mark.parametrize(
    "broken",
    [
        LineSettings(band=0.0),  # no band
        LineSettings(settle_s=0.0),  # a side counts at once
        LineSettings(handover_way=0.0),  # a broken path is never taken up
        LineSettings(handover_s=0.0),  # the same, by time
        LineSettings(least_points=0),  # two points are a path
        LineSettings(least_way=0.0),  # any way is long enough
    ],
)
def test_the_stories_notice_each_rule_that_is_left_out(broken):
    assert any(sorted(count(tracks, rules=broken)) != sorted(expected) for tracks, expected in STORIES)


@pytest.mark.parametrize(
    ("line", "path", "expected"),
    [
        # The same line drawn from right to left: downwards is out
        ((1.0, 0.5, 0.0, 0.5), along(*DOWN), ["out"]),
        # A line drawn downwards: in is from the right of the picture to its left
        ((0.5, 0.0, 0.5, 1.0), {i: (1 - y, 0.5) for i, y in enumerate(DOWN)}, ["in"]),
        ((0.5, 0.0, 0.5, 1.0), {i: (y, 0.5) for i, y in enumerate(DOWN)}, ["out"]),
        # A slanting line
        ((0.0, 0.3, 1.0, 0.7), along(*DOWN), ["in"]),
        # Past the end of a short line: not through the door
        ((0.3, 0.5, 0.7, 0.5), along(*DOWN, x=0.9), []),
        # Around its end and back to its middle: nobody went through
        (
            (0.3, 0.5, 0.7, 0.5),
            dict(
                enumerate(
                    [(0.5, 0.3), (0.6, 0.3), (0.9, 0.4), (0.9, 0.6), (0.6, 0.7), (0.5, 0.7), (0.5, 0.7), (0.5, 0.7)]
                )
            ),
            [],
        ),
        # Through it, then off to the side at once
        (
            (0.3, 0.5, 0.7, 0.5),
            dict(enumerate([(0.6, 0.3), (0.6, 0.4), (0.65, 0.56), (0.8, 0.6), (0.9, 0.6)])),
            ["in"],
        ),
    ],
)
def test_the_line_has_a_direction_and_ends(line, path, expected):
    assert [direction for direction, _ in count({1: path}, line=line)] == expected


def test_an_ended_track_is_counted_once_nobody_takes_it_up():
    """The person leaves the picture right behind the line, before half a second has passed."""
    counter = LineCounter(LINE, aspect=ASPECT)
    for frame, y in enumerate((0.3, 0.4, 0.5, 0.6)):
        assert not counter.update([(1, 0.5, y)], frame / FPS)
    counter.end([1, 99])
    assert counter.update([], 1.0) == []
    (crossing,) = counter.update([], 4.0)
    assert (crossing.direction, crossing.t_s) == ("in", 0.6)
    assert counter.flush() == []


def test_a_track_of_which_nobody_says_that_it_ended_is_forgotten():
    counter = LineCounter(LINE, aspect=ASPECT)
    for frame, y in enumerate((0.3, 0.4, 0.5, 0.6)):
        counter.update([(1, 0.5, y)], frame / FPS)
    assert [crossing.direction for crossing in counter.update([], 60.0)] == ["in"]


def test_a_line_without_length_is_refused():
    with pytest.raises(ValueError, match="same place"):
        LineCounter((0.5, 0.5, 0.5, 0.5), aspect=1.0)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(0.05, 0.95), min_size=3, max_size=40),
    st.booleans(),
)
def test_counts_alternate_and_end_on_the_side_where_the_person_is(ys, mirrored):
    """Whatever one person does: in and out take turns, and in minus out is the change of side."""
    path = along(*[1 - y if mirrored else y for y in ys])
    directions = [direction for direction, _ in count({1: path})]
    assert all(a != b for a, b in itertools.pairwise(directions))
    sides = [y for _, y in path.values() if abs(y - 0.5) >= 0.04]
    if directions:
        assert (sides[0] < 0.5) == (directions[0] == "in")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.46, 0.54, exclude_min=True, exclude_max=True), min_size=1, max_size=60))
def test_nothing_inside_the_band_is_ever_counted(trembling):
    assert count({1: along(0.3, 0.35, 0.4, *trembling, 0.4, 0.3)}) == []
    assert count({1: along(0.3, 0.35, 0.4, *trembling, 0.6, 0.7, 0.8, 0.8)}) == [("in", 1)]
