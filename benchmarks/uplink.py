"""How fast a store's backlog drains into the cloud, what it costs, and how soon the cloud holds a single event.

A real ledger is filled with the events of snack sales; a real uplink, in its own process, sends them through Mosquitto
(or the embedded broker) to a real bridge on SQLite or PostgreSQL, until the cloud has confirmed the last one. In the
same run: one message an event with paho at QoS 1 over the same broker into a table, plain sqlite3 writing the same
bytes, and the same batches sent to somebody who throws them away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.stand import BenchmarkError, bridge, broker, mosquitto, options, postgres, run
from benchmarks.table import Figure, percentile, show
from benchmarks.uplink_limits import GROUP_ROWS, batches_of, insert, peer, raw_events, send_raw
from simulators.lifeline import ends_with_us

PEER_EVENTS, LIMIT_EVENTS = 20_000, 100_000
EVENT_BYTES = 560  # in the ledger, with its hash and what SQLite adds
LEAST_WITHIN_S, SLOWEST_EVENTS_A_S, GRACE_S = 600.0, 1000.0, 60.0
DATABASES = ("sqlite", "postgres")
DRAIN_TARGETS = {"sqlite": 100_000, "postgres": 50_000}  # events a second, on two cores
PEER_TARGET, IDLE_P99_TARGET_MS = 10, 100
RSS_TARGET, RSS_TARGET_MIB = "< 150 MB", 150e6 / 2**20


@dataclass(slots=True)
class Seen:
    """What one run measured: answers of the store's process by task and database, and the limits in events a second."""

    drains: dict[str, dict[str, Any]] = field(default_factory=dict)
    fill: dict[str, Any] = field(default_factory=dict)
    latency: dict[str, list[float]] = field(default_factory=dict)
    big: dict[str, Any] = field(default_factory=dict)
    peer: float = 0.0
    sqlite: float = 0.0
    raw: float = 0.0


def store(task: str, ledger: Path, *more: str, within_s: float = LEAST_WITHIN_S) -> dict[str, Any]:
    """One task of the store's process; what it said. Raises BenchmarkError with its last words."""
    command = [sys.executable, "-m", "benchmarks.uplink_store", task, str(ledger), *more]
    if task == "drain":
        command.append(f"--within-s={within_s}")
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=within_s + GRACE_S,
            check=False,
            preexec_fn=ends_with_us(),
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"the store's process was not done with {task} within {error.timeout:.0f} s") from error
    if done.returncode:
        raise BenchmarkError(f"the store's process failed at {task}:\n{done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if told.get("all") is False:
        raise BenchmarkError(f"the cloud confirmed {told['events']} events and no more: {told['counters']}")
    return told


def patience_s(events: int) -> float:
    """How long a fill or a drain of so many may take before it counts as stuck."""
    return LEAST_WITHIN_S + events / SLOWEST_EVENTS_A_S


def copied(ledger: Path, name: str) -> Path:
    """The same backlog again, in a file of its own."""
    target = ledger.with_name(name)
    for ending in ("", "-wal"):
        if (part := Path(f"{ledger}{ending}")).exists():
            shutil.copyfile(part, f"{target}{ending}")
    return target


@contextlib.contextmanager
def cloud(folder: Path, url: str, kind: str, within: Path | None = None) -> Iterator[tuple[str, list[str]]]:
    """A new bridge over `kind`: its database, and the arguments that have the processes watched."""
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        database, pids = None, {}
        if kind == "postgres":
            database, pids["postgres"] = stack.enter_context(postgres(within))
        held, pids["bridge"] = stack.enter_context(bridge(folder, url, database=database))
        yield str(held), [f"--watch={name}={pid}" for name, pid in pids.items()]


def measure(folder: Path, url: str, broker_pid: int, sizes: Sizes) -> Seen:
    """Everything that was asked for, one after the other."""
    seen = Seen()
    raws = list(raw_events(max(sizes.limit_events, sizes.peer_events)))
    seen.sqlite = insert(folder / "plain.db", raws[: sizes.limit_events], GROUP_ROWS)
    seen.raw = asyncio.run(send_raw(url, batches_of(raws[: sizes.limit_events])))
    seen.peer = peer(url, raws[: sizes.peer_events], folder)
    del raws
    ledger = folder / "ledger.db"
    within_s = patience_s(sizes.events)
    seen.fill = store("fill", ledger, "--events", str(sizes.events), within_s=within_s)
    address, watched = ("--url", url), f"--watch=broker={broker_pid}"
    for kind in sizes.databases:
        mine = copied(ledger, f"{kind}.db") if kind != sizes.databases[-1] else ledger
        with cloud(folder / kind, url, kind, sizes.within) as (database, watch):
            seen.drains[kind] = store("drain", mine, *address, watched, *watch, within_s=within_s)
            if kind == "sqlite" and sizes.samples:
                more = ("--events", str(sizes.samples), "--database", database)
                seen.latency = store("latency", mine, *address, *more)
        shutil.rmtree(folder / kind)
    if sizes.backlog_gb:
        seen.big = large_backlog(folder, url, sizes)
    return seen


def large_backlog(folder: Path, url: str, sizes: Sizes) -> dict[str, Any]:
    """Fill a ledger to `backlog_gb`, drain half of it, append again, drain the rest."""
    ledger, events = folder / "large.db", int(sizes.backlog_gb * 1e9 / EVENT_BYTES)
    within_s = patience_s(events)
    fill = store("fill", ledger, "--events", str(events), within_s=within_s)
    with cloud(folder / "large", url, "sqlite") as (_, _watch):
        half = store("drain", ledger, "--url", url, "--events", str(events // 2), within_s=within_s)
        again = store("fill", ledger, "--events", "1000", "--seed", "8")
        rest = store("drain", ledger, "--url", url, within_s=within_s)
    return {"fill": fill, "half": half, "again": again, "rest": rest, "bytes_after": ledger.stat().st_size}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    events: int
    samples: int
    databases: Sequence[str]
    backlog_gb: float = 0.0
    within: Path | None = None
    peer_events: int = PEER_EVENTS
    limit_events: int = LIMIT_EVENTS


def figures(seen: Seen) -> list[Figure]:
    """All that was measured, ratios from this one run."""
    against = ((seen.peer, "paho, QoS 1, a message an event"), (seen.sqlite, f"sqlite3, {GROUP_ROWS} rows a commit"))
    rows: list[Figure] = []
    for kind, told in seen.drains.items():
        rate = told["events"] / told["took_s"]
        target, times = DRAIN_TARGETS[kind], rate / seen.peer
        drained = Figure(f"drained into {kind} and confirmed", rate, "events/s", times, against[0][1])
        rows.append(drained.aims_at(f"ratio ≥ {PEER_TARGET}", met=times >= PEER_TARGET))
        same = Figure("the same", rate, "events/s", rate / seen.sqlite, against[1][1])
        rows.append(same.aims_at(f"≥ {target:,} events/s", met=rate >= target))
        rows.append(Figure("the same", rate, "events/s", rate / seen.raw, "the batches over MQTT, thrown away"))
        rows.extend(Figure(f"  processor, {name}", us, "µs/event") for name, us in told["cpu_us"].items())
        largest = told["rss_mib"]["largest"]
        row = Figure("  store: memory (RSS), largest", largest, "MiB")
        rows.append(row.aims_at(RSS_TARGET, met=largest < RSS_TARGET_MIB))
    for name, said in (("the cloud's commit", "committed_ms"), ("the store knows", "freed_ms")):
        if values := seen.latency.get(said):
            rows.append(Figure(f"idle: commit → {name}, p50 of {len(values)}", percentile(values, 0.5), "ms"))
            p99 = percentile(values, 0.99)
            row = Figure(f"idle: commit → {name}, p99", p99, "ms")
            wanted = said == "committed_ms"  # the other way round is the broker's and the bridge's as well
            rows.append(row.aims_at(f"< {IDLE_P99_TARGET_MS} ms", met=p99 < IDLE_P99_TARGET_MS) if wanted else row)
    if seen.big:
        rows.extend(_large(seen.big))
    fill = seen.fill
    rows.append(Figure("filled: events of many at once", fill["events"] / fill["took_s"], "events/s"))
    rows.extend(Figure(f"limit: {name}", rate, "events/s") for rate, name in against)
    rows.append(Figure("limit: the batches over MQTT, thrown away", seen.raw, "events/s"))
    return rows


def _large(big: dict[str, Any]) -> Iterator[Figure]:
    yield Figure("large backlog: size", big["fill"]["bytes"] / 1e9, "GB")
    for name, words in (("fill", "while it fills"), ("half", "draining the first half"), ("rest", "draining the rest")):
        rss = big[name]["rss_mib"]
        yield Figure(
            f"  memory (RSS), largest {words}", rss["largest"], "MiB", rss["largest"] / rss["first"], "its first"
        ).aims_at(RSS_TARGET, met=rss["largest"] < RSS_TARGET_MIB)
    for name in ("half", "rest"):
        yield Figure(f"  drained ({name})", big[name]["events"] / big[name]["took_s"], "events/s")
    yield Figure("  the ledger's file afterwards", big["bytes_after"] / 1e6, "MB")


def main() -> int:
    """Measure and print; 1 if the events did not arrive."""
    parser = options("uplink", __doc__, "--events 1000000 --databases sqlite postgres --samples 300")
    parser.add_argument("--events", type=int, default=100_000, help="the backlog (default 100000)")
    parser.add_argument("--samples", type=int, default=200, help="single events whose way is timed (default 200)")
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=["sqlite"], help="of the cloud")
    parser.add_argument("--backlog-gb", type=float, default=0.0, help="also fill a ledger this large and drain it")
    parser.add_argument("--broker", choices=("mosquitto", "embedded"), help="default: Mosquitto where it is installed")
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary folder)")
    asked = parser.parse_args()
    sizes = Sizes(asked.events, asked.samples, asked.databases, asked.backlog_gb, asked.folder)
    if asked.quick:
        sizes = Sizes(1500, 5, asked.databases, 0.0005 if asked.backlog_gb else 0.0, asked.folder, 300, 1500)
    with (
        tempfile.TemporaryDirectory(prefix="zhanggui-uplink-", dir=asked.folder) as name,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        try:
            kind = asked.broker or ("mosquitto" if shutil.which("mosquitto", path="/usr/sbin:/usr/bin") else "embedded")
            url, pid = stack.enter_context((mosquitto if kind == "mosquitto" else broker)(folder))
            seen = measure(folder, url, pid, sizes)
        except BenchmarkError as error:
            print(error, file=sys.stderr)
            return 1
    show(f"uplink: a backlog of {sizes.events} events over {kind}", figures(seen), as_json=asked.json)
    return 0


if __name__ == "__main__":
    run(main)
