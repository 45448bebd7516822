"""What the demo costs while it runs: memory and processor of each of its processes, and the events it makes.

The headless demo plays at five times real time, shoppers, staff and camera included; nobody looks at its pages. Every
second each process is read from /proc: resident memory (RSS) counts what is shared with others whole, proportional
memory (PSS) counts its part.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.stand import BenchmarkError, cpu_s, descendants, memory_mib, options, run, running, wait_for
from benchmarks.table import Figure, show
from contracts.event_types import LANES
from edge.ledger.lane_rows import load_lanes
from edge.ledger.schema import connect_readonly
from zhanggui.demo.store import DemoStore, places

ROOT = Path(__file__).parents[1]
ROLES = {
    "agent": "zhanggui edge run",
    "camera": "edge.vision.worker",
    "bridge and operators' pages": "zhanggui cloud run",
    "store's pages": "zhanggui edge pages",
    "broker": "zhanggui.broker",
    "simulated hardware": "zhanggui sim run",
}
START_WITHIN_S = 60.0
EVERY_S = 1.0


class Reading(NamedTuple):
    """One process at one moment."""

    at_s: float
    cpu_s: float
    rss: float
    pss: float | None


@dataclass(slots=True)
class Seen:
    """The readings of one role; a process that was replaced starts a new run."""

    pid: int = 0
    readings: list[Reading] = field(default_factory=list)
    cpu_s: float = 0.0  # spent between readings, all runs


def processes(demo_pid: int, camera: bool) -> dict[str, int]:
    """Process ids by role, as far as they run now."""
    below = descendants(demo_pid)
    wanted = {role: words for role, words in ROLES.items() if camera or role != "camera"}
    found = {role: [pid for pid, line in below.items() if words in line] for role, words in wanted.items()}
    return {role: pids[0] for role, pids in found.items() if pids}


def look(seen: dict[str, Seen], pids: Mapping[str, int]) -> None:
    """One reading of every process."""
    for role, pid in pids.items():
        entry = seen.setdefault(role, Seen())
        with suppress(OSError):  # it ended this very moment
            memory = memory_mib(pid)
            now = Reading(time.monotonic(), cpu_s(pid), memory["rss"], memory.get("pss"))
            if entry.pid == pid:
                entry.cpu_s += now.cpu_s - entry.readings[-1].cpu_s
            entry.pid = pid
            entry.readings.append(now)


def written(store: DemoStore) -> int:
    """Events of both lanes that the store has written so far."""
    with closing(connect_readonly(store.ledger)) as connection:
        lanes = load_lanes(connection)
        return sum(lanes[name].tail.seq for name in LANES)


def watch(folder: Path, asked: argparse.Namespace) -> tuple[dict[str, Seen], float, float]:
    """Run the demo for so long; what was seen, the seconds it took, and the events written in them."""
    log, store = folder / "demo.log", places(folder / "demo")
    command = [sys.executable, "-m", "zhanggui", "demo", "--headless", "--minutes", "1440", "--seed", "7"]
    command += ["--speed", str(asked.speed), "--data", str(store.folder), *([] if asked.camera else ["--no-camera"])]
    expected = len(ROLES) - (not asked.camera)
    seen: dict[str, Seen] = {}
    with running(command, log=log, folder=ROOT) as process:

        def ready() -> bool:
            return len(processes(process.pid, asked.camera)) == expected and store.desk_socket.exists()

        wait_for("the demo", ready, process=process, log=log, within_s=START_WITHIN_S)
        time.sleep(asked.settle)
        began_s, before = time.monotonic(), written(store)
        while time.monotonic() < began_s + asked.seconds:
            look(seen, processes(process.pid, asked.camera))
            time.sleep(EVERY_S)
            if process.poll() is not None:
                raise BenchmarkError(f"the demo ended:\n{log.read_text(errors='replace')[-2000:]}")
        look(seen, processes(process.pid, asked.camera))
        return seen, time.monotonic() - began_s, written(store) - before


def figures(seen: Mapping[str, Seen], took_s: float, events: float) -> list[Figure]:
    """A row for each kind of memory, one for the processor's share (of one core), and the events."""
    rows: list[Figure] = []
    total = {"RSS": 0.0, "PSS": 0.0, "processor": 0.0}
    for role, entry in seen.items():
        kinds = {"RSS": [r.rss for r in entry.readings], "PSS": [r.pss for r in entry.readings if r.pss is not None]}
        for kind, values in kinds.items():
            if values:
                middle = statistics.median(values)
                total[kind] += middle
                against = f"its largest, {max(values):.1f} MiB"
                rows.append(Figure(f"{role}: {kind}, median", middle, "MiB", middle / max(values), against))
        span_s = entry.readings[-1].at_s - entry.readings[0].at_s
        share = 100 * entry.cpu_s / span_s if span_s > 0 else 0.0
        total["processor"] += share
        rows.append(Figure(f"{role}: processor", share, "% of a core"))
    rows += [
        Figure(f"all: {kind}", v, "% of a core" if kind == "processor" else "MiB") for kind, v in total.items() if v
    ]
    return [*rows, Figure("events written", events / took_s, "events/s")]


def main() -> int:
    """Measure and print; 1 if the demo did not run."""
    parser = options("footprint", __doc__, "--seconds 60")
    parser.add_argument("--seconds", type=float, default=60.0, help="real seconds to watch")
    parser.add_argument("--settle", type=float, default=5.0, help="real seconds to wait after the start")
    parser.add_argument("--speed", type=float, default=5.0, help="store seconds a real second")
    parser.add_argument("--no-camera", dest="camera", action="store_false", help="without the camera's process")
    asked = parser.parse_args()
    if asked.quick:
        asked.seconds, asked.settle, asked.camera = 2.0, 0.0, False
    with tempfile.TemporaryDirectory(prefix="zhanggui-footprint-") as name:
        try:
            seen, took_s, events = watch(Path(name), asked)
        except BenchmarkError as error:
            print(error, file=sys.stderr)
            return 1
    title = f"footprint: {took_s:.0f} s of the demo at speed {asked.speed:g}"
    show(title, figures(seen, took_s, events), as_json=asked.json)
    return 0


if __name__ == "__main__":
    run(main)
