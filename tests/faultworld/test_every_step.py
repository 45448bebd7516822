"""A small schedule is run once for each step that a process or message takes in it, and ends exactly there."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from simulators.faultworld.schedule import Deed, Fault, FaultKind, Schedule, SlipAt
from simulators.faultworld.world import Outcome, run

pytestmark = pytest.mark.proof
DEEDS = (
    Deed(at_s=1.0, store=0, what="ledger", count=2),
    Deed(at_s=1.2, store=0, what="telemetry", count=6),  # two more than may stay: the oldest are dropped
    Deed(at_s=1.5, store=0, what="command", ttl_s=30.0),
    Deed(at_s=3.0, store=0, what="ledger"),
)
SMALL = Schedule(
    seed=5,
    stores=1,
    workers=1,
    end_s=8.0,
    latency_s=0.02,
    progress_timeout_s=5.0,
    telemetry_rows=4,
    window=16,
    deeds=DEEDS,
)
EVERY: list[tuple[FaultKind, int]] = [
    ("kill_at", 40),  # the store's process; so many steps it takes at least
    ("power_at", 40),  # the store's disk, at each call that SQLite makes of it
    ("worker_kill_at", 40),  # the bridge
    ("cloud_power_at", 40),  # the bridge's disk
]


def _ends_at(kind: FaultKind, n: int) -> Outcome:
    return run(msgspec.structs.replace(SMALL, faults=(Fault(at_s=0.0, kind=kind, n=n, seconds=1.0),)))


@pytest.mark.parametrize(("kind", "least"), EVERY)
def test_it_may_end_at_every_step(kind: FaultKind, least: int) -> None:
    """Until the step lies beyond the run's end."""
    for n in itertools.count(1):
        outcome = _ends_at(kind, n)
        assert outcome.violation is None, f"{kind} n={n}: {outcome.violation}"
        if not outcome.happened["died at a step"] + sum(c for name, c in outcome.happened.items() if "SQLite" in name):
            break
    assert n > least


def test_the_broker_may_fall_at_every_message() -> None:
    """It forgets what it holds, at the moment of each message that a client hands to it."""
    traced = run(SMALL, traced=True)
    moments = sorted({float(line.split()[0]) for line in traced.trace if " > " in line})
    assert len(moments) > 10
    for moment, before_s in itertools.product(moments, (0.001, -0.001)):
        fault = Fault(at_s=max(0.0, moment - before_s), kind="broker", seconds=0.5, n=1)
        outcome = run(msgspec.structs.replace(SMALL, faults=(fault,)))
        assert outcome.violation is None, f"at {moment}: {outcome.violation}"


@pytest.mark.parametrize("kind", ["lose", "lie", "twice", "late", "puback"])
@pytest.mark.parametrize("link", ["up:s0", "down:s0", "up:w0", "down:w0"])
def test_any_one_message_may_go_wrong(kind: str, link: str) -> None:
    """Each message of a link, one a run."""
    for n in itertools.count(1):
        slip = SlipAt(link=link, n=n, kind=kind, extra_s=1.0)  # type: ignore[arg-type]  # one of the kinds
        outcome = run(msgspec.structs.replace(SMALL, slips=(slip,)))
        assert outcome.violation is None, f"{link} {n} {kind}: {outcome.violation}"
        if not outcome.happened[f"message {kind}"]:
            break
    assert n > 5
