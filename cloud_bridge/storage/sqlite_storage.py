"""One writer thread over SQLite (WAL, synchronous=FULL), and read-only connections for everybody else.

Writes that wait at the same moment share one commit, each inside its own savepoint: an fsync costs the same for
one as for many. A caller hears of its write only after that commit.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cloud_bridge.storage.errors import StorageClosedError
from cloud_bridge.storage.port import Work
from cloud_bridge.storage.sqlite import Connect, SqliteDb, connect, open_sqlite_reader, open_sqlite_writer

T = TypeVar("T")
MAX_WAITING = 512
MAX_GROUP = 64
_READERS = 2


@dataclass(slots=True)
class Job:
    """One write that waits, and where its caller hears of it."""

    work: Work[Any]
    done: Future[Any] = field(default_factory=Future)


class SqliteStorage:
    """A `Storage` in one file. `connect` opens a `file:` URI, for tests that want another kind of disk below."""

    def __init__(self, path: Path, *, connect: Connect = connect) -> None:
        self.path = path
        self._connect = connect
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting = asyncio.Semaphore(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._reader_connections: list[SqliteDb] = []

    def open(self) -> None:
        """Make or migrate the database and start the writer. Raises StorageError, OSError."""
        db = open_sqlite_writer(self.path, connect=self._connect)
        self._thread = threading.Thread(target=self._run, args=(db,), name="cloud-storage", daemon=True)
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
        """Run `work(db)` in a transaction; its result after the commit. What either raised is raised, nothing kept."""
        if self._thread is None or not self._thread.is_alive():
            raise StorageClosedError("storage is closed")
        async with self._waiting:
            job = Job(work)
            self._jobs.put(job)
            result: T = await asyncio.wrap_future(job.done)
            return result

    async def read(self, work: Work[T]) -> T:
        """Run `work(db)` on a read-only connection in a thread; its result."""
        if self._readers is None:
            raise StorageClosedError("storage is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Work[T]) -> T:
        db: SqliteDb | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = open_sqlite_reader(self.path, connect=self._connect)
            self._reader_connections.append(db)
        return work(db)

    def _run(self, db: SqliteDb) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                group, last = [job], False
                while len(group) < MAX_GROUP and not self._jobs.empty():
                    more = self._jobs.get()
                    if more is None:
                        last = True
                        break
                    group.append(more)
                commit_group(db, [job for job in group if job.done.set_running_or_notify_cancel()])
                if last:
                    break
        finally:
            db.close()
            while not self._jobs.empty():
                late = self._jobs.get()
                if late is not None and late.done.set_running_or_notify_cancel():
                    late.done.set_exception(StorageClosedError("storage is closed"))


def commit_group(db: SqliteDb, group: list[Job]) -> None:
    """One transaction for the group, a savepoint for each; every job is answered after the commit."""
    results: list[tuple[Job, Any]] = []
    failed: list[tuple[Job, BaseException]] = []
    try:
        db.execute("BEGIN IMMEDIATE")
        for job in group:
            db.execute("SAVEPOINT job")
            try:
                results.append((job, job.work(db)))
            except BaseException as error:
                if not db.in_transaction:  # SQLite gave the whole transaction up (disk full, I/O error)
                    raise
                db.execute("ROLLBACK TO job")
                failed.append((job, error))
            db.execute("RELEASE job")
        db.execute("COMMIT")
    except BaseException as error:  # noqa: BLE001 - it is handed to every caller of the group, none is told done
        if db.in_transaction:
            db.execute("ROLLBACK")
        for job in group:
            job.done.set_exception(error)
        return
    for job, reason in failed:
        job.done.set_exception(reason)
    for job, result in results:
        job.done.set_result(result)
