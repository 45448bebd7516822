"""Nothing lost, nothing doubled, over real processes: `proof` in the gate, `soak` for as long as one likes.

`ZHANGGUI_SOAK_S` is the length of the soak's storm in seconds, `ZHANGGUI_SEED` the seed of all runs here.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.processes import mutants
from tests.processes.run import Script, go
from tests.processes.servers import find_mosquitto, find_postgres

SEED = int(os.environ.get("ZHANGGUI_SEED", "7"))
SOAK_S = float(os.environ.get("ZHANGGUI_SOAK_S", "600"))
needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="no mosquitto here: apt-get install mosquitto")
needs_postgres = pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL here: apt-get install postgresql")

GATE = Script(seed=SEED, seconds=13.0, converge_within_s=15.0, mean_gap_s=1.2)


def run(script: Script, folder: Path) -> list[str]:
    """One run; its problems. A folder without problems is not kept."""
    result = asyncio.run(go(script, folder))
    print(result)
    if not result.problems:
        shutil.rmtree(folder, ignore_errors=True)
        return []
    print(f"repeat: {script.command}\neverything is in {folder}")
    return result.problems


@pytest.mark.proof
@needs_mosquitto
@needs_postgres
def test_a_storm_loses_nothing_and_doubles_nothing(tmp_path: Path):
    """Three stores, a bad network, Mosquitto, two bridges and a third on PostgreSQL; everything dies at random."""
    assert run(GATE, tmp_path) == []


@pytest.mark.soak
@needs_mosquitto
def test_the_same_with_two_bridges_on_one_sqlite_file(tmp_path: Path):
    assert run(replace(GATE, database="sqlite", bridges=2), tmp_path) == []


@pytest.mark.soak
@needs_mosquitto
@needs_postgres
def test_a_long_storm_loses_nothing_and_doubles_nothing(tmp_path: Path):
    signal.alarm(int(SOAK_S) + 300)  # instead of the five minutes any test may take
    assert run(replace(GATE, seconds=SOAK_S, stores=4, converge_within_s=60.0, mean_gap_s=1.0, pages=1), tmp_path) == []


@pytest.mark.soak
@needs_mosquitto
@pytest.mark.parametrize("mutant", mutants.ALL)
def test_a_planted_fault_is_found(mutant: str, tmp_path: Path):
    """The run has teeth: each of these breaks one promise, and none gets through."""
    script = replace(GATE, database="sqlite", bridges=2, mutant=mutant, mean_gap_s=3.0, converge_within_s=8.0)
    assert run(script, tmp_path) != []
    shutil.rmtree(tmp_path, ignore_errors=True)
