"""Open a ledger whatever the disk gives back: as it is, healed, or anew beside the damaged one."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contracts.envelope import Stamp
from contracts.event_types import Lane, LedgerDamaged
from edge.ledger import salvage
from edge.ledger.errors import ForeignLedgerError, LedgerOpenError, NewerLedgerError
from edge.ledger.heal import heal
from edge.ledger.reserve import Reserve
from edge.ledger.retention import Retention
from edge.ledger.rows import LaneRow
from edge.ledger.salvage import NONSENSE, Connect, DamagedFileError, Salvage
from edge.ledger.schema import VERSION, prepare
from edge.ledger.store import Store
from edge.ledger.wal_look import WalLook, checkpointed, look
from edge.ledger.witness import Witness, WitnessFile, noted
from edge.ports import LedgerFullError

SUSPECT = ".suspect"  # beside a file that SQLite found broken while the agent ran: read it through at the next start
TORN_COMMITS = 1  # a power cut in the middle of a commit leaves as many in the log that were never acknowledged
_log = logging.getLogger("zhanggui.ledger")


@dataclass(kw_only=True)
class Opening:
    """Everything that it takes to open one ledger; `state` is filled by `open_store`."""

    path: Path
    tenant: str
    store: str
    machine: str
    stamp: Callable[[], Stamp]
    telemetry_rows: int
    retention: Retention
    reserve: Reserve | None
    quota_bytes: int
    busy_timeout_s: float
    free: Callable[[Path], int]
    connect: Connect
    connect_readonly: Connect
    state: dict[str, dict[str, bytes]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    witness: WitnessFile = field(init=False)

    def __post_init__(self) -> None:
        self.witness = WitnessFile(self.path.with_name(self.path.name + ".witness"))

    def open_store(self) -> Store:
        """The ledger, sound. Raises LedgerOpenError, LedgerFullError, sqlite3.Error."""
        aside = salvage.finish_swap(self.path)
        if aside is not None:
            _log.error("a healed ledger takes its place; the damaged one is kept as %s", aside.name)
        seen = self.witness.read()
        if seen is not None and (seen.tenant, seen.store) != (self.tenant, self.store):
            seen = None  # of another store, whose file is refused below
        try:
            if seen is not None and salvage.is_empty(self.path):
                raise DamagedFileError("the file is gone or empty")
            store = self._open_file(seen)
        except (sqlite3.Error, *NONSENSE, ForeignLedgerError, NewerLedgerError) as error:
            if isinstance(error, LedgerOpenError):
                if not self._is_ours(seen, error):
                    raise
            elif not salvage.is_unreadable(error):
                raise
            self._begin_anew(seen, error)
            store = self._open_file(None)
        self.path.with_name(self.path.name + SUSPECT).unlink(missing_ok=True)
        self.state = store.state()
        self.note(store.lanes, sync=True)
        store.witness = self._noticed
        return store

    def _noticed(self, lanes: Mapping[Lane, LaneRow], born: bool) -> None:
        if born:
            self.note(lanes, sync=True)
        else:
            self.witness.ends(lanes)

    def note(self, lanes: Mapping[Lane, LaneRow], *, sync: bool = False) -> None:
        """Let the witness remember the lanes as they stand now, durable."""
        known = Witness(
            tenant=self.tenant,
            store=self.store,
            machine=self.machine,
            schema=VERSION,
            lanes=noted(lanes),
        )
        if not self.witness.write(known, sync=sync):
            self.counters["witness_failed"] = self.counters.get("witness_failed", 0) + 1

    def suspect(self) -> None:
        """The file broke while it was used: read it through at the next start."""
        with contextlib.suppress(OSError):
            self.path.with_name(self.path.name + SUSPECT).touch()

    # -------------------------------------------------------------- as it is

    def _open_file(self, seen: Witness | None) -> Store:
        log = look(self.path.with_name(self.path.name + "-wal"))
        whole = log is None or log.header_whole or checkpointed(self.path)
        with contextlib.ExitStack() as undo:
            connection = undo.enter_context(contextlib.closing(self.connect(self.path, self.busy_timeout_s)))
            if seen is not None and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                raise DamagedFileError("nothing is in the file")
            salvage.check_file(connection, whole=self.path.with_name(self.path.name + SUSPECT).exists())
            lost = self._lost_commits(connection, log, whole=whole)
            store = self._store(connection, self.path, self.reserve)
            for found in self._healed(store, seen, lost):
                _log.error("%s lane damaged after %d: %s", found.lane, max(found.first - 1, 0), found.detail)
                self.counters["damaged"] = self.counters.get("damaged", 0) + 1
            undo.pop_all()
            return store

    def _healed(self, store: Store, seen: Witness | None, lost: int) -> list[LedgerDamaged]:
        """What was mended. Raises DamagedFileError where the mending itself meets a broken page, or a table that is no
        longer ours: no check of SQLite looks at all that a write must touch."""
        try:
            return heal(store, self.stamp(), witness=seen, lost_commits=lost)
        except LedgerFullError as error:
            if isinstance(error.__cause__, sqlite3.Error) and salvage.is_unreadable(error.__cause__):
                raise DamagedFileError(str(error.__cause__)) from error
            raise

    def _store(self, connection: sqlite3.Connection, path: Path, reserve: Reserve | None) -> Store:
        moved_from = prepare(
            connection, path, tenant=self.tenant, store=self.store, machine=self.machine, free=self.free
        )
        if moved_from is not None:
            _log.warning("the ledger was bound to another machine before; it is now instance %s", self.machine)
        return Store(
            connection,
            tenant=self.tenant,
            store=self.store,
            telemetry_rows=self.telemetry_rows,
            retention=self.retention,
            reserve=reserve,
            quota_bytes=self.quota_bytes,
        )

    def _lost_commits(self, connection: sqlite3.Connection, log: WalLook | None, *, whole: bool) -> int:
        """Commits of the log that SQLite could not take, and that may have been acknowledged."""
        if log is None:
            return 0
        recovered = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        lost = log.lost_after(max(0, recovered)) if log.header_whole else 0 if whole else len(log.commits)
        if log.header_whole and lost <= TORN_COMMITS:
            return 0
        if lost:
            kept = salvage.keep_log(self.path)
            _log.error("the write-ahead log is damaged; it is kept as %s", kept.name if kept else "nothing, for room")
        return lost

    # -------------------------------------------------------------- anew

    def _is_ours(self, seen: Witness | None, error: LedgerOpenError) -> bool:
        """A file that seems to be another's, or newer, but holds the streams that stood here: then a byte is wrong."""
        if seen is None or (isinstance(error, NewerLedgerError) and seen.schema != VERSION):
            return False
        streams = {lane.stream for lane in seen.lanes.values()}
        with self._reading() as connection:
            if connection is None:
                return False
            try:
                return any(stream in streams for (stream,) in connection.execute("SELECT stream FROM lane"))
            except (sqlite3.Error, *NONSENSE):
                return False

    def _begin_anew(self, seen: Witness | None, error: Exception) -> None:
        """Make a new file of what the damaged one still gives, then let them change places."""
        made = self.path.with_name(self.path.name + salvage.NEW)
        with self._reading() as damaged, contextlib.closing(self.connect(made, self.busy_timeout_s)) as connection:
            store = self._store(connection, made, None)
            saved = Salvage(damaged, seen, path=self.path, source=f"/{self.tenant}/{self.store}/")
            for found in salvage.adopt(store, saved, f"the file could not be read ({str(error)[:80]})", self.stamp()):
                _log.error("%s lane damaged: %s", found.lane, found.detail)
                self.counters["damaged"] = self.counters.get("damaged", 0) + 1
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        salvage.whole(self.path)
        aside = salvage.swap(self.path)
        _log.error("the ledger cannot be read (%s); it is kept as %s, a new one begins", error, aside.name)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The damaged file, as far as it can be opened. An empty one is left alone: SQLite would delete its log."""
        connection: sqlite3.Connection | None = None
        if not salvage.is_empty(self.path):
            with contextlib.suppress(sqlite3.Error):
                connection = self.connect_readonly(self.path, self.busy_timeout_s)
        try:
            yield connection
        finally:
            if connection is not None:
                connection.close()
