"""After the story: is everything in the cloud, does it equal the truth, and by how much do the counts differ?"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from cloud_bridge.storage import read_events, read_gaps
from contracts.envelope import BadEventError, Envelope, decode_data, decode_envelope
from contracts.event_types import LANES, EventData, PeopleCrossing
from edge.ledger import LedgerOpenError, verify
from simulators.truth import StreamFacts, compare, read_truth
from zhanggui.demo.store import STORE, TENANT, DemoStore

MAX_SHOWN = 12


def at_rest(demo: DemoStore) -> bool:
    """The cloud has confirmed all that the store has written. Momentary: health goes on being written."""
    try:
        report = verify(demo.ledger)
    except LedgerOpenError:
        return False
    return all(lane.freed_seq == lane.tail_seq for lane in report.lanes)


def cloud_events(demo: DemoStore) -> tuple[list[tuple[Envelope, EventData | None]], list[str]]:
    """Every event that the cloud holds of the demo store, decoded; and one sentence for each dead letter."""
    events: list[tuple[Envelope, EventData | None]] = []
    dead: list[str] = []
    for lane in LANES:
        for stored in read_events(demo.cloud_db, TENANT, STORE, lane):
            reason = stored.dead
            if reason is None:
                try:
                    envelope = decode_envelope(stored.raw)
                    events.append((envelope, decode_data(envelope)))
                except BadEventError as error:
                    reason = str(error)
            if reason is not None:
                dead.append(f"{lane} {stored.seq} is a dead letter: {reason}")
    return events, dead


def judge(
    demo: DemoStore,
    *,
    kills: Sequence[tuple[str, float]],
    drained_s: float,
    speed: float,
    began_s: float = 0.0,
) -> dict[str, Any]:
    """The report: equality with findings, counters, the crossings of the camera, how long the drain took.

    `kills` and `began_s` (the beginning of the story) in store seconds; the report counts from the beginning.
    """
    events, dead = cloud_events(demo)
    local = verify(demo.ledger)
    facts = [
        StreamFacts(
            stream=lane.stream,
            last_seq=lane.tail_seq,
            gaps=tuple((g.first, g.last) for g in read_gaps(demo.cloud_db, TENANT, STORE, lane.lane)),
        )
        for lane in local.lanes
    ]
    comparison = compare(
        read_truth(demo.truth_log),
        events,
        kills=[at_s for who, at_s in kills if who == "agent"],
        streams=facts,
        bounce_s=max(1.0, 0.5 * speed),
        late_s=max(3.0, 2.0 * speed),
    )
    findings = [*dead, *comparison.findings, *(f"the store's own ledger: {p}" for p in local.problems)]
    return {
        "equal": not findings,
        "findings": findings,
        "excused": list(comparison.excused),
        "open_reviews": list(comparison.open_reviews),
        "false_reviews": list(comparison.false_reviews),
        "counters": comparison.counters | {"events": len(events)},
        "crossings": _crossings(demo.folder / "camera.jsonl", events),
        "kills": [{"process": who, "at_s": round(at_s - began_s, 1)} for who, at_s in kills],
        "drained_s": round(drained_s, 1),
    }


def _crossings(truth: Path, events: Sequence[tuple[Envelope, EventData | None]]) -> dict[str, Any]:
    """Crossings counted against those that happened, in and out apart. Errors are reported, not judged."""
    counted = [data.direction for _, data in events if isinstance(data, PeopleCrossing)]
    happened = (
        [msgspec.json.decode(line)["direction"] for line in truth.read_bytes().splitlines()] if truth.exists() else []
    )
    result: dict[str, Any] = {}
    for direction in ("in", "out"):
        true, seen = happened.count(direction), counted.count(direction)
        error = abs(seen - true) / true if true else None
        result[direction] = {"truth": true, "counted": seen, "error": None if error is None else round(error, 3)}
    return result


def show(result: dict[str, Any], console: Console) -> None:
    """The report for people."""
    table = Table("", "count", title="cloud against truth")
    for name, value in result["counters"].items():
        table.add_row(name.replace("_", " "), str(value))
    for direction, count in result["crossings"].items():
        if count["truth"] or count["counted"]:
            table.add_row(f"people {direction}: counted of truth", f"{count['counted']} of {count['truth']}")
    console.print(table)
    for kill in result["kills"]:
        console.print(f"killed: {kill['process']} {kill['at_s']} store seconds into the story", markup=False)
    asked, achieved = result["speed"]["asked"], result["speed"]["achieved"]
    lowered = f", lowered to {result['speed']['lowered']}" if result["speed"]["lowered"] else ""
    console.print(f"speed: {asked:g} asked, {achieved:g} achieved{lowered}; drained in {result['drained_s']} s")
    for finding in result["findings"][:MAX_SHOWN]:
        console.print(f"differs: {finding}", style="red", markup=False)
    if len(result["findings"]) > MAX_SHOWN:
        console.print(f"… and {len(result['findings']) - MAX_SHOWN} more, see --report")
    console.print("equal" if result["equal"] else "NOT equal", style="green" if result["equal"] else "bold red")


def kill_camera_worker(agent_pid: int) -> bool:
    """SIGKILL a camera worker of the agent; False when there is none now."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            words = (entry / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == agent_pid and b"edge.vision.worker" in words:
            os.kill(int(entry.name), signal.SIGKILL)
            return True
    return False
