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
from edge.ledger.errors import LedgerInUseError, LedgerOpenError
from edge.ledger.heal import NONSENSE, check_file, is_unreadable, salvage, set_aside
from edge.ledger.lanes import LaneView
from edge.ledger.rows import LaneRow, Pending
from edge.ledger.schema import connect, connect_readonly, free_bytes, open_error, prepare
from edge.ledger.store import Store
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
        writer: MakeWriter = Writer,
        connect: Callable[[Path, float], sqlite3.Connection] = connect,
        connect_readonly: Callable[[Path, float], sqlite3.Connection] = connect_readonly,
    ) -> Ledger:
        """Open or make the ledger at `path` (its folder exists) for one store on one machine.

        `machine` is the instance id, see `machine_instance`; `busy_timeout_s` (real seconds) is how long a commit
        waits for another program's lock. `writer`, `connect` and `connect_readonly` (path, busy timeout in seconds) are
        for simulations: a writer without a thread, a file on another VFS. Raises LedgerOpenError with one sentence that
        says what to do.
        """
        if telemetry_rows < 1:
            raise ValueError(f"telemetry_rows: must be at least 1, is {telemetry_rows}")
        ledger = cls(clock=clock, boot=boot, instance=machine)
        state: dict[str, dict[str, bytes]] = {}

        def open_file() -> Store:
            with contextlib.ExitStack() as undo:
                connection = undo.enter_context(contextlib.closing(connect(path, busy_timeout_s)))
                check_file(connection)
                moved_from = prepare(connection, path, tenant=tenant, store=store, machine=machine, free=free)
                if moved_from is not None:
                    _log.warning("the ledger was bound to another machine before; it is now instance %s", machine)
                opened = Store(connection, tenant=tenant, store=store, telemetry_rows=telemetry_rows)
                for damage in opened.heal(ledger._stamp()):
                    _log.error("%s lane damaged after %d: %s", damage.lane, damage.first - 1, damage.detail)
                state.update(opened.state())
                undo.pop_all()
                return opened

        def open_store() -> Store:
            try:
                return open_file()
            except (sqlite3.Error, *NONSENSE) as error:
                if not is_unreadable(error):
                    raise
                aside = set_aside(path)
                _log.error("the ledger cannot be read (%s); it is kept as %s, a new one begins", error, aside.name)
            opened = open_file()
            opened.adopt(
                salvage(aside, connect_readonly), "the file could not be read and is kept aside", ledger._stamp()
            )
            state.update(opened.state())
            return opened

        with contextlib.ExitStack() as undo:
            undo.enter_context(_owned(path))
            writing = writer(open_store=open_store, settled=ledger._settled, probe_every_s=probe_every_s)
            try:
                opened = await writing.start()
            except sqlite3.Error as error:
                raise open_error(path, error) from error
            try:
                reader = undo.enter_context(contextlib.closing(connect_readonly(path, busy_timeout_s)))
            except sqlite3.Error as error:
                await writing.close()
                raise open_error(path, error) from error
            ledger._writer = writing
            ledger._state = {kind: MappingProxyType(values) for kind, values in state.items()}
            ledger._lanes = {name: LaneView(row, reader=reader, writer=writing) for name, row in opened.lanes.items()}
            ledger._cleanup = undo.pop_all()
        return ledger

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
        while not await self._writer.call(lambda store: store.confirm(name, seq)):
            pass

    async def fork(self, name: Lane, common: int, reason: str, *, stream: str | None = None) -> None:
        """Leave the stream after `common` for a new one; with `stream`, only if that is still the current one.

        Raises ForkRefusedError, LedgerFullError.
        """
        stamp = self._stamp()
        await self._writer.call(lambda store: store.fork(name, common, reason, stamp, stream))

    async def close(self) -> None:
        """Finish what was asked for, then close the file. May be called twice."""
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
        for outcome in outcomes:
            if isinstance(outcome, LedgerFullError):
                self.counters["append_failed"] += 1
                if self._writable:
                    _log.error("the ledger cannot be written: %s", outcome)
                self._writable = False
            elif outcome is None and not self._writable:
                _log.warning("the ledger can be written again")
                self._writable = True
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
def _owned(path: Path) -> Iterator[None]:
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
