"""The simulation itself: the same run for the same seed, every kind of fault really happens, a failure becomes small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from simulators.faultworld import report
from simulators.faultworld.__main__ import main
from simulators.faultworld.generate import generate
from simulators.faultworld.many import run_many
from simulators.faultworld.schedule import Deed, Fault, Schedule, SlipAt, load, save
from simulators.faultworld.shrink import shrink
from simulators.faultworld.world import run
from tests.faultworld.mutants import MUTANTS

QUICK = 12
DIGEST = """
import hashlib, sys
from simulators.faultworld.generate import generate
from simulators.faultworld.world import run
outcome = run(generate(int(sys.argv[1])), traced=True)
print(hashlib.sha256("\\n".join(outcome.trace).encode()).hexdigest(), outcome.steps)
"""
SMALL = Schedule(
    seed=1, stores=1, workers=1, end_s=20.0, latency_s=0.02, progress_timeout_s=5.0, telemetry_rows=4, window=16
)


def test_every_rule_holds_in_the_first_schedules() -> None:
    summary = run_many(range(QUICK))
    assert summary.broken == []
    assert summary.events > 100


def test_a_seed_gives_the_same_run_in_another_process_with_other_hashes() -> None:
    said = []
    for hash_seed in ("1", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", DIGEST, "8"], capture_output=True, text=True, timeout=60, env=environment
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert said[0] == said[1]


@pytest.mark.parametrize("seed", [3, 8, 14])
def test_tables_that_were_made_before_change_nothing_in_a_run(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = generate(seed)
    with_template = run(schedule, traced=True)
    monkeypatch.setattr(Schedule, "first_s", 0.0)
    without = run(schedule, traced=True)
    assert with_template.trace == without.trace
    assert with_template.happened == without.happened


def test_a_quiet_world_delivers_and_rests_at_once() -> None:
    deeds = tuple(Deed(at_s=float(n), store=0, what="ledger", count=2) for n in range(1, 6))
    outcome = run(msgspec.structs.replace(SMALL, deeds=deeds))
    assert outcome.violation is None
    assert outcome.events == 11  # ten and the first estimate of the clock
    assert outcome.rest_s <= 1.0


FAULTS = [  # one of each kind in a world with events around it: it happens, and every rule holds
    [Fault(at_s=5.0, kind="kill", seconds=1.0)],
    [Fault(at_s=0.0, kind="kill_at", n=25, seconds=1.0)],
    [Fault(at_s=5.0, kind="power", seconds=1.0, n=1)],
    [Fault(at_s=0.0, kind="power_at", n=30, seconds=1.0)],
    [Fault(at_s=5.0, kind="stop")],
    [Fault(at_s=5.0, kind="clock", seconds=-3600.0)],
    [Fault(at_s=2.0, kind="full", seconds=5.0)],
    [Fault(at_s=4.0, kind="image"), Fault(at_s=9.0, kind="restore", seconds=1.0)],
    [Fault(at_s=4.0, kind="image"), Fault(at_s=9.0, kind="clone"), Fault(at_s=12.0, kind="lease", who=1)],
    [Fault(at_s=5.0, kind="broker", seconds=3.0, n=1)],
    [Fault(at_s=5.0, kind="drop")],
    [Fault(at_s=5.0, kind="cut", seconds=12.0)],
    [Fault(at_s=5.0, kind="kick", seconds=5.0), Fault(at_s=5.1, kind="drop")],
    [Fault(at_s=5.0, kind="worker_kill", seconds=1.0)],
    [Fault(at_s=0.0, kind="worker_kill_at", n=9, seconds=1.0)],
    [Fault(at_s=2.0, kind="worker_full", seconds=5.0)],
    [Fault(at_s=4.0, kind="cloud_image"), Fault(at_s=12.0, kind="cloud_restore")],
]


@pytest.mark.parametrize("faults", FAULTS, ids=lambda faults: faults[-1].kind)
def test_a_kind_of_fault_happens_and_is_survived(faults: list[Fault]) -> None:
    deeds = [Deed(at_s=n * 0.7, store=0, what="ledger" if n % 2 else "telemetry", count=2) for n in range(1, 25)]
    outcome = run(msgspec.structs.replace(SMALL, deeds=tuple(deeds), faults=tuple(faults)))
    assert outcome.violation is None
    assert outcome.happened[faults[-1].kind] == 1
    assert outcome.events > 20


@pytest.mark.parametrize("n", range(1, 25))
def test_the_power_may_fail_while_the_operator_moves_a_lease(n: int) -> None:
    """Nobody else has touched the cloud's disk yet: the store's line is cut from the beginning."""
    faults = (
        Fault(at_s=0.0, kind="cut", seconds=15.0),
        Fault(at_s=1.0, kind="cloud_power_at", seconds=0.05, n=n),
        Fault(at_s=2.0, kind="lease", n=1),
    )
    outcome = run(msgspec.structs.replace(SMALL, faults=faults))
    assert outcome.violation is None
    assert outcome.happened["lease"] == 1


@pytest.mark.parametrize("kind", ["lose", "lie", "twice", "late", "puback"])
@pytest.mark.parametrize("link", ["up:s0", "down:s0", "up:w0", "down:w0"])
def test_every_message_of_a_link_may_go_wrong(kind: str, link: str) -> None:
    deeds = tuple(Deed(at_s=n * 0.7, store=0, what="ledger") for n in range(1, 10))
    slips = tuple(SlipAt(link=link, n=n, kind=kind, extra_s=1.0) for n in range(3, 12, 2))
    outcome = run(msgspec.structs.replace(SMALL, deeds=deeds, slips=slips))
    assert outcome.violation is None
    assert outcome.happened[f"message {kind}"] > 0


def test_a_failure_becomes_small_and_its_file_replays_it(tmp_path: Path) -> None:
    puback_frees = next(mutant for mutant in MUTANTS if mutant.name == "PUBACK frees")
    said: list[str] = []
    with puback_frees.plant():
        schedule = next(s for s in map(generate, range(50)) if run(s).violation is not None and s.size > 10)
        assert report.smaller(schedule, within_s=10.0, folder=tmp_path, say=said.append) == 1
        path = tmp_path / f"faultworld-{schedule.seed}.json"
        least = load(path)
        assert least.size < schedule.size / 2
        assert main(["--replay", str(path)]) == 1
    assert any(f"--replay {path} --trace" in line for line in said)
    assert main(["--replay", str(path)]) == 0  # without the bug the schedule is survived


def test_shrinking_keeps_what_is_needed() -> None:
    schedule = generate(3)
    needed = schedule.deeds[len(schedule.deeds) // 2]

    def breaks(part: Schedule) -> str | None:
        return "rule" if needed in part.deeds or any(d.at_s == needed.at_s for d in part.deeds) else None

    least = shrink(schedule, "rule", breaks=breaks)
    assert [deed.at_s for deed in least.deeds] == [needed.at_s]
    assert not least.faults
    assert not least.slips


def test_a_schedule_is_read_as_it_was_written(tmp_path: Path) -> None:
    schedule = generate(11)
    save(schedule, tmp_path / "one.json")
    assert load(tmp_path / "one.json") == schedule


def test_a_file_that_is_no_schedule_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.json"
    path.write_text("{}")
    assert main(["--replay", str(path)]) == 2
    assert "none.json" in capsys.readouterr().out


def test_the_command_says_how_to_replay_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    watermark_first = next(mutant for mutant in MUTANTS if mutant.name == "watermark runs ahead of the events")
    with watermark_first.plant():
        assert main(["--seed", "0", "--trace"]) == 1
        assert main(["--count", "2", "--shrink-s", "0"]) == 1
    said = capsys.readouterr().out
    assert "replay  python -m simulators.faultworld --seed 0 --trace" in said
    assert "BROKEN" in said
    assert main(["--seed", "0"]) == 0
    assert main(["--count", "1", "--minutes", "1"]) == 0
    assert "kept every rule" in capsys.readouterr().out
