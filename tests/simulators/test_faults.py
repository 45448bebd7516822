"""A bad line is as bad as its plan says, and the same again with the same seed."""

from __future__ import annotations

from random import Random

import pytest

from simulators.hardware.device import MAX_BUFFER_BYTES
from simulators.hardware.faults import FaultPlan, Faults
from simulators.hardware.lock_8a import LockBus
from tests.simulators.test_lock_board import Wall

PLAN = FaultPlan(drop_p=0.4, corrupt_p=0.3, wrong_addr_p=0.1, delay_ms=50)


def story(seed: int) -> tuple[list[object], dict[str, int]]:
    line = Faults(rng=Random(seed), plan=PLAN)
    told: list[object] = []
    for _ in range(300):
        told += [line.loses(), line.misaddresses()]
        told += [line.corrupted(b"\x80\x01\x01\x11\x91"), line.delay_s()]
    return told, dict(line.counters)


def test_the_same_seed_spoils_the_same_frames() -> None:
    assert story(3) == story(3)
    assert story(3)[0] != story(4)[0]


def test_every_fault_happens_and_is_counted_as_often_as_it_happened() -> None:
    told, counters = story(3)
    for at, value, name in ((0, "request", "request_dropped"), (0, "reply", "reply_dropped"), (1, True, "wrong_addr")):
        assert counters[name] == told[at::4].count(value) > 0
    frames = told[2::4]
    assert counters["corrupted"] == sum(1 for one in frames if one != b"\x80\x01\x01\x11\x91") > 0
    assert counters["delayed"] == 300
    assert all(0 <= float(str(one)) <= 0.05 for one in told[3::4])


def test_a_corrupted_frame_differs_in_one_bit() -> None:
    line = Faults(rng=Random(1), plan=FaultPlan(corrupt_p=1.0))
    for _ in range(100):
        spoilt = line.corrupted(b"\x00\x00\x00")
        assert int.from_bytes(spoilt, "big").bit_count() == 1
    assert line.corrupted(b"") == b""


def test_a_clean_line_spoils_nothing() -> None:
    line = Faults(rng=Random(1))
    assert line.plan.clean
    for _ in range(100):
        assert line.loses() == ""
        assert not line.misaddresses()
        assert line.corrupted(b"abc") == b"abc"
        assert line.delay_s() == 0.0
    assert not line.counters


@pytest.mark.parametrize(
    "plan", [{"drop_p": 1.1}, {"corrupt_p": -0.1}, {"wrong_addr_p": 2}, {"delay_ms": -1}, {"delay_ms": 1e9}]
)
def test_an_impossible_plan_is_refused(plan: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        FaultPlan(**plan)


def test_a_host_that_never_finishes_a_frame_fills_no_memory() -> None:
    line = LockBus({}, Wall())
    line._buffer.add(b"\x8a" * (MAX_BUFFER_BYTES + 100), 0.0)
    assert len(line._buffer.bytes) == MAX_BUFFER_BYTES
    assert line.counters["overrun_bytes"] == 100


def test_a_dead_line_loses_everything_half_before_and_half_after_the_act() -> None:
    line = Faults(rng=Random(1), plan=FaultPlan(drop_p=1.0))
    lost = [line.loses() for _ in range(200)]
    assert set(lost) == {"request", "reply"}
    assert 60 < lost.count("request") < 140
