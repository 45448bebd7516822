"""One thread that owns the database: jobs in order, neighbouring commits joined into one fsync."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from contracts.event_types import Lane
from edge.ledger.rows import LaneRow, Pending
from edge.ledger.store import Store
from edge.ports import LedgerFullError

MAX_GROUP = 256
Settled = Callable[[Sequence[Pending], Sequence[Exception | None], Mapping[Lane, LaneRow]], None]


@dataclass(slots=True)
class _Commit:
    pending: Pending
    done: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class _Call:
    work: Callable[[Store], Any]
    done: asyncio.Future[Any]


class Writing(Protocol):
    """What the ledger needs of its writer: jobs in order, one at a time, each told to `settled` before its caller."""

    async def start(self) -> Store:
        """Open the store. Raises what `open_store` raises."""

    async def commit(self, pending: Pending) -> None:
        """Return once `pending` is durable, raise why it is not."""

    async def call(self, work: Callable[[Store], Any]) -> Any:
        """Run `work`, after all jobs before it."""

    async def close(self) -> None:
        """Finish all jobs that were put, then close the store's connection."""


class MakeWriter(Protocol):
    """Makes a writer: `Writer`, or one without a thread for a simulation."""

    def __call__(self, *, open_store: Callable[[], Store], settled: Settled, probe_every_s: float) -> Writing:
        """A writer that is not started yet."""


class Writer:
    """Runs jobs against a Store in a thread of its own; results come back to the loop that made the writer.

    `settled` is called on the loop after every job and before its callers wake, so that what they look at in memory
    is what they waited for. After a failed append the thread itself tries a small one every `probe_every_s` real
    seconds: whoever waits for a ledger that can be written would otherwise wait for ever.
    """

    def __init__(self, *, open_store: Callable[[], Store], settled: Settled, probe_every_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._open_store = open_store
        self._settled = settled
        self._probe_every_s = probe_every_s
        self._failing = False
        self._jobs: queue.SimpleQueue[_Commit | _Call | None] = queue.SimpleQueue()
        self._opened: asyncio.Future[Store] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._ending = False

    async def start(self) -> Store:
        """Open the store in the thread. Raises what `open_store` raises."""
        self._thread.start()
        return await self._opened

    async def commit(self, pending: Pending) -> None:
        """Return once `pending` is durable, raise why it is not."""
        if self._ending:  # `_put` spelled out: a thousand callers pay for each coroutine between
            raise RuntimeError("the ledger is closed")
        done: asyncio.Future[None] = self._loop.create_future()
        self._jobs.put(_Commit(pending, done))
        await done

    async def call(self, work: Callable[[Store], Any]) -> Any:
        """Run `work` in the thread, after all jobs before it."""
        return await self._put(_Call(work, self._loop.create_future()))

    async def _put(self, job: _Commit | _Call) -> Any:
        if self._ending:
            raise RuntimeError("the ledger is closed")
        self._jobs.put(job)
        return await job.done

    async def close(self) -> None:
        """Finish all jobs that were put, close the database, end the thread."""
        if not self._ending:
            self._ending = True
            self._jobs.put(None)
        await asyncio.shield(self._closed)
        self._thread.join()

    # -------------------------------------------------------------- in the thread

    def _run(self) -> None:
        try:
            store = self._open_store()
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller of start() must hear it
            self._tell(_resolve, self._opened, None, error)
            return
        self._tell(_resolve, self._opened, store, None)
        try:
            self._serve(store)
        finally:
            store.connection.close()
            self._tell(_resolve, self._closed, None, None)

    def _serve(self, store: Store) -> None:
        held: list[_Commit | _Call | None] = []  # the job that ended a group
        while True:
            try:
                job = held.pop() if held else self._jobs.get(timeout=self._probe_every_s if self._failing else None)
            except queue.Empty:
                outcomes = [store.probe()]
                self._note(outcomes)
                self._tell(self._settle, (), outcomes, (), store.lanes)
                continue
            if job is None:
                return
            if isinstance(job, _Call):
                self._work(job, store)
            else:
                self._commit_group(job, held, store)

    def _commit_group(self, first: _Commit, held: list[_Commit | _Call | None], store: Store) -> None:
        """Commit `first` and all commits right behind it; the job that ended the group goes to `held`."""
        group = [first]
        while len(group) < MAX_GROUP and not held:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if isinstance(job, _Commit):
                group.append(job)
            else:
                held.append(job)
        pendings = [job.pending for job in group]
        outcomes: Sequence[Exception | None]
        try:
            outcomes = store.commit(pendings)
        except Exception as error:  # noqa: BLE001  # their callers must hear it, the thread must live on
            outcomes = [error] * len(group)
        self._note(outcomes)
        self._tell(self._settle, pendings, outcomes, [job.done for job in group], store.lanes)

    def _note(self, outcomes: Sequence[Exception | None]) -> None:
        self._failing = any(isinstance(outcome, LedgerFullError) for outcome in outcomes)

    def _work(self, job: _Call, store: Store) -> None:
        result, error = None, None
        try:
            result = job.work(store)
        except Exception as caught:  # noqa: BLE001  # the caller of call() must hear it, the thread must live on
            error = caught
            store.note_damage(caught)
        self._failing = self._failing or (isinstance(error, LedgerFullError) and not store.writable)
        self._tell(self._settle, (), (), (), store.lanes)
        self._tell(_resolve, job.done, result, error)

    def _tell(self, function: Callable[..., None], *args: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)

    # -------------------------------------------------------------- on the loop

    def _settle(
        self,
        pendings: Sequence[Pending],
        outcomes: Sequence[Exception | None],
        done: Sequence[asyncio.Future[None]],
        lanes: Mapping[Lane, LaneRow],
    ) -> None:
        self._settled(pendings, outcomes, lanes)
        for future, outcome in zip(done, outcomes, strict=False):
            _resolve(future, None, outcome)


def _resolve(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():  # its caller was cancelled; the work stands all the same
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
