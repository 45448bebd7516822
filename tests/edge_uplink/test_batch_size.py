"""Batches that adapt: the table of one step, its bounds, and a line so narrow that a full batch never gets through."""

from __future__ import annotations

import random
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.messages import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, Ack, HelloAnswer
from edge.uplink.batch_size import (
    FRAME_BYTES,
    LEAST_BYTES,
    LEAST_EVENTS,
    MORE_BYTES,
    MORE_EVENTS,
    MOST_BYTES,
    BatchSize,
)
from edge.uplink.machine import Confirm, LaneMachine, SendBatch
from tests.edge_uplink.model import Disk

STEPS = [
    # before (events, bytes), what happened, after
    ((64, 20_000), ("passed", 0.1, 64, 100), (64 + MORE_EVENTS, 20_000 + MORE_BYTES)),  # quick, full by number
    ((64, 20_000), ("passed", 2.5, 1, 10_000), (64 + MORE_EVENTS, 20_000 + MORE_BYTES)),  # quick, half full by bytes
    ((64, 20_000), ("passed", 0.1, 31, 9_999), (64, 20_000)),  # quick, and too small to prove anything
    ((64, 20_000), ("passed", 3.0, 64, 20_000), (64, 20_000)),  # it fits, and no more would
    ((64, 20_000), ("passed", 5.0, 64, 20_000), (32, 10_000)),  # half of the time is gone: too much
    ((64, 20_000), ("passed", 5.0, 1, 1), (32, 10_000)),  # a small one that was slow says it all the more
    ((64, 20_000), ("stalled",), (32, 10_000)),
    ((64, 20_000), ("broken",), (16, 5_000)),
    ((512, MOST_BYTES), ("passed", 0.0, 512, MOST_BYTES), (512, MOST_BYTES)),  # the contract's bound
    ((LEAST_EVENTS, LEAST_BYTES), ("broken",), (LEAST_EVENTS, LEAST_BYTES)),  # the floor
]


@pytest.mark.parametrize(("before", "what", "after"), STEPS)
def test_one_step(before, what, after) -> None:
    size = BatchSize(*before)
    name, *numbers = what
    if name == "passed":
        took_s, events, size_bytes = numbers
        size.passed(took_s=took_s, timeout_s=10.0, events=events, size_bytes=size_bytes)
    else:
        getattr(size, name)()
    assert (size.events, size.size_bytes) == after


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(st.sampled_from(["stalled", "broken"]), st.tuples(st.floats(0, 20), st.integers(1, 512))), max_size=60
    )
)
def test_it_never_leaves_its_bounds(inputs) -> None:
    size = BatchSize()
    assert size.size_bytes + FRAME_BYTES == MAX_BATCH_BYTES
    for what in inputs:
        if isinstance(what, str):
            getattr(size, what)()
        else:
            size.passed(took_s=what[0], timeout_s=10.0, events=what[1], size_bytes=0)
        assert LEAST_EVENTS <= size.events <= MAX_BATCH_EVENTS
        assert LEAST_BYTES <= size.size_bytes <= MOST_BYTES


# ------------------------------------------------------------------ a narrow line

STREAM = "11111111-2222-4333-8444-555555555555"
EVENT_BYTES = 500
TIMEOUT_S = 10.0


def drain(machine_of, *, bytes_per_s: float, events: int, limit_s: float) -> tuple[float, int]:
    """A lane of `events` over a line: the time when all were confirmed (or `limit_s`), and the connections it took.

    The broker has a batch when its last byte is through; after `TIMEOUT_S` without that the connection ends.
    """
    disk = Disk(STREAM)
    for n in range(events):
        disk.append(b"%d" % n)
    nonces = (f"n{k}" for k in count(1))
    m = machine_of(lane=disk, rng=random.Random(5), new_nonce=lambda: next(nonces))
    now_s, connections, held = 0.0, 0, 0
    while now_s < limit_s and held < events:
        connections += 1
        (hello,) = m.connected(now_s)
        now_s += 0.2
        digest = disk.hash_at(held)
        assert digest is not None
        todo = list(
            m.answered(
                HelloAnswer(
                    nonce=hello.nonce, stream=STREAM, watermark=held, hash_at_watermark=digest.hex(), active=True,
                    window=2048, t0=0, t1=0, t2=0,
                ),
                now_s,
            )
        )  # fmt: skip
        while todo:
            act = todo.pop(0)
            if isinstance(act, Confirm):
                disk.confirm(act.seq)
                continue
            assert isinstance(act, SendBatch)
            size = min(act.max_events, act.max_bytes // EVENT_BYTES, events - act.after_seq)
            took_s = size * EVENT_BYTES / bytes_per_s
            if took_s > TIMEOUT_S:
                now_s += TIMEOUT_S
                m.disconnected()
                now_s += 1.0
                break
            now_s += took_s
            m.read(size * EVENT_BYTES)
            todo += m.sent(act.nonce, act.after_seq + size, now_s)
            held = act.after_seq + size
            digest = disk.hash_at(held)
            assert digest is not None
            ack = Ack(stream=STREAM, nonce=m.nonce, watermark=held, hash_at_watermark=digest.hex(), window=2048)
            todo += m.acked(ack, now_s)
        else:
            assert held == events, "the machine stopped in the middle"
    return now_s, connections


class NeverAdapts(LaneMachine):
    """Sends full batches whatever the line does."""

    def _pump(self, now_s: float):
        self.batch = BatchSize()
        return super()._pump(now_s)


def test_a_line_of_20_kbit_s_makes_progress_within_t_and_drains_at_nearly_its_speed() -> None:
    events, bytes_per_s = 2000, 20_000 / 8
    at_best_s = events * EVENT_BYTES / bytes_per_s  # 400 s
    took_s, connections = drain(LaneMachine, bytes_per_s=bytes_per_s, events=events, limit_s=3600.0)
    assert took_s < 1.25 * at_best_s
    assert connections <= 4  # 256 KiB, 64, 16: the third fits


def test_without_adapting_the_same_line_never_makes_any() -> None:
    took_s, _ = drain(NeverAdapts, bytes_per_s=20_000 / 8, events=2000, limit_s=3600.0)
    assert took_s >= 3600.0


def test_a_wide_line_sends_full_batches_from_the_first_on() -> None:
    disk = Disk(STREAM)
    for n in range(600):
        disk.append(b"%d" % n)
    m = LaneMachine(lane=disk, rng=random.Random(5), new_nonce=lambda: "n")
    assert (m.batch.events, m.batch.size_bytes) == (MAX_BATCH_EVENTS, MOST_BYTES)
    _, connections = drain(LaneMachine, bytes_per_s=1e6, events=5000, limit_s=100.0)
    assert connections == 1
