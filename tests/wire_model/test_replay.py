"""The real code does what the model of the contract does, step by step; and a planted bug makes a difference.

By default 124 walks and the recorded schedules; `-m proof` 400 walks more, `-m soak` ten minutes of them.
"""

from __future__ import annotations

import json
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.processes.report import put
from tests.wire_model.explore import AS_BUILT, CONFIGS, WALKS, explore, first
from tests.wire_model.model import ALL, CONTRACT, FIXES
from tests.wire_model.mutants import MUTANTS, Mutant, hunt
from tests.wire_model.replay import RECORDED, flags_of, run_labels, run_walk
from tests.wire_model.report import Walked, page

SOAK_PAGE = Path(__file__).parents[2] / "docs/soak.md"
SEEDS = range(30)
PROOF_SEEDS = range(100, 200)
SOAK_S = 600.0
SCHEDULES = json.loads(RECORDED.read_text())
# Stored, and counted no time: what one copy of a disk dropped as the last of a gap, another one brings after a fork.
END_OF_A_GAP = [
    "edge0 append #1=e1",
    "edge0 drops telemetry #1",
    "edge0 append #2=e2",
    "edge0 drops telemetry #2",
    "edge0 append #3=e3",
    "edge0 disk image taken",
    "disk image booted as edge1",
    "edge1 append #4=e4",
    "edge0 append #4=e5",
    "edge0 drops telemetry #3",
    "edge0 connect+hello",
    "deliver+keep hello edge0 n1 s1 probe=-1",
]


@pytest.fixture(autouse=True)
def _quiet():
    """A cloned disk and a lost event are what this is about."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


# ------------------------------------------------------------------ model and code


@pytest.mark.parametrize("config", WALKS)
def test_a_random_walk_of_the_model_is_a_walk_of_the_code(config: str) -> None:
    for seed in SEEDS:
        _, why = run_walk(config, seed)
        assert not why, why


def test_answers_that_are_too_late_are_ignored_by_both() -> None:
    for config in WALKS:
        _, why = run_walk(config, 1000, untidy=True)
        assert not why, why


@pytest.mark.parametrize("name", SCHEDULES)
def test_what_broke_a_contract_that_lacked_something_breaks_nothing(name: str) -> None:
    _, why = run_labels(SCHEDULES[name]["config"], SCHEDULES[name]["steps"])
    assert not why, f"{why}\n    .venv/bin/python -m tests.wire_model.replay recorded '{name}'"


@pytest.mark.proof
@pytest.mark.parametrize("config", WALKS)
def test_many_walks(config: str) -> None:
    for seed in PROOF_SEEDS:
        _, why = run_walk(config, seed)
        assert not why, why


@pytest.mark.soak
def test_ten_minutes_of_walks() -> None:
    run = Walked(seconds=SOAK_S, first=10_000)
    end, seed = time.monotonic() + SOAK_S, run.first
    while time.monotonic() < end and not run.differences:
        for config in WALKS:
            steps, why = run_walk(config, seed, untidy=seed % 4 == 0)
            run.walked(config, seed, steps, why)
        seed += 1
    put(SOAK_PAGE, "walks", page(run, load=os.getloadavg()[2], on=datetime.now(UTC)))
    assert run.differences == []


def test_what_the_walks_came_to_is_said_with_every_difference() -> None:
    run = Walked(seconds=600.0, first=10)
    for seed in (10, 11):
        run.walked("ledger", seed, 40, "")
    run.walked("image", 10, 7, "step 7: watermark: the model says 3, the code 2\n    a command")
    shown = page(run, load=1.5, on=datetime(2026, 1, 2, tzinfo=UTC))
    assert "| walks | 3, seeds 10 to 11 |" in shown
    assert "| differences | 1 |" in shown
    assert "| `image` | 1 | 7 |\n| `ledger` | 2 | 80 |" in shown
    assert "step 7: watermark" in shown
    assert "### Differences" not in page(Walked(seconds=1.0, first=10), load=1.5, on=datetime(2026, 1, 2, tzinfo=UTC))


def test_an_event_that_ended_a_gap_of_another_copy_counts_once() -> None:
    _, why = run_labels("telemetry", END_OF_A_GAP)
    assert not why, why


def test_the_same_seed_is_the_same_schedule() -> None:
    from tests.wire_model.explore import walk

    runs = [[step.label for step in walk(WALKS["image"], AS_BUILT, 7)[2]] for _ in range(2)]
    assert runs[0] == runs[1]


# ------------------------------------------------------------------ teeth


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_makes_a_difference(mutant: Mutant) -> None:
    assert hunt(mutant, start=mutant.start, most=15) is not None


# ------------------------------------------------------------------ the model itself


@pytest.mark.parametrize(("config", "fix"), [("loss", "loss_fork"), ("loss", "t_hello"), ("plain", "hello_first")])
def test_a_sentence_of_the_contract_is_needed(config: str, fix: str) -> None:
    assert first(ALL - {fix}, [config], 60.0)[1] == config


@pytest.mark.proof
def test_after_a_cloud_restore_open_commands_are_not_published_again_or_a_lock_is_pulsed_twice() -> None:
    _, _, bad, _ = first(AS_BUILT - {"restore_unknown"}, ["cmdboth"], 120.0)
    assert bad == "I5 command 1 took effect twice"
    assert explore(CONFIGS["cmdboth"], AS_BUILT, secs=120.0)[1] == ""


def test_a_small_world_is_exhausted_without_a_violation() -> None:
    _, bad, _ = explore(CONFIGS["cmdimage"], AS_BUILT, secs=60.0)
    assert bad == ""


def test_the_flags_are_the_sentences_of_the_contract() -> None:
    assert frozenset(FIXES) - {"fork_unknown"} == CONTRACT
    assert flags_of("telemetry") == AS_BUILT - {"says_fork"}
