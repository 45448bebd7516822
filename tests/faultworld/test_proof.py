"""As many schedules as the gate has time for, and as many as a night has."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from simulators.faultworld import report
from simulators.faultworld.generate import generate
from simulators.faultworld.many import Summary, run_many
from simulators.faultworld.schedule import FaultKind, SlipKind
from tests.faultworld.soak import asked, soak

GATE_SEEDS = 2000
MUST_HAPPEN = [
    *get_args(FaultKind),
    *(f"message {kind}" for kind in get_args(SlipKind)),
    "command done",
    "command refused",
    "command unknown",
    "power failed inside SQLite",
    "power failed inside the cloud's SQLite",
    "uplink fork_restored",
    "uplink fork_cloud_loss",
    "uplink not_active",
]


def _proven(summary: Summary) -> None:
    print("\n" + "\n".join(summary.lines()))
    for broken in summary.broken:
        print(f"{broken.rule}: {broken.detail}\n  {report.COMMAND} --seed {broken.seed} --trace")
    if summary.broken:
        report.smaller(generate(summary.broken[0].seed), within_s=60.0, folder=Path("var"), say=print)
    assert summary.broken == []
    assert [what for what in MUST_HAPPEN if not summary.happened[what]] == []  # what never happens proves nothing


@pytest.mark.proof
def test_two_thousand_schedules_keep_every_rule() -> None:
    _proven(run_many(range(GATE_SEEDS), jobs=2))


@pytest.mark.soak
def test_a_hundred_thousand_schedules_keep_every_rule() -> None:
    """As many as the environment says (see `soak.asked`); `docs/soak.md` tells what they came to."""
    _proven(soak(*asked()))
