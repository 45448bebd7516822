"""How many events a second the store's ledger makes durable, for 1, 10, 100 and 1000 callers that wait at once.

The limit beside each figure is plain sqlite3 on the same disk in the same round: the same bytes, in the same commits
(as many rows in each), and nobody who waits for them. Other queues in Python that keep events in SQLite follow, each
with what its `put` really promises: found out by counting syncs, by SIGKILL and by a cut of the power, not by asking.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

from benchmarks.queues import OURS, QUEUES, Promise, tried
from benchmarks.sales import sale_events
from benchmarks.stand import BenchmarkError, options, run
from benchmarks.table import Figure, show
from contracts.clock import SystemClock
from contracts.event_types import EventData
from edge.ledger import Ledger
from edge.ledger.rows import Pending
from edge.ledger.store import Store
from edge.ledger.writer import MAX_GROUP
from edge.ports import Record, Transaction

CALLERS = (1, 10, 100, 1000)
TARGET = 0.8
LIMIT = "sqlite3, the same bytes in the same commits"
BEHIND = "the same behind a thread, for as many callers"


@dataclass(slots=True)
class Round:
    """One number of callers: events a second of the ledger and of plain sqlite3, a value a round, and rows a commit."""

    ours: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    behind: list[float] = field(default_factory=list)
    rows: list[float] = field(default_factory=list)


async def open_ledger(path: Path) -> Ledger:
    """A ledger as the agent opens it."""
    return await Ledger.open(
        path, clock=SystemClock(), tenant="bench", store="s001", boot="benchmark", machine="benchmark"
    )


async def appended(ledger: Ledger, events: Sequence[EventData], callers: int) -> float:
    """Events a second, each in a transaction of its own, by so many callers at once."""
    waiting = iter(events)

    async def caller() -> None:
        for event in waiting:
            await ledger.commit(Transaction(records=(Record(event, "S1"),)))

    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(caller(), name=f"caller-{number}")
    return len(events) / (time.perf_counter() - began_s)


def plain(path: Path, commits: Sequence[Sequence[tuple[bytes, bytes]]]) -> float:
    """Rows a second of sqlite3 alone, as durable as the ledger: WAL, every commit synced."""
    with closing(_plain_table(path)) as connection:
        began_s = time.perf_counter()
        for rows in commits:
            _plain_commit(connection, rows)
        return sum(map(len, commits)) / (time.perf_counter() - began_s)


async def behind_a_thread(path: Path, rows: Sequence[tuple[bytes, bytes]], callers: int) -> float:
    """Rows a second of sqlite3 in a thread of its own that joins those who wait into one commit: the least that makes
    an `await` of a durable row, without events, chains or state."""
    loop, jobs = (
        asyncio.get_running_loop(),
        queue.SimpleQueue[tuple[tuple[bytes, bytes], asyncio.Future[None]] | None](),
    )

    def serve() -> None:
        with closing(_plain_table(path)) as connection:
            while (job := jobs.get()) is not None:
                group = [job]
                while len(group) < MAX_GROUP and not jobs.empty():
                    if (more := jobs.get()) is not None:
                        group.append(more)
                _plain_commit(connection, [row for row, _ in group])
                loop.call_soon_threadsafe(told, [done for _, done in group])

    def told(waiting: Sequence[asyncio.Future[None]]) -> None:
        for done in waiting:
            done.set_result(None)

    async def caller() -> None:
        for row in left:
            done = loop.create_future()
            jobs.put((row, done))
            await done

    left, thread = iter(rows), threading.Thread(target=serve, name="plain")
    thread.start()
    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(callers):
            tasks.create_task(caller(), name=f"caller-{number}")
    took_s = time.perf_counter() - began_s
    jobs.put(None)
    thread.join()
    return len(rows) / took_s


def _plain_table(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT, raw BLOB, hash BLOB NOT NULL)")
    return connection


def _plain_commit(connection: sqlite3.Connection, rows: Sequence[tuple[bytes, bytes]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for row in rows:
        connection.execute("INSERT INTO event (raw, hash) VALUES (?, ?)", row)
    connection.execute("COMMIT")


async def measured(folder: Path, callers: int, events: Sequence[EventData], found: Round) -> None:
    """One round: a new ledger, then sqlite3 with the commits that the ledger made."""
    sizes: list[int] = []
    ledger = await open_ledger(folder / "ours.db")
    try:
        await ledger._writer.call(lambda store: _watch(store, sizes))  # noqa: SLF001  # what a benchmark may see
        found.ours.append(await appended(ledger, events, callers))
        rows = await ledger._writer.call(_rows)  # noqa: SLF001  # the same
    finally:
        await ledger.close()
    if sum(sizes) != len(events) or len(rows) < len(events):
        raise BenchmarkError(f"{sum(sizes)} of {len(events)} events were committed")
    left = iter(rows)
    commits = [list(islice(left, size)) for size in sizes]
    found.plain.append(await asyncio.to_thread(plain, folder / "plain.db", commits))
    found.behind.append(await behind_a_thread(folder / "behind.db", rows[: len(events)], callers))
    found.rows.append(len(events) / len(sizes))


def _watch(store: Store, sizes: list[int]) -> None:
    commit = store.commit

    def counted(group: Sequence[Pending]) -> list[Exception | None]:
        sizes.append(len(group))
        return commit(group)

    store.commit = counted  # type: ignore[method-assign]  # that is the watching


def _rows(store: Store) -> list[tuple[bytes, bytes]]:
    return store.connection.execute("SELECT raw, hash FROM ledger_event ORDER BY seq").fetchall()


def figures(rounds: dict[int, Round], promises: dict[str, Promise | None]) -> list[Figure]:
    """Medians of the rates, and medians of the ratios that each round gave."""
    shown = []
    for callers, one in rounds.items():
        ratio = statistics.median(a / b for a, b in zip(one.ours, one.plain, strict=True))
        what = f"durable appends, {callers} caller{'s' if callers > 1 else ''}"
        row = Figure(what, statistics.median(one.ours), "events/s", ratio, LIMIT)
        shown.append(row.aims_at(f"ratio ≥ {TARGET}", met=ratio >= TARGET))
        ratio = statistics.median(a / b for a, b in zip(one.ours, one.behind, strict=True))
        shown.append(Figure("   the same", statistics.median(one.ours), "events/s", ratio, BEHIND))
        shown.append(Figure("   rows a commit", statistics.median(one.rows), "rows"))
    for name, promise in promises.items():
        if promise is None:
            install = next(other.install for other in QUEUES if other.name == name)
            shown.append(Figure(f"{name}: not installed: pip install --target DIR {install}, then --others DIR", 0, ""))
            continue
        for callers, rate in promise.rates.items():
            mine = promises[OURS.name].rates[callers]  # type: ignore[union-attr]  # ours is always there
            shown.append(Figure(f"{name}: put, {callers} at once", rate, "events/s", rate / mine, OURS.name))
        shown.append(Figure("   syncs a put (one caller)", promise.syncs_a_put, "syncs"))
        shown.append(
            Figure(f"   lost of {promise.killed_of:,} by SIGKILL, after put had returned", promise.killed, "events")
        )
        shown.append(Figure(f"   lost of {promise.cut_of:,} by a power cut, the same", promise.cut, "events"))
    return shown


def main() -> int:
    """Measure and print; 1 if the ledger lost an event it had acknowledged."""
    parser = options("ledger", __doc__, "--events 20000 --rounds 3 --others /tmp/others")
    parser.add_argument("--events", type=int, default=20_000, help="events a round; a tenth of it with one caller")
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken over so many")
    parser.add_argument("--others", type=Path, help="where pip has put the other queues (pip install --target)")
    parser.add_argument("--folder", type=Path, help="a folder on the disk to be measured; default: the temporary one")
    asked = parser.parse_args()
    events, count = (240, 1) if asked.quick else (asked.events, asked.rounds)
    rng = Random(7)
    try:
        with tempfile.TemporaryDirectory(prefix="zhanggui-ledger-", dir=asked.folder) as name:
            rounds = {callers: Round() for callers in CALLERS}
            for number in range(count):
                for callers, found in rounds.items():
                    batch = list(islice(sale_events(rng), events // 10 if callers == 1 else events))
                    folder = Path(name) / f"{number}-{callers}"
                    folder.mkdir()
                    asyncio.run(measured(folder, callers, batch, found))
            promises: dict[str, Promise | None] = {}
            for kind in (OURS, *QUEUES):
                folder = Path(name) / kind.module
                folder.mkdir()
                promises[kind.name] = tried(kind, folder, asked.others, events // 10)
            lost = promises[OURS.name]
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    show(f"ledger: {events} events a round, {count} rounds, medians", figures(rounds, promises), as_json=asked.json)
    return 1 if lost is None or lost.killed or lost.cut else 0


if __name__ == "__main__":
    run(main)
