"""PostgreSQL as `Storage`: a few writers and readers in threads, each with its connection, a transaction for each work.

Writers of one stream wait for each other at its locked row, writers of different streams share a flush of the server's
log. A connection that breaks is made anew; while the server is away, work is refused at once and tried again later.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TypeVar

import psycopg

from cloud_bridge.storage import partitions
from cloud_bridge.storage.errors import StorageAwayError, StorageBusyError, StorageClosedError, StorageError
from cloud_bridge.storage.months import Month
from cloud_bridge.storage.port import Work
from cloud_bridge.storage.postgres import PgDb, Server
from cloud_bridge.storage.postgres_schema import migrate

T = TypeVar("T")
MAX_WAITING = 512
WRITERS = 4
READERS = 2
TRIES = 4  # of work that another writer's lock crossed
FIRST_BACK_OFF_S = 0.1
MAX_BACK_OFF_S = 5.0
MONTHS_AHEAD = 1
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
log = logging.getLogger("zhanggui.cloud_bridge")


class _MissingMonthError(Exception):
    """Events of a month whose partition nobody has made yet. The work is rolled back and begun again."""

    def __init__(self, month: Month) -> None:
        super().__init__(str(month))
        self.month = month


class _Pool:
    """Threads with a connection each."""

    def __init__(self, server: Server, size: int, name: str, *, read_only: bool) -> None:
        self._server = server
        self._read_only = read_only
        self._local = threading.local()
        self._all: list[PgDb] = []
        self.threads = ThreadPoolExecutor(size, thread_name_prefix=name)

    def begin(self, kind: str) -> PgDb:
        """This thread's connection, in a new transaction. Raises StorageAwayError, StorageRefusedError."""
        db: PgDb | None = getattr(self._local, "db", None)
        if db is not None:
            try:
                db.execute(kind)
            except StorageAwayError:  # the server was started again since; nothing was under way
                self._forget(db)
            else:
                return db
        db = self._server.connect(read_only=self._read_only)
        self._local.db = db
        self._all.append(db)
        db.execute(kind)
        return db

    def _forget(self, db: PgDb) -> None:
        db.close()
        self._all.remove(db)
        self._local.db = None

    def close(self) -> None:
        """Finish what waits, then end the connections."""
        self.threads.shutdown()
        while self._all:
            self._all.pop().close()


class PostgresStorage:
    """A `Storage` on a server. `rng` spreads the bridges' attempts to reach a server that was away."""

    def __init__(self, url: str, *, writers: int = WRITERS, readers: int = READERS, rng: Random | None = None) -> None:
        self.server = Server(url)
        self._sizes = writers, readers
        self._rng = rng or Random()
        self._waiting = asyncio.Semaphore(MAX_WAITING)
        self._writers: _Pool | None = None
        self._readers: _Pool | None = None
        self._months: set[Month] = set()
        self._back_off_s = 0.0
        self._next_try_s = 0.0

    def open(self) -> None:
        """Migrate the database and start the threads. Raises StorageError."""
        migrate(self.server)
        writers, readers = self._sizes
        self._writers = _Pool(self.server, writers, "cloud-writer", read_only=False)
        self._readers = _Pool(self.server, readers, "cloud-reader", read_only=True)

    def close(self) -> None:
        """Finish what waits, then stop."""
        pools, self._writers, self._readers = (self._writers, self._readers), None, None
        for pool in pools:
            if pool is not None:
                pool.close()

    async def write(self, work: Work[T]) -> T:
        """Run `work(db)` in a transaction; its result after the commit. What either raised is raised, nothing kept.

        A StorageAwayError may come after a commit that the server did make: nobody was told so, and the work, done
        again, finds it.
        """
        return await self._do(self._writers, self._write, work)

    async def read(self, work: Work[T]) -> T:
        """Run `work(db)` over one state of the database, where nothing can be written; its result."""
        return await self._do(self._readers, self._read, work)

    async def _do(self, pool: _Pool | None, run: Callable[[_Pool, Work[T]], T], work: Work[T]) -> T:
        if pool is None:
            raise StorageClosedError("storage is closed")
        loop = asyncio.get_running_loop()
        if loop.time() < self._next_try_s:
            raise StorageAwayError(f"{self.server.shown} was away a moment ago")
        async with self._waiting:
            try:
                result = await loop.run_in_executor(pool.threads, run, pool, work)
            except StorageAwayError:
                self._back_off_s = min(MAX_BACK_OFF_S, max(FIRST_BACK_OFF_S, self._back_off_s * 2))
                self._next_try_s = loop.time() + self._rng.uniform(self._back_off_s / 2, self._back_off_s)
                raise
            except RuntimeError as error:
                if pool not in {self._writers, self._readers} and not isinstance(error, StorageError):
                    raise StorageClosedError("storage is closed") from error  # the threads end as this came in
                raise
            self._back_off_s = self._next_try_s = 0.0
            return result

    def _read(self, pool: _Pool, work: Work[T]) -> T:
        db = pool.begin(_READ)
        with db.begun():
            return work(db)

    def _write(self, pool: _Pool, work: Work[T]) -> T:
        tries = 0
        while True:
            db = pool.begin("BEGIN")
            db.before_events = self._check_month
            try:
                with db.begun():
                    return work(db)
            except _MissingMonthError as missing:
                self._make_months(db, missing.month)
            except StorageBusyError as error:
                tries += 1
                if tries == TRIES or not _crossed(error):
                    raise

    def _check_month(self, at_ms: int) -> None:
        month = Month.of(at_ms)
        if month not in self._months:
            raise _MissingMonthError(month)

    def _make_months(self, db: PgDb, month: Month) -> None:
        """This month's partition and the next one's; without them the default one takes the events."""
        try:
            partitions.make(db, [month.later(ahead) for ahead in range(MONTHS_AHEAD + 1)])
        except StorageBusyError:
            log.warning("no partition for %s could be made now; its events go to the default one", month)
        self._months.add(month)


def _crossed(error: StorageBusyError) -> bool:
    """Whether the server ended this work because two waited for each other."""
    cause = error.__cause__
    return isinstance(cause, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure)
