"""The small parts: the comparison of clocks, questions, the lane's shell on a broken ledger."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from contracts.messages import Request, Response
from edge.uplink.clock_estimate import ClockEstimator, Estimate, differs
from edge.uplink.requests import MAX_PENDING, Requests

# ------------------------------------------------------------------ clocks


def test_without_an_answer_nothing_is_known() -> None:
    assert ClockEstimator().estimate(now_s=0.0, wall_ms=0.0) is None


@pytest.mark.parametrize(
    ("offset_ms", "quality"),
    [(0, "synced"), (2000, "synced"), (-2000, "synced"), (2001, "estimated"), (-86_400_000, "estimated")],
)
def test_the_offset_of_a_symmetric_way_is_exact(offset_ms, quality) -> None:
    clocks = ClockEstimator()
    wall0_ms = 1_000_000.0  # our wall clock at monotonic 0
    assert clocks.add(sent_s=10.0, received_s=10.2, t1_ms=1_010_080 + offset_ms, t2_ms=1_010_120 + offset_ms)
    found = clocks.estimate(now_s=10.2, wall_ms=wall0_ms + 10_200)
    assert found is not None
    assert found.offset_ms == pytest.approx(offset_ms, abs=1e-6)
    assert found.rtt_ms == pytest.approx(160.0)
    assert found.quality == quality


def test_the_shortest_of_the_last_eight_counts() -> None:
    clocks = ClockEstimator()
    clocks.add(sent_s=0.0, received_s=0.010, t1_ms=5, t2_ms=5)  # the best, and soon forgotten
    for n in range(1, 9):
        at_ms = n * 1000
        rtt_s = 0.1 if n == 4 else 0.5
        error_ms = 0 if n == 4 else 100
        middle_ms = at_ms + rtt_s * 500
        clocks.add(sent_s=n, received_s=n + rtt_s, t1_ms=int(middle_ms) + error_ms, t2_ms=int(middle_ms) + error_ms)
    found = clocks.estimate(now_s=9.0, wall_ms=9000.0)
    assert found is not None
    assert found.rtt_ms == pytest.approx(100.0)
    assert found.offset_ms == pytest.approx(0.0, abs=1.0)


def test_an_old_sample_is_worth_less_by_what_a_crystal_may_wander() -> None:
    clocks = ClockEstimator()
    clocks.add(sent_s=0.0, received_s=0.01, t1_ms=5, t2_ms=5)
    clocks.add(sent_s=86_400.0, received_s=86_400.1, t1_ms=86_404_050, t2_ms=86_404_050)
    found = clocks.estimate(now_s=86_401.0, wall_ms=86_401_000.0)
    assert found is not None
    assert found.offset_ms == pytest.approx(4000.0, abs=1.0)


def test_a_jump_of_our_wall_clock_shows_without_another_hello() -> None:
    clocks = ClockEstimator()
    clocks.add(sent_s=0.0, received_s=0.01, t1_ms=5, t2_ms=5)
    found = clocks.estimate(now_s=1.0, wall_ms=1000.0 - 3_600_000)  # set back by an hour
    assert found is not None
    assert found.offset_ms == pytest.approx(3_600_000, abs=1.0)


@pytest.mark.parametrize(("t1_ms", "t2_ms"), [(100, 90), (0, 5000)])
def test_four_times_that_do_not_fit_are_refused(t1_ms, t2_ms) -> None:
    clocks = ClockEstimator()
    assert not clocks.add(sent_s=0.0, received_s=0.1, t1_ms=t1_ms, t2_ms=t2_ms)
    assert clocks.estimate(now_s=1.0, wall_ms=0.0) is None


@pytest.mark.parametrize(
    ("new", "told", "worth"),
    [
        (Estimate(0.0, 1.0), None, True),  # the first
        (Estimate(900.0, 1.0), Estimate(0.0, 9.0), False),  # noise
        (Estimate(1001.0, 1.0), Estimate(0.0, 1.0), True),  # more than a second
        (Estimate(2100.0, 1.0), Estimate(1900.0, 1.0), True),  # another quality
    ],
)
def test_only_a_material_change_is_worth_an_event(new, told, worth) -> None:
    assert differs(new, told) is worth


# ------------------------------------------------------------------ questions


async def test_no_more_questions_wait_than_the_bound() -> None:
    counters: Counter[str] = Counter()
    sent: list[Request] = []

    async def publish(_method: str, request: Request) -> None:
        sent.append(request)

    requests = Requests(publish=publish, counters=counters)
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(requests.ask("m", {}, 30.0), name=f"ask-{n}") for n in range(MAX_PENDING)]
        while len(sent) < MAX_PENDING:
            await asyncio.sleep(0)
        assert await requests.ask("m", {}, 30.0) is None
        assert counters["request_too_many"] == 1
        for request in sent:
            requests.answered(Response(id=request.id, ok=True))
            requests.answered(Response(id=request.id, ok=False))  # doubled by the network
    assert all(task.result() is not None and task.result().ok for task in waiting)
    assert counters["response_late"] == MAX_PENDING
