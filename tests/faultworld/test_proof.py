"""As many schedules as the gate has time for, and as many as a night has."""

from __future__ import annotations

import os

import pytest

from simulators.faultworld.many import Summary, run_many

GATE_SEEDS = 2000
SOAK_SEEDS = 100_000


def _proven(summary: Summary) -> None:
    print("\n" + "\n".join(summary.lines()))
    for broken in summary.broken:
        print(f"{broken.rule}: {broken.detail}\n  python -m simulators.faultworld --seed {broken.seed} --trace")
    assert summary.broken == []


@pytest.mark.proof
def test_two_thousand_schedules_keep_every_rule() -> None:
    _proven(run_many(range(GATE_SEEDS), jobs=2))


@pytest.mark.soak
def test_a_hundred_thousand_schedules_keep_every_rule() -> None:
    """`FAULTWORLD_SEEDS` and `FAULTWORLD_FROM` say how many, and from which on."""
    count, first = int(os.environ.get("FAULTWORLD_SEEDS", SOAK_SEEDS)), int(os.environ.get("FAULTWORLD_FROM", "0"))
    _proven(run_many(range(first, first + count), jobs=2))
