"""A fleet of stores on one broker: what comes through, how soon it is acknowledged, what a store costs in memory, and
how they come back when the broker was restarted.

Mosquitto, two bridge workers on PostgreSQL (one bridge on SQLite where PostgreSQL is not installed or not wanted), and
stores that speak the real contract, thousands in one process, each over a socket of its own. Every store sells once in
the time that is asked for; then all of them at once; then the broker is stopped and started again.
"""

from __future__ import annotations

import contextlib
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.fleet_store import EVENTS_A_SALE, SPREAD_S
from benchmarks.stand import (
    LOOPBACK,
    BenchmarkError,
    answers,
    bridge,
    cpu_s,
    descendants,
    free_port,
    listens,
    memory_mib,
    mosquitto_command,
    postgres,
    run,
    running,
    wait_for,
)
from benchmarks.stand import options as base_options
from benchmarks.table import Figure, show
from simulators.lifeline import ends_with_us

SPARE_FILES = 1000
AWAY_S = 2.0
STABLE_S = 5.0  # how long a line must have been up for its stores to spread (60 s in the product: nobody waits here)
ORDER_WITHIN_S = 600.0


@dataclass(slots=True)
class Seen:
    """One size of fleet: what the stores' process said of each part, and the memory of all processes in MiB."""

    stores: int
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    memory: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)  # processor seconds while each store sold once


class Stores:
    """The process of the stores: one order at a time."""

    def __init__(self, port: int, count: int, how: Sizes) -> None:
        numbers = (port, count, how.stable_s, how.spread_s)
        command = [sys.executable, "-m", "benchmarks.fleet_store", LOOPBACK, *map(str, numbers)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=ends_with_us(),  # noqa: PLW1509 - one call of libc
        )
        self.pid = self._process.pid
        self.empty_mib = float(self._heard()["rss_mib"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, word: str, number: float) -> None:
        """Give an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word} {number}\n")
        self._process.stdin.flush()

    def told(self, word: str) -> dict[str, Any]:
        """What came of it. Raises BenchmarkError if the cloud did not get everything."""
        said = self._heard()
        if said["settled_s"] < 0:
            raise BenchmarkError(f"{word}: the stores did not settle: {said}")
        return said

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError("the process of the stores ended")
        found: dict[str, Any] = json.loads(line)
        return found


def raise_limit(files: int) -> int:
    """Let this process and its children open so many files; how many they may. Raises BenchmarkError."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # above the hard limit only root may go
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(files, hard)))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files:
        raise BenchmarkError(f"{files} open files are needed, {soft} are allowed: raise ulimit -n")
    return soft


@contextlib.contextmanager
def cloud(folder: Path, url: str, kind: str) -> Iterator[dict[str, int]]:
    """Two ingest workers on PostgreSQL, or one bridge on SQLite: process ids by name."""
    with contextlib.ExitStack() as stack:
        if kind == "sqlite":
            _, pid = stack.enter_context(bridge(folder, url))
            yield {"bridge": pid}
            return
        database, server = stack.enter_context(postgres())
        found = {"postgres": server}
        for name in ("worker 1", "worker 2"):
            port, log = free_port(), folder / f"{name}.log"
            command = [sys.executable, "-m", "zhanggui", "cloud", "run", "--role", "ingest", "--database", database]
            process = stack.enter_context(running([*command, "--port", str(port), "--mqtt", url], log=log))
            health = f"http://{LOOPBACK}:{port}/healthz"
            wait_for(name, lambda health=health: answers(health), process=process, log=log, within_s=60)  # type: ignore[misc]  # bound now
            found[name] = process.pid
        yield found


def measure(folder: Path, count: int, kind: str, asked: Sizes) -> Seen:
    """One size of fleet, from the first connect to the last store that is back."""
    seen, port = Seen(count), free_port()
    command, log = mosquitto_command(folder, port), folder / "mosquitto.log"
    with contextlib.ExitStack() as stack:
        brokers = stack.enter_context(contextlib.ExitStack())
        broker = brokers.enter_context(running(command, log=log))
        wait_for("mosquitto", lambda: listens(port), process=broker, log=log, within_s=30)
        url = f"mqtt://{LOOPBACK}:{port}"
        pids = stack.enter_context(cloud(folder, url, kind))
        stores = stack.enter_context(Stores(port, count, asked))
        empty = {"stores": stores.empty_mib, **_memory({"broker": broker.pid, **pids})}

        def part(word: str, number: float) -> dict[str, Any]:
            stores.ask(word, number)
            return stores.told(word)

        seen.said["connect"] = part("connect", asked.connects_a_s)
        full = _memory({"stores": stores.pid, "broker": broker.pid, **pids})
        seen.memory = {name: [empty[name], full[name]] for name in full}
        watched = {"stores": stores.pid, "broker": broker.pid, **pids}
        before = _cpu(watched)
        seen.said["sell"] = part("sell", asked.sell_s)
        seen.cpu = {name: took - before[name] for name, took in _cpu(watched).items()}
        seen.said["at once"] = part("sell", 0)
        time.sleep(asked.stable_s + 1)
        brokers.close()
        stores.ask("watch", asked.spread_s + AWAY_S + 3)
        time.sleep(AWAY_S)
        broker = stack.enter_context(running(command, log=log))
        seen.said["storm"] = stores.told("storm")
    return seen


def _memory(pids: dict[str, int]) -> dict[str, float]:
    """MiB by name; of PostgreSQL's many processes the sum of what each holds alone, where the kernel tells."""
    found = {}
    for name, pid in pids.items():
        readings = [memory_mib(one) for one in (pid, *descendants(pid))]
        found[name] = sum(reading.get("pss", reading["rss"]) for reading in readings)
    return found


def _cpu(pids: dict[str, int]) -> dict[str, float]:
    return {name: sum(cpu_s(one) for one in (pid, *descendants(pid))) for name, pid in pids.items()}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How fast and how long."""

    connects_a_s: float
    sell_s: float
    spread_s: float = SPREAD_S
    stable_s: float = STABLE_S


def most_connects_a_s(count: int, spread_s: float) -> float:
    """The connect rate that a restarted broker may be asked for: each store waits anywhere in `spread_s`, so a second
    gets `count / spread_s` of them, by chance four deviations more, and no more (27 for 500 stores, 313 for 10,000)."""
    mean = count / spread_s
    return mean + 4 * math.sqrt(mean)


def figures(seen: Seen, spread_s: float = SPREAD_S) -> list[Figure]:
    """What one size of fleet came to; rates and latencies against what was offered or promised."""
    count, said = seen.stores, seen.said
    offered = EVENTS_A_SALE * count / max(said["sell"]["acked_s"], 1e-9)
    limit = count / spread_s
    name = f"{count:,} stores"
    rows = [
        Figure(f"{name}: connected and answered", count / said["connect"]["took_s"], "stores/s"),
        Figure("   a sale each, spread: acknowledged", offered, "events/s"),
    ]
    for part, words in (("sell", "spread"), ("at once", "all at once")):
        p50, p99, worst = said[part]["latency_ms"]
        rows += [
            Figure(f"   {words}: append to ack, p50", p50, "ms"),
            Figure(f"   {words}: append to ack, p99", p99, "ms", p99 / p50, "its p50"),
            Figure(f"   {words}: the slowest", worst, "ms"),
        ]
    at_once = EVENTS_A_SALE * count / max(said["at once"]["acked_s"], 1e-9)
    rows.append(Figure("   all at once: acknowledged", at_once, "events/s", at_once / offered, "the rate when spread"))
    rows += [
        Figure(f"   memory a store, {who}", 1024 * (full - empty) / count, "KiB")
        for who, (empty, full) in seen.memory.items()
    ]
    events = EVENTS_A_SALE * count
    rows += [Figure(f"   processor an event, {who}", 1e6 * took / events, "µs") for who, took in seen.cpu.items()]
    storm = said["storm"]
    peak, spread = storm["connects_peak_s"], storm["connects_spread_s"]
    most = most_connects_a_s(count, spread_s)
    stormed = Figure("   broker restarted: connects, peak second", peak, "connects/s", peak / limit, "an even spread")
    return [
        *rows,
        stormed.aims_at(f"≤ {most:.0f} connects/s", met=peak <= most),
        Figure("   broker restarted: first to last store", spread, "s", spread / spread_s, f"{spread_s:.0f} s"),
        Figure("   broker restarted: until all were answered", storm["took_s"], "s"),
    ]  # fmt: skip


def main() -> int:
    """Measure and print; 1 if anything was not acknowledged."""
    parser = base_options("fleet", __doc__, "--stores 1000 10000 --sell-s 60")
    parser.add_argument("--stores", type=int, nargs="+", default=[1000, 10_000], help="sizes of the fleet")
    parser.add_argument(
        "--database", choices=("postgres", "sqlite"), default="postgres", help="what the bridge writes to"
    )
    parser.add_argument("--connects-a-s", type=float, default=250.0, help="how fast the stores come at first")
    parser.add_argument("--sell-s", type=float, default=60.0, help="seconds in which each store sells once")
    asked = parser.parse_args()
    sizes = [20] if asked.quick else asked.stores
    how = Sizes(20, 1, spread_s=2, stable_s=0.5) if asked.quick else Sizes(asked.connects_a_s, asked.sell_s)
    rows: list[Figure] = []
    try:
        raise_limit(max(sizes) + SPARE_FILES)
        for count in sizes:
            with tempfile.TemporaryDirectory(prefix="zhanggui-fleet-") as folder:
                rows += figures(measure(Path(folder), count, asked.database, how), how.spread_s)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    show(
        f"fleet: {asked.database}, a sale of {EVENTS_A_SALE} events a store in {how.sell_s:.0f} s",
        rows,
        as_json=asked.json,
    )
    return 0


if __name__ == "__main__":
    run(main)
