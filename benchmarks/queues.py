"""Queues that keep events in SQLite, behind one `put`: ours and others, and what each really promises.

Run as a program it is the victim of a SIGKILL: it puts events and says after each that it was put.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol

from benchmarks.sales import sale_events
from benchmarks.stand import BenchmarkError
from contracts.clock import SystemClock
from contracts.event_types import EventData
from edge.ledger import Ledger
from edge.ports import Record, Transaction
from simulators.faultworld.disk import FaultyDisk, UnsupportedSqliteError, write_files
from simulators.lifeline import ends_with_us

KILL_AFTER_S = 30.0
FILE = "data.db"
CALLERS = (1, 100)
PAYLOAD = '{"type": "cabinet.stock_changed", "session": "%020x", "shelf": "S1-a", "delta_units": -1, "note": "%0300d"}'


class Putting(Protocol):
    """An open queue."""

    async def put(self, number: int) -> None:
        """Returns when the queue says that the event is its own."""

    async def close(self) -> None:
        """End it in order."""


@dataclass(frozen=True, slots=True)
class Queue:
    """One kind of queue: the module it needs, how pip names it, the table its rows stand in."""

    name: str
    module: str
    install: str
    table: str
    open: Callable[[Path], Awaitable[Putting]]


@dataclass(slots=True)
class Promise:
    """What was found out: puts a second by callers, syncs a put, and of how many acknowledged events how many were
    gone after a SIGKILL and after a power cut."""

    rates: dict[int, float] = field(default_factory=dict)
    syncs_a_put: float = 0.0
    killed: int = 0
    killed_of: int = 0
    cut: int = 0
    cut_of: int = 0


# ------------------------------------------------------------------ the queues


class _Ours:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._events: Iterator[EventData] = sale_events(Random(7))

    async def put(self, number: int) -> None:
        del number
        await self._ledger.commit(Transaction(records=(Record(next(self._events), "S1"),)))

    async def close(self) -> None:
        await self._ledger.close()


async def _ours(folder: Path) -> Putting:
    return _Ours(
        await Ledger.open(
            folder / "data.db", clock=SystemClock(), tenant="bench", store="s001", boot="benchmark", machine="benchmark"
        )
    )


class _Threaded:
    """A queue whose `put` blocks: each caller a thread, as its users do."""

    def __init__(self, put: Callable[[str], object], close: Callable[[], object]) -> None:
        self._put = put
        self._close = close
        self._pool = ThreadPoolExecutor(max(CALLERS))

    async def put(self, number: int) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pool, self._put, PAYLOAD % (number, number))

    async def close(self) -> None:
        self._pool.shutdown()
        self._close()


async def _persist_queue(folder: Path) -> Putting:
    import persistqueue  # type: ignore[import-not-found]  # noqa: PLC0415  # there or not

    queue = persistqueue.SQLiteAckQueue(str(folder), multithreading=True)
    return _Threaded(queue.put, queue.close)


async def _litequeue(folder: Path) -> Putting:
    import litequeue  # type: ignore[import-not-found]  # noqa: PLC0415  # the same

    queue, lock = litequeue.LiteQueue(folder / "data.db"), threading.Lock()

    def put(text: str) -> None:
        with lock:  # one connection
            queue.put(text)

    return _Threaded(put, queue.close)


class _Quiet(logging.Logger):
    """A logger as that gateway expects it."""

    def trace(self, *_: object, **__: object) -> None:
        """A level of its own."""


async def _thingsboard(folder: Path) -> Putting:
    from thingsboard_gateway.storage.sqlite.sqlite_event_storage import (  # type: ignore[import-not-found]  # noqa: PLC0415  # the same
        SQLiteEventStorage,
    )

    storage = SQLiteEventStorage({"data_file_path": f"{folder}/"}, _Quiet("quiet", logging.CRITICAL), threading.Event())
    return _Threaded(storage.put, storage.stop)


OURS = Queue("zhanggui ledger", "ledger", "", "ledger_event", _ours)
QUEUES = (
    Queue("persist-queue (ack queue)", "persistqueue", "persist-queue", "ack_queue_default", _persist_queue),
    Queue("litequeue", "litequeue", "litequeue", "Queue", _litequeue),
    Queue(
        "ThingsBoard gateway, SQLite storage",
        "thingsboard_gateway",
        "--no-deps thingsboard-gateway",
        "messages",
        _thingsboard,
    ),
)


# ------------------------------------------------------------------ what they promise


def tried(queue: Queue, folder: Path, others: Path | None, count: int) -> Promise | None:
    """Measure one queue in `folder`; None if it is not installed."""
    if others is not None and str(others) not in sys.path:
        sys.path.append(str(others))
    if queue is not OURS and importlib.util.find_spec(queue.module) is None:
        return None
    found = Promise()
    for callers in CALLERS:
        place = folder / f"rate{callers}"
        place.mkdir()
        found.rates[callers] = asyncio.run(rate_of(queue, place, callers, count if callers == 1 else 4 * count))
    asyncio.run(_cut(queue, folder / "cut", count, found))
    _kill(queue, folder / "kill", others, count, found)
    return found


async def rate_of(queue: Queue, folder: Path, callers: int, count: int) -> float:
    """Puts a second, by so many callers at once."""
    putting, numbers = await queue.open(folder), iter(range(count))
    try:

        async def caller() -> None:
            for number in numbers:
                await putting.put(number)

        began_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for name in range(callers):
                group.create_task(caller(), name=f"caller-{name}")
        return count / (time.perf_counter() - began_s)
    finally:
        await putting.close()


async def _cut(queue: Queue, folder: Path, count: int, found: Promise) -> None:
    """Put on a disk whose power then fails: nothing arrives that no sync has brought down."""
    folder.mkdir()  # noqa: ASYNC240  # nothing else runs here
    try:
        disk = FaultyDisk(folder)
    except UnsupportedSqliteError as error:
        raise BenchmarkError(str(error)) from error
    with disk:
        putting = await queue.open(folder)
        before = disk.counters["sync"]
        for number in range(count):
            await putting.put(number)
        surface, found.syncs_a_put = disk.snapshot(), (disk.counters["sync"] - before) / count
        await putting.close()
    _file(queue, folder)
    write_files(surface.held(Random(0), "lose"), folder.with_name("after-cut"))
    found.cut, found.cut_of = count - _rows(folder.with_name("after-cut") / FILE, queue.table), count


def _kill(queue: Queue, folder: Path, others: Path | None, count: int, found: Promise) -> None:
    """Put in another process and kill that; what it had said to be put is counted in its file."""
    folder.mkdir()
    command = [sys.executable, "-m", "benchmarks.queues", queue.module, str(folder), str(others or "")]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        preexec_fn=ends_with_us(),  # noqa: PLW1509 - one call of libc
    ) as victim:
        timer = threading.Timer(KILL_AFTER_S, victim.kill)
        timer.start()
        assert victim.stdout is not None
        said = 0
        while said < count and (chunk := os.read(victim.stdout.fileno(), 65536)):
            said += chunk.count(b"\n")
        victim.send_signal(signal.SIGKILL)
        while chunk := os.read(victim.stdout.fileno(), 65536):
            said += chunk.count(b"\n")
        timer.cancel()
    if said < count:
        raise BenchmarkError(f"{queue.name} put {said} of {count} events")
    found.killed, found.killed_of = max(0, said - _rows(_file(queue, folder), queue.table)), said


def _file(queue: Queue, folder: Path) -> Path:
    """Where the queue's rows are. Raises BenchmarkError if it keeps them elsewhere: nothing could be said of it."""
    path = folder / FILE
    if not path.exists():
        raise BenchmarkError(f"{queue.name} keeps its rows in no file {FILE}: what it lost cannot be counted")
    return path


def _rows(path: Path, table: str) -> int:
    """How many it holds; a power cut may have left no file, and no table."""
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


async def _victim(queue: Queue, folder: Path) -> None:
    putting: Any = await queue.open(folder)
    number = 0
    while True:
        await putting.put(number)
        number += 1
        os.write(1, b".\n")


if __name__ == "__main__":
    if sys.argv[3]:
        sys.path.append(sys.argv[3])
    asyncio.run(_victim({queue.module: queue for queue in (OURS, *QUEUES)}[sys.argv[1]], Path(sys.argv[2])))
