"""The ledger as the agent uses it: awaitable commits, state in memory, two lanes."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from contracts.clock import Clock, rfc3339
from contracts.envelope import ClockQuality, Stamp
from contracts.event_types import Lane
from edge.ledger.disk_watch import DiskUse, Level, disk_use
from edge.ledger.errors import FullDiskError, LedgerInUseError, LedgerOpenError
from edge.ledger.forks import fork
from edge.ledger.lanes import LaneView
from edge.ledger.opening import Opening
from edge.ledger.reserve import Reserve
from edge.ledger.retention import Retention
from edge.ledger.rows import LaneRow, Pending
from edge.ledger.salvage import Connect
from edge.ledger.schema import connect, connect_readonly, free_bytes, open_error
from edge.ledger.store import Store
from edge.ledger.tidy import Tidied, Tidier, checkpoint_aside
from edge.ledger.writer import MakeWriter, Writer, Writing
from edge.ports import LedgerFullError, Transaction

TELEMETRY_ROWS = 50_000
_NOTHING: Mapping[str, bytes] = MappingProxyType({})
_log = logging.getLogger("zhanggui.ledger")


class Ledger:
    """The durable ledger of one store, in one SQLite file. Made by `Ledger.open`.

    `clock_quality` is written into every event; the uplink sets it once it knows.
    """

    def __init__(self, *, clock: Clock, boot: str, instance: str) -> None:
        self.clock_quality: ClockQuality = "unknown"
        self.boot = boot
        self.instance = instance
        self.counters: dict[str, int] = {"append_failed": 0}
        self._clock = clock
        self._writable = True
        self._state: dict[str, Mapping[str, bytes]] = {}
        self._lanes: dict[Lane, LaneView] = {}
        self._cleanup = contextlib.ExitStack()
        self._writer: Writing
        self._store: Store
        self._tidier: Tidier
        self._path: Path
        self._connect: Connect
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        clock: Clock,
        tenant: str,
        store: str,
        boot: str,
        machine: str,
        telemetry_rows: int = TELEMETRY_ROWS,
        busy_timeout_s: float = 30.0,
        probe_every_s: float = 5.0,
        free: Callable[[Path], int] = free_bytes,
        disk: Callable[[Path], DiskUse] = disk_use,
        retention: Retention = Retention(),  # noqa: B008  # frozen
        reserve_bytes: int = 0,
        quota_bytes: int = 0,
        writer: MakeWriter = Writer,
        connect: Connect = connect,
        connect_readonly: Connect = connect_readonly,
    ) -> Ledger:
        """Open or make the ledger at `path` (its folder exists) for one store on one machine.

        `machine` is the instance id, see `machine_instance`; `busy_timeout_s` (real seconds) is how long a commit
        waits for another program's lock. `retention` lets confirmed events stay for a while; `reserve_bytes` are held
        on the disk for the last words (0: none); `quota_bytes` bounds the file (0: the disk does). `writer`, `connect`
        and `connect_readonly` (path, busy timeout in seconds) are for simulations: a writer without a thread, a file on
        another VFS. Raises LedgerOpenError with one sentence that says what to do.
        """
        if telemetry_rows < 1:
            raise ValueError(f"telemetry_rows: must be at least 1, is {telemetry_rows}")
        ledger = cls(clock=clock, boot=boot, instance=machine)
        opening = Opening(
            path=path,
            tenant=tenant,
            store=store,
            machine=machine,
            stamp=ledger._stamp,
            telemetry_rows=telemetry_rows,
            retention=retention,
            reserve=Reserve(path.with_name(path.name + ".reserve"), reserve_bytes, free) if reserve_bytes else None,
            quota_bytes=quota_bytes,
            busy_timeout_s=busy_timeout_s,
            free=free,
            connect=connect,
            connect_readonly=connect_readonly,
            counters=ledger.counters,
        )
        with contextlib.ExitStack() as undo:
            undo.enter_context(owned(path))
            writing = writer(open_store=opening.open_store, settled=ledger._settled, probe_every_s=probe_every_s)
            try:
                opened = await writing.start()
            except sqlite3.Error as error:
                raise open_error(path, error) from error
            except LedgerFullError as error:
                raise FullDiskError(f"{path}: {error}; make room on the disk") from error
            try:
                reader = undo.enter_context(contextlib.closing(connect_readonly(path, busy_timeout_s)))
            except sqlite3.Error as error:
                await writing.close()
                raise open_error(path, error) from error
            ledger._attach(opening, opened, writing, reader, disk)
            ledger._cleanup = undo.pop_all()
        return ledger

    def _attach(
        self,
        opening: Opening,
        store: Store,
        writer: Writing,
        reader: sqlite3.Connection,
        disk: Callable[[Path], DiskUse],
    ) -> None:
        self._store, self._writer = store, writer
        self._path, self._connect = opening.path, opening.connect
        self._state = {kind: MappingProxyType(values) for kind, values in opening.state.items()}
        self._lanes = {name: LaneView(row, reader=reader, writer=writer) for name, row in store.lanes.items()}
        self._tidier = Tidier(opening, store, disk=disk)
        self._writable = not store.reserve_out

    # -------------------------------------------------------------- what sessions use

    async def commit(self, transaction: Transaction) -> None:
        """Return after the fsync that holds the transaction. Deletes of state happen before puts.

        Raises LedgerFullError (nothing of it happened), EventTooLargeError or BadEventError (the caller's own fault).
        """
        await self._writer.commit(Pending(transaction, self._stamp()))

    def state(self, kind: str) -> Mapping[str, bytes]:
        """Committed state of one kind, by key: a snapshot that later commits do not change."""
        return self._state.get(kind, _NOTHING)

    @property
    def writable(self) -> bool:
        """False after a failed append, until one has succeeded again (the ledger itself keeps trying)."""
        return self._writable

    # -------------------------------------------------------------- what the uplink uses

    def lane(self, name: Lane) -> LaneView:
        """One of the two lanes."""
        return self._lanes[name]

    async def confirm(self, name: Lane, seq: int) -> None:
        """The cloud holds everything up to `seq`: free it, a chunk a transaction. Raises LedgerFullError."""
        at_s = self._clock.wall().timestamp()
        while not await self._writer.call(lambda store: store.confirmed.confirm(name, seq, at_s)):
            pass

    async def fork(
        self, name: Lane, common: int, reason: str, *, stream: str | None = None, lost: tuple[int, int] = (0, 0)
    ) -> None:
        """Leave the stream after `common` for a new one; with `stream`, only if that is still the current one.

        `lost` is what the cloud had confirmed and holds no more, first and last. Raises ForkRefusedError,
        LedgerFullError.
        """
        stamp = self._stamp()
        await self._writer.call(lambda store: fork(store, name, common, reason, stamp, stream=stream, lost=lost))

    # -------------------------------------------------------------- what its keeper uses

    async def tidy(self) -> Tidied:
        """Look at the disk and do one job of housekeeping. Raises LedgerDamagedError."""
        now_s, stamp = self._clock.wall().timestamp(), self._stamp()
        found: Tidied = await self._writer.call(lambda _store: self._tidier.step(now_s, stamp))
        return found

    @property
    def level(self) -> Level:
        """How full the disk is, as it was found last."""
        return self._tidier.level

    def checkpoint_aside(self) -> None:
        """Shorten a long log beside the writer. Blocks: call it in a thread."""
        checkpoint_aside(self._path, self._connect)

    async def close(self) -> None:
        """Finish what was asked for, then close the file. May be called twice."""
        if not self._closed:
            self._closed = True
            await self._writer.call(lambda _store: self._tidier.end())
        await self._writer.close()
        self._cleanup.close()

    # -------------------------------------------------------------- inside

    def _stamp(self) -> Stamp:
        return Stamp(
            time=rfc3339(self._clock.wall()),
            boot=self.boot,
            monotonic_ns=int(self._clock.now_s() * 1e9),
            clock_quality=self.clock_quality,
        )

    def _settled(
        self, pendings: Sequence[Pending], outcomes: Sequence[Exception | None], lanes: Mapping[Lane, LaneRow]
    ) -> None:
        """Follow the disk: state of what was committed, then the lanes (which wakes the uplink)."""
        self._follow_state([p.transaction for p, o in zip(pendings, outcomes, strict=False) if o is None])
        failed = [outcome for outcome in outcomes if isinstance(outcome, LedgerFullError)]
        self.counters["append_failed"] += len(failed)
        before, self._writable = self._writable, self._store.writable
        if before and not self._writable:
            _log.error("the ledger cannot be written: %s", failed[-1] if failed else "only its reserve is left")
        elif self._writable and not before:
            _log.warning("the ledger can be written again")
        for name, row in lanes.items():
            if name in self._lanes:
                self._lanes[name].moved(row)

    def _follow_state(self, transactions: Sequence[Transaction]) -> None:
        fresh: dict[str, dict[str, bytes]] = {}
        for transaction in transactions:
            for kind, key in transaction.deletes:
                fresh.setdefault(kind, dict(self.state(kind))).pop(key, None)
            for (kind, key), value in transaction.puts.items():
                fresh.setdefault(kind, dict(self.state(kind)))[key] = value
        for kind, values in fresh.items():
            self._state[kind] = MappingProxyType(values)


@contextlib.contextmanager
def owned(path: Path) -> Iterator[None]:
    """Be the only agent on `path`, for as long as the process lives. Raises LedgerOpenError."""
    beside = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerOpenError(
            f"{beside}: {error.strerror}; check the folder, its owner and the room on the disk"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LedgerInUseError(f"{path}: another agent uses it; stop that one first") from error
        yield
    finally:
        os.close(descriptor)
