"""The plan of visits: a pure function of seed and second, with a truth that agrees with what walks in the picture."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.camera import Plan
from simulators.camera.walkers import BLOCK_S, _entering, _visits

HOUR_S = 3600.0
START_S = 1_700_000_040.0  # a whole minute


def everyone(plan: Plan, from_s: float, minutes: int):
    first = int(from_s // BLOCK_S)
    return [visit for index in range(first, first + minutes) for visit in _visits(plan, index)]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 99), st.sampled_from([6.0, 60.0, 240.0, 3600.0]), st.integers(0, 10**7))
def test_every_visit_lies_in_its_minute_and_lanes_are_never_shared(seed, rate, minute):
    visits = _visits(Plan(seed=seed, rate=rate), minute)
    assert len(visits) <= 24
    for visit in visits:
        assert minute * BLOCK_S <= visit.start_s
        assert visit.end_s <= (minute + 1) * BLOCK_S
    for a, b in itertools.combinations(visits, 2):
        if a.lane == b.lane:
            assert a.end_s < b.start_s or b.end_s < a.start_s


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 99), st.integers(0, 10**6), st.sampled_from([0.3, 0.55, 0.8]))
def test_the_truth_is_where_the_middle_of_a_figure_passes_the_line(seed, minute, line_y):
    plan = Plan(seed=seed, rate=300, line_y=line_y)
    visits = everyone(plan, minute * BLOCK_S, 1)
    truth = list(plan.truth(minute * BLOCK_S, (minute + 1) * BLOCK_S))
    assert len(truth) == len([visit for visit in visits if visit.kind != "u_turn"])
    for crossing in truth:
        near = [v for v in visits if v.kind == crossing.direction and v.crossing_s(line_y) == crossing.t_s]
        (before, after) = (near[0].place(crossing.t_s - 0.01)[1], near[0].place(crossing.t_s + 0.01)[1])
        assert (before < line_y < after) if crossing.direction == "in" else (after < line_y < before)


def test_who_turns_back_never_reaches_the_line():
    turned = [visit for visit in everyone(Plan(seed=2, rate=300), START_S, 120) if visit.kind == "u_turn"]
    assert len(turned) > 10
    for visit in turned:
        steps = [visit.start_s + i * (visit.end_s - visit.start_s) / 99 for i in range(100)]
        ys = [visit.place(t)[1] for t in steps]
        assert max(ys) < 0.5
        assert ys[0] < -0.2
        assert ys[-1] < -0.2


def test_asking_in_pieces_or_at_once_gives_the_same_truth():
    plan = Plan(seed=5, rate=240)
    whole = list(plan.truth(START_S, START_S + 600))
    edges = [START_S, *sorted(crossing.t_s for crossing in whole[::3]), START_S + 333.3, START_S + 600]
    pieces = [c for a, b in itertools.pairwise(sorted(edges)) for c in plan.truth(a, b)]
    assert pieces == whole
    assert len(whole) > 20
    assert list(plan.truth(START_S, START_S)) == []


def test_as_many_come_as_the_rate_says_and_nearly_all_leave_again():
    plan = Plan(seed=1, rate=60)
    truth = list(plan.truth(START_S, START_S + 12 * HOUR_S))
    entered = sum(crossing.direction == "in" for crossing in truth)
    left = len(truth) - entered
    assert entered / 12 == pytest.approx(60 * 0.88 * 1.2, rel=0.12)  # less U-turns, more pairs
    assert 0.85 < left / entered < 1.02


def test_nobody_leaves_who_did_not_come():
    """At every second, over six hours, as many came before as left: the store is never emptier than empty."""
    plan = Plan(seed=3, rate=120)
    inside = sum(
        1
        for index in range(int(START_S // BLOCK_S) - 12, int(START_S // BLOCK_S))
        for _, leave_s in _entering(plan, index)
        if leave_s and leave_s >= START_S
    )
    for crossing in plan.truth(START_S, START_S + 6 * HOUR_S):
        inside += 1 if crossing.direction == "in" else -1
        assert inside >= -2, "leaving may be a few seconds earlier than planned only by the walk itself"


def test_seeds_differ_and_a_rate_of_zero_is_an_empty_store():
    assert list(Plan(seed=1).truth(START_S, START_S + HOUR_S)) != list(Plan(seed=2).truth(START_S, START_S + HOUR_S))
    assert list(Plan(rate=0).truth(START_S, START_S + HOUR_S)) == []


def test_the_repertoire_is_complete():
    visits = everyone(Plan(seed=1, rate=120), START_S, 60)
    assert {visit.kind for visit in visits} == {"in", "out", "u_turn"}
    pairs = [
        (a, b)
        for a, b in itertools.combinations([v for v in visits if v.kind == "in"], 2)
        if abs(a.start_s - b.start_s) <= 0.3 and a.speed == b.speed
    ]
    assert len(pairs) > 5, "some come two abreast"
    assert all(a.lane != b.lane for a, b in pairs)
