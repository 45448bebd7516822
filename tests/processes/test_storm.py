"""Nothing lost, nothing doubled, over real processes: `proof` in the gate, `soak` for as long as one likes.

`ZHANGGUI_SOAK_S` is the length of the soak's storm in seconds, `ZHANGGUI_SEED` the seed of all runs here. The
soak's storm writes what it came to into `docs/soak.md`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.processes import mutants, report
from tests.processes.run import Result, Script, go

SEED = int(os.environ.get("ZHANGGUI_SEED", "7"))
SOAK_S = float(os.environ.get("ZHANGGUI_SOAK_S", "600"))
SOAK_PAGE = Path(__file__).parents[2] / "docs/soak.md"
needs_mosquitto = pytest.mark.usefixtures("_mosquitto")
needs_postgres = pytest.mark.usefixtures("_postgres")

SHORT = Script(seed=SEED, seconds=13.0, converge_within_s=15.0, mean_gap_s=1.2)
GATE = replace(SHORT, seconds=23.0)  # twice: with seeds 7 and 8 the broker keeps its memory once, and once it does not


def came_to(script: Script, folder: Path) -> Result:
    """One run. A folder without problems is not kept."""
    result = asyncio.run(go(script, folder))
    print(result)
    if result.problems:
        print(f"repeat: {script.command}\neverything is in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def run(script: Script, folder: Path) -> list[str]:
    """One run; its problems."""
    return came_to(script, folder).problems


@pytest.mark.proof
@needs_mosquitto
@needs_postgres
@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_a_storm_loses_nothing_and_doubles_nothing(seed: int, tmp_path: Path):
    """Three stores, a bad network, Mosquitto, two bridges and a third on PostgreSQL; everything dies at random."""
    assert run(replace(GATE, seed=seed), tmp_path) == []


@pytest.mark.soak
@needs_mosquitto
def test_the_same_with_two_bridges_on_one_sqlite_file(tmp_path: Path):
    assert run(replace(SHORT, database="sqlite", bridges=2), tmp_path) == []


@pytest.mark.soak
@needs_mosquitto
@needs_postgres
def test_a_long_storm_loses_nothing_and_doubles_nothing(tmp_path: Path):
    script = replace(SHORT, seconds=SOAK_S, stores=4, converge_within_s=60.0, mean_gap_s=1.0, pages=1)
    result = came_to(script, tmp_path)
    report.put(SOAK_PAGE, "storm", report.storm(result, datetime.now(UTC)))
    assert result.problems == []


@pytest.mark.soak
@needs_mosquitto
@pytest.mark.parametrize("mutant", mutants.ALL)
def test_a_planted_fault_is_found(mutant: str, tmp_path: Path):
    """The run has teeth: each of these breaks one promise, and none gets through."""
    script = replace(SHORT, database="sqlite", bridges=2, mutant=mutant, mean_gap_s=3.0, converge_within_s=8.0)
    assert run(script, tmp_path) != []
    shutil.rmtree(tmp_path, ignore_errors=True)
