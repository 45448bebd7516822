"""What lies under a simulated machine: its files, copied when it dies, and the real stores without their threads."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from cloud_bridge.storage import StorageClosedError, Work
from cloud_bridge.storage.sqlite import SqliteDb, open_sqlite_reader, open_sqlite_writer
from cloud_bridge.storage.sqlite_storage import Job, commit_group
from edge.ledger.rows import Pending
from edge.ledger.store import Store
from edge.ledger.writer import MAX_GROUP, Settled
from edge.ports import LedgerFullError
from simulators.faultworld.disk import FaultyDisk, Plan, no_faults
from simulators.faultworld.process import Process

T = TypeVar("T")
COMMIT_S = 0.004  # virtual seconds a commit takes
_LEFT_BEHIND = ("-shm", ".lock")  # what a dead process or a copied disk does not hand on


class Folder:
    """A machine's disk: real files in one folder. After a crash the machine goes on in the next one.

    With `faulty` SQLite runs over the faulty disk, which can lose what was not synced.
    """

    def __init__(self, root: Path, *, faulty: bool, files: Path | None = None) -> None:
        self._root = root
        self._is_faulty = faulty
        self.path = _new_folder(root)
        if files is not None:
            _copy(files, self.path)
        self._connections: list[sqlite3.Connection] = []
        self._plan: Plan = no_faults
        self.syncs_fail = False
        self.disk = FaultyDisk(self.path) if faulty else None

    @property
    def plan(self) -> Plan:
        """What the disk is asked before each call, if it is a faulty one."""
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._plan = plan
        if self.disk is not None:
            self.disk.plan = plan

    def recover(self) -> None:
        """The disk works again."""
        self.plan = no_faults
        self.syncs_fail = False

    def opened(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Note a connection that ends with the process."""
        self._connections.append(connection)
        return connection

    def image(self) -> Path:
        """A copy of the disk as it is now."""
        copy = _new_folder(self._root)
        _copy(self.path, copy)
        return copy

    def after_kill(self) -> Folder:
        """The disk that the next process finds: everything that was written is there, synced or not."""
        found = Folder(self._root, faulty=self._is_faulty, files=self.path)
        self.close()
        return found

    def after_power_cut(self, rng: Random) -> Folder:
        """The disk after a power cut: what was not synced may be gone, torn or out of order."""
        if self.disk is None:
            return self.after_kill()
        held = _new_folder(self._root)
        self.disk.power_cut(rng, into=held)
        found = Folder(self._root, faulty=True, files=held)
        _remove(held)
        self.close()
        return found

    def close(self) -> None:
        """End whatever has the files open, and forget them."""
        if self.disk is not None:
            self.disk.unplug()
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        if self.disk is not None:
            self.disk.close()
        _remove(self.path)


def _new_folder(root: Path) -> Path:
    """A folder that was not there before; its name depends on the run alone."""
    for number in itertools.count(len(os.listdir(root))):  # noqa: PTH208  # names are all it takes, and this is hot
        path = root / f"disk{number}"
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
    raise AssertionError("numbers do not end")


def _copy(source: Path, target: Path) -> None:
    for name in os.listdir(source):  # noqa: PTH208  # the same
        if not name.endswith(_LEFT_BEHIND):
            with open(f"{source}/{name}", "rb", 0) as old, open(f"{target}/{name}", "wb", 0) as new:  # noqa: PTH123  # the same
                new.write(old.read())


def _remove(folder: Path) -> None:
    """A folder of files, and nothing but files."""
    for name in os.listdir(folder):  # noqa: PTH208  # the same
        os.unlink(f"{folder}/{name}")  # noqa: PTH108  # the same
    folder.rmdir()


class SimWriter:
    """The ledger's writer without a thread (see edge.ledger.writer.Writing): neighbouring commits share one, a job
    takes its time, and the process may die before it, or after it and before anybody is told."""

    def __init__(
        self,
        *,
        open_store: Callable[[], Store],
        settled: Settled,
        probe_every_s: float,
        process: Process,
        looked: Callable[[Store], None],
    ) -> None:
        self._open_store = open_store
        self._settled = settled
        self._probe_every_s = probe_every_s
        self._process = process
        self._looked = looked
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[tuple[Pending | Callable[[Store], Any], asyncio.Future[Any]]] = deque()
        self._busy = False
        self._closed = False
        self._store: Store

    async def start(self) -> Store:
        """Open the store. Raises what `open_store` raises."""
        self._process.step("ledger open")
        self._store = self._open_store()
        self._looked(self._store)
        self._process.step("ledger opened")
        return self._store

    async def commit(self, pending: Pending) -> None:
        """Return once `pending` is durable, raise why it is not."""
        await self._put(pending)

    async def call(self, work: Callable[[Store], Any]) -> Any:
        """Run `work`, after all jobs before it."""
        return await self._put(work)

    async def close(self) -> None:
        """Finish all jobs, then close the store's connection."""
        self._closed = True
        while self._busy or self._jobs:  # noqa: ASYNC110  # the loop is virtual: a wait costs nothing
            await asyncio.sleep(COMMIT_S)
        self._store.connection.close()

    async def _put(self, job: Pending | Callable[[Store], Any]) -> Any:
        if self._process.dead:
            raise asyncio.CancelledError
        if self._closed:
            raise RuntimeError("the ledger is closed")
        done: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.append((job, done))
        if not self._busy:
            self._busy = True
            self._loop.call_later(COMMIT_S, self._run)
        return await done

    def _run(self) -> None:
        """One group of commits, or one call."""
        group = [self._jobs.popleft()]
        while isinstance(group[0][0], Pending) and self._jobs and len(group) < MAX_GROUP:
            if not isinstance(self._jobs[0][0], Pending):
                break
            group.append(self._jobs.popleft())
        try:
            self._process.step("disk")
            self._work(group)
            self._process.step("disk done")
        except asyncio.CancelledError:
            return  # dead: what was asked for stays undone, or done and untold
        if self._jobs:
            self._loop.call_later(COMMIT_S, self._run)
        else:
            self._busy = False

    def _work(self, group: Sequence[tuple[Pending | Callable[[Store], Any], asyncio.Future[Any]]]) -> None:
        store = self._store
        if not isinstance(job := group[0][0], Pending):
            result, error = None, None
            try:
                result = job(store)
            except Exception as caught:  # noqa: BLE001  # as the real writer: the caller must hear it
                error = caught
                store.note_damage(caught)
            self._look()
            self._loop.call_soon(self._tell, (), (), [group[0][1]], [(result, error)])
            return
        pendings = [pending for pending, _ in group if isinstance(pending, Pending)]
        outcomes: Sequence[Exception | None]
        try:
            outcomes = store.commit(pendings)
        except Exception as error:  # noqa: BLE001  # the same
            outcomes = [error] * len(group)
        self._look()
        answers = [(None, outcome) for outcome in outcomes]
        self._loop.call_soon(self._tell, pendings, outcomes, [done for _, done in group], answers)
        if isinstance(outcomes[-1], LedgerFullError):
            self._loop.call_later(self._probe_every_s, self._probe)

    def _look(self) -> None:
        if not self._process.dead:  # a disk that was pulled out in the middle tells nothing any more
            self._looked(self._store)

    def _probe(self) -> None:
        """Try a small append after a failed one, as the real writer does."""
        if self._process.dead or self._closed or self._jobs:
            return
        outcome = self._store.probe()
        self._settled((), [outcome], self._store.lanes)
        if outcome is not None:
            self._loop.call_later(self._probe_every_s, self._probe)

    def _tell(
        self,
        pendings: Sequence[Pending],
        outcomes: Sequence[Exception | None],
        waiting: Iterable[asyncio.Future[Any]],
        answers: Iterable[tuple[Any, Exception | None]],
    ) -> None:
        if self._process.dead:
            return
        self._settled(pendings, outcomes, self._store.lanes)
        for done, (result, error) in zip(waiting, answers, strict=True):
            if done.done():
                continue
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)


class InlineStorage:
    """The cloud's SQLite without threads (see cloud_bridge.storage.Storage), one for each worker on the same file."""

    def __init__(self, folder: Folder, *, process: Process, committed: Callable[[], None]) -> None:
        self.path = folder.path / "cloud.db"
        self._folder = folder
        self._process = process
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[tuple[Job, asyncio.Future[Any]]] = deque()
        self._busy = False
        self._db: SqliteDb | None = None
        self._reader: SqliteDb | None = None

    def open(self) -> None:
        """Make or migrate the database. Raises StorageError, OSError."""
        self._db = open_sqlite_writer(self.path)
        self._reader = open_sqlite_reader(self.path)
        self._folder.opened(self._db.connection)
        self._folder.opened(self._reader.connection)

    def close(self) -> None:
        """Serve no more. Twice is harmless."""
        for db in (self._db, self._reader):
            if db is not None:
                db.close()
        self._db = self._reader = None

    async def write(self, work: Work[T]) -> T:
        """Run `work(db)` in a transaction; its result after the commit."""
        if self._process.dead:
            raise asyncio.CancelledError
        if self._db is None:
            raise StorageClosedError("storage is closed")
        told: asyncio.Future[T] = self._loop.create_future()
        self._jobs.append((Job(work), told))
        if not self._busy:
            self._busy = True
            self._loop.call_later(COMMIT_S, self._run)
        return await told

    async def read(self, work: Work[T]) -> T:
        """Run `work(db)` where nothing can be written."""
        self._process.step("cloud read")
        if self._reader is None:
            raise StorageClosedError("storage is closed")
        return work(self._reader)

    def _run(self) -> None:
        group = list(self._jobs)
        self._jobs.clear()
        self._busy = False
        try:
            self._process.step("cloud disk")
            if self._db is None:
                return
            commit_group(self._db, [job for job, _ in group])
            if self._process.fenced:  # the disk was pulled out meanwhile: what is there shows after the power is back
                return
            self._committed()
            self._process.step("cloud disk done")
        except asyncio.CancelledError:
            return  # dead: the caller never hears
        self._loop.call_soon(self._tell, group)

    def _tell(self, group: Iterable[tuple[Job, asyncio.Future[Any]]]) -> None:
        if self._process.dead:
            return
        for job, told in group:
            if told.done():
                continue
            error = job.done.exception()
            if error is not None:
                told.set_exception(error)
            else:
                told.set_result(job.done.result())
