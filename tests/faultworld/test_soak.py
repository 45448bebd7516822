"""The long run itself: it counts what it ran, goes on where it was stopped, and its page says what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from simulators.faultworld.many import Broken, Summary
from simulators.faultworld.schedule import FaultKind, SlipKind
from tests.faultworld.soak import Options, Plan, asked, soak
from tests.faultworld.words import said

PLAN = Plan(first=1000, count=50, code="c")


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(jobs=1, command="c", page=tmp_path / "soak.md", notes=tmp_path / "notes.json")


def ten_of(ran: list[int]) -> Callable[..., Summary]:
    """Runs ten seeds of those it is given, and is stopped."""

    def many(seeds: range, *, jobs: int, within_s: float, told: Callable[[Summary], None]) -> Summary:
        some = seeds[:10]
        ran.extend(some)
        broken = [Broken(seed, "it_comes_to_rest", "waits") for seed in some if seed == 1015]
        summary = Summary(runs=len(some), events=len(some), real_s=2.0, happened=Counter(kill=3), broken=broken)
        told(summary)
        return summary

    return many


def test_a_run_that_was_stopped_goes_on_and_the_page_says_all_of_it(options: Options) -> None:
    ran: list[int] = []
    first = soak(PLAN, options, ten_of(ran))
    assert first.runs == 10
    assert "| schedules | 10 of the 50 that were asked for: seeds 1,000 to 1,009 |" in options.page.read_text()
    assert "every rule held" in options.page.read_text()
    for _ in range(4):
        whole = soak(PLAN, options, ten_of(ran))
    assert ran == list(range(1000, 1050))
    assert (whole.runs, whole.events, whole.real_s, whole.happened["kill"]) == (50, 50, 10.0, 15)
    text = options.page.read_text()
    assert "| schedules | 50: seeds 1,000 to 1,049 |" in text
    assert "| store: SIGKILL of its process | 15 |" in text
    assert "| stopped and gone on | 4 times |" in text
    assert "| rules broken | 1 |" in text
    assert "--seed 1015 --trace" in text
    assert not options.notes.exists()


def test_other_sources_or_seeds_begin_anew(options: Options) -> None:
    soak(PLAN, options, ten_of([]))
    for plan in (msgspec.structs.replace(PLAN, code="other"), msgspec.structs.replace(PLAN, first=0)):
        ran: list[int] = []
        soak(plan, options, ten_of(ran))
        assert ran[0] == plan.first


def test_notes_that_nobody_can_read_are_no_notes(options: Options) -> None:
    options.notes.write_text("{")
    assert soak(PLAN, options, ten_of([])).runs == 10


def test_the_environment_says_how_many_and_the_page_how_to_run_them_again() -> None:
    plan, options = asked({"FAULTWORLD_SEEDS": "40", "FAULTWORLD_FROM": "7", "FAULTWORLD_MINUTES": "2", "HOME": "x"})
    assert (plan.first, plan.count, options.within_s, options.jobs) == (7, 40, 120.0, 2)
    assert options.command.endswith("FAULTWORLD_SEEDS=40 python -m pytest -m soak tests/faultworld/test_proof.py")
    assert "HOME" not in options.command
    assert asked({})[0] == msgspec.structs.replace(plan, first=0, count=100_000)
    assert replace(asked({})[1], command="") == Options()


def test_every_fault_has_words() -> None:
    names = [*get_args(FaultKind), *(f"message {kind}" for kind in get_args(SlipKind))]
    assert [name for name in names if said(name) == name or ": " not in said(name)] == []
    assert said("command unknown") == "command: unknown"
