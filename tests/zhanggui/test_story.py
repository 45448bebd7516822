"""Whole stories as a person starts them: equal to the truth, with blows too; and a judge that sees a changed truth."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cloud_bridge.storage import read_events
from simulators.truth import TruthRecord, read_truth
from zhanggui.demo import verdict
from zhanggui.demo.store import STORE, TENANT, DemoStore, places

SPEED = 5.0
PLAIN_SEED, CHAOS_SEED = 126, 254  # in both, four visits and more begin after the agent is up
BOUND_S = 240  # only ends a test that hangs; a busy machine tells the story slower


@dataclass(frozen=True)
class Told:
    """How a story ended."""

    demo: DemoStore
    code: int
    output: str
    report: dict[str, Any]


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Told]]:
    """A calm story and one with blows, side by side: both mostly wait."""
    folder = tmp_path_factory.mktemp("stories")
    running: dict[str, subprocess.Popen[str]] = {}
    for name, seed, more in (("calm", PLAIN_SEED, []), ("chaos", CHAOS_SEED, ["--chaos"])):
        words = ["demo", "--headless", "--minutes", "2", "--speed", f"{SPEED:g}", "--no-camera", "--seed", str(seed)]
        words += ["--data", str(folder / name), "--report", str(folder / f"{name}.json"), *more]
        running[name] = subprocess.Popen(
            [sys.executable, "-m", "zhanggui", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    told: dict[str, Told] = {}
    try:
        for name, process in running.items():
            output, _ = process.communicate(timeout=BOUND_S)
            report = folder / f"{name}.json"
            found = json.loads(report.read_text()) if report.exists() else {}
            told[name] = Told(places(folder / name), process.returncode, output, found)
        yield told
    finally:
        for process in running.values():
            process.terminate()
            process.wait(30)


@pytest.mark.parametrize("name", ["calm", "chaos"])
def test_a_story_equals_the_truth_and_sells(stories: dict[str, Told], name: str) -> None:
    story = stories[name]
    assert story.code == 0, story.output
    assert (story.report["equal"], story.report["findings"]) == (True, []), story.output
    counters = story.report["counters"]
    assert counters["visits"] >= 4
    assert counters["units"] >= counters["sale_lines"] >= 1
    assert counters["events"] > 30
    assert (story.report["chaos"], story.report["minutes"]) == (name == "chaos", 2.0)
    assert story.report["speed"]["achieved"] <= SPEED * 1.01
    assert story.output.rstrip().endswith("equal")


def test_the_blows_were_dealt(stories: dict[str, Told]) -> None:
    assert [k["process"] for k in stories["chaos"].report["kills"]] == ["agent", "bridge", "agent"]
    assert stories["calm"].report["kills"] == []
    assert "killed: agent " in stories["chaos"].output


def test_no_process_is_left_behind(stories: dict[str, Told]) -> None:
    ours = [str(story.demo.folder) for story in stories.values()]
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            left += [words for folder in ours if folder in words]
    assert left == []


# ------------------------------------------------------------------ mutants of the truth and of the cloud


@pytest.fixture
def copy(stories: dict[str, Told], tmp_path: Path) -> DemoStore:
    """The calm story, to be spoiled."""
    shutil.copytree(
        stories["calm"].demo.folder,
        tmp_path / "copy",
        ignore=lambda _folder, names: [n for n in names if n in ("dev", "logs") or n.endswith(".sock")],
    )
    return places(tmp_path / "copy")


def judged(demo: DemoStore) -> dict[str, Any]:
    return verdict.judge(demo, kills=[], drained_s=0.0, speed=SPEED)


def spoil(demo: DemoStore, kind: str, **changes: Any) -> TruthRecord:
    """Change the last record of a kind, or drop it; what it was."""
    records = list(read_truth(demo.truth_log))
    place = max(i for i, record in enumerate(records) if record.kind == kind)
    was = records.pop(place)
    if changes:
        records.insert(place, msgspec.structs.replace(was, **changes))
    demo.truth_log.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    return was


def test_the_judge_agrees_with_the_report(stories: dict[str, Told], copy: DemoStore) -> None:
    result = judged(copy)
    assert result["equal"]
    assert result["counters"] == stories["calm"].report["counters"]


MUTANTS = [
    # a record, how it is changed (nothing: left out), how the finding names it
    pytest.param("taken", {}, "{shelf}", id="nobody took it"),
    pytest.param("taken", {"qty": 9, "grams": 900.0}, "{shelf}", id="more was taken"),
    pytest.param("taken", {"sku": "690099"}, "690099", id="something else was taken"),
    pytest.param("taken", {"visit": "visit-99"}, "visit-99", id="somebody else took it"),
    pytest.param("door_opened", {}, "{compartment}", id="the door never opened"),
    pytest.param("pulsed", {}, "no solenoid fired", id="the solenoid never fired"),
    pytest.param("scanned", {"visit": "", "member": "m0024"}, "serves nobody who was there", id="nobody was there"),
]


@pytest.mark.parametrize(("kind", "changes", "names"), MUTANTS)
def test_a_changed_truth_is_not_equal_and_is_named(
    copy: DemoStore, kind: str, changes: dict[str, Any], names: str
) -> None:
    if kind == "scanned":
        visits = [r for r in read_truth(copy.truth_log) if r.kind == "visit_started" and r.member]
        changes = {**changes, "visit": visits[-1].visit}
        spoil(copy, "visit_started")
        spoil(copy, "visit_ended")
        was = spoil(copy, kind, **changes)
    else:
        was = spoil(copy, kind, **changes)
    result = judged(copy)
    assert not result["equal"]
    wanted = names.format(shelf=was.shelf, compartment=was.compartment)
    assert any(wanted in finding for finding in result["findings"]), result["findings"]


def test_an_event_that_the_cloud_lost_is_named(copy: DemoStore) -> None:
    settled = [e for e in read_events(copy.cloud_db, TENANT, STORE, "ledger") if b"settlement.resolved" in e.raw][-1]
    with sqlite3.connect(copy.cloud_db) as cloud:
        cloud.execute(
            "DELETE FROM events WHERE seq = ? AND stream = (SELECT born FROM streams WHERE stream = ?)",
            (settled.seq, settled.stream),
        )
    cloud.close()
    result = judged(copy)
    assert not result["equal"]
    assert any(f"misses number {settled.seq}" in finding for finding in result["findings"])


def test_a_dead_letter_is_never_called_equal(copy: DemoStore) -> None:
    with sqlite3.connect(copy.cloud_db) as cloud:
        cloud.execute("UPDATE events SET dead = 'no JSON' WHERE seq = 3")
    cloud.close()
    result = judged(copy)
    assert not result["equal"]
    assert "ledger 3 is a dead letter: no JSON" in result["findings"]


def test_a_ledger_that_is_broken_at_home_is_a_finding(copy: DemoStore) -> None:
    with sqlite3.connect(copy.ledger) as ledger:
        ledger.execute("INSERT INTO state (kind, key, value) VALUES ('x', 'y', CAST('{' AS BLOB))")
    ledger.close()
    result = judged(copy)
    assert not result["equal"]
    assert result["findings"] == ["the store's own ledger: state x/y: no JSON"]


def test_a_store_is_at_rest_when_the_cloud_has_confirmed_everything(copy: DemoStore) -> None:
    assert verdict.at_rest(copy)
    with sqlite3.connect(copy.ledger) as ledger:
        ledger.execute("UPDATE lane SET freed_seq = freed_seq - 1 WHERE name = 'ledger'")
    ledger.close()
    assert not verdict.at_rest(copy)
    copy.ledger.unlink()
    assert not verdict.at_rest(copy)


def test_the_crossings_of_a_camera_are_reported_by_their_error(copy: DemoStore) -> None:
    camera = copy.folder / "camera.jsonl"
    camera.write_text('{"direction": "in"}\n{"direction": "in"}\n{"direction": "out"}\n')
    assert judged(copy)["crossings"] == {
        "in": {"truth": 2, "counted": 0, "error": 1.0},
        "out": {"truth": 1, "counted": 0, "error": 1.0},
    }
    assert judged(copy)["equal"]  # reported, not judged
