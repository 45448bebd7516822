"""One writer thread over SQLite (WAL, synchronous=FULL), and read-only connections for everybody else.

Writes that wait at the same moment share one commit, each inside its own savepoint: an fsync costs the same for
one as for many. A caller hears of its write only after that commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlite_utils import Database

from cloud_bridge.storage.schema import migrations

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
MAX_WAITING = 512
MAX_GROUP = 64
_READERS = 2


class StorageClosedError(RuntimeError):
    """The storage is not running; nothing was written."""


def open_writer(path: Path | str) -> sqlite3.Connection:
    """The one connection that writes, its tables made or brought up to date. Raises sqlite3.Error."""
    with contextlib.ExitStack() as undo:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        undo.callback(connection.close)
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        migrations.apply(Database(connection, execute_plugins=False))
        undo.pop_all()
    return connection


def open_reader(path: Path | str) -> sqlite3.Connection:
    """A connection that cannot write. Raises sqlite3.OperationalError when there is no database at `path`."""
    connection = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    done: Future[Any] = field(default_factory=Future)


class Storage:
    """The database of one bridge. `open` before use, `close` after; both may block for a moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting = asyncio.Semaphore(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._reader_connections: list[sqlite3.Connection] = []

    def open(self) -> None:
        """Make or migrate the database and start the writer. Raises sqlite3.Error, OSError."""
        connection = open_writer(self.path)
        self._thread = threading.Thread(target=self._run, args=(connection,), name="cloud-storage", daemon=True)
        self._thread.start()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="cloud-reader")

    def close(self) -> None:
        """Finish what waits, then stop."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None
        if self._readers is not None:
            self._readers.shutdown()
            self._readers = None
        while self._reader_connections:
            self._reader_connections.pop().close()

    async def write(self, work: Work[T]) -> T:
        """Run `work(connection)` in a transaction; its result after the commit.

        Raises what `work` or the commit raised, with nothing of it kept; StorageClosedError.
        """
        if self._thread is None or not self._thread.is_alive():
            raise StorageClosedError("storage is closed")
        async with self._waiting:
            job = _Job(work)
            self._jobs.put(job)
            result: T = await asyncio.wrap_future(job.done)
            return result

    async def read(self, work: Work[T]) -> T:
        """Run `work(connection)` on a read-only connection in a thread; its result."""
        if self._readers is None:
            raise StorageClosedError("storage is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Work[T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA busy_timeout = 5000")
            self._local.connection = connection
            self._reader_connections.append(connection)
        return work(connection)

    def _run(self, connection: sqlite3.Connection) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                group, last = [job], False
                while len(group) < MAX_GROUP and not self._jobs.empty():
                    more = self._jobs.get()
                    if more is None:
                        last = True
                        break
                    group.append(more)
                _commit(connection, [job for job in group if job.done.set_running_or_notify_cancel()])
                if last:
                    break
        finally:
            connection.close()
            while not self._jobs.empty():
                late = self._jobs.get()
                if late is not None and late.done.set_running_or_notify_cancel():
                    late.done.set_exception(StorageClosedError("storage is closed"))


def _commit(connection: sqlite3.Connection, group: list[_Job]) -> None:
    """One transaction for the group, a savepoint for each; every job is answered after the commit."""
    results: list[tuple[_Job, Any]] = []
    failed: list[tuple[_Job, BaseException]] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for job in group:
            connection.execute("SAVEPOINT job")
            try:
                results.append((job, job.work(connection)))
            except BaseException as error:
                if not connection.in_transaction:  # SQLite gave the whole transaction up (disk full, I/O error)
                    raise
                connection.execute("ROLLBACK TO job")
                failed.append((job, error))
            connection.execute("RELEASE job")
        connection.execute("COMMIT")
    except BaseException as error:  # noqa: BLE001 - it is handed to every caller of the group, none is told done
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        for job in group:
            job.done.set_exception(error)
        return
    for job, reason in failed:
        job.done.set_exception(reason)
    for job, result in results:
        job.done.set_result(result)
