"""The ledger's housekeeping: one bounded job a call, in the writer's thread, so that a sale passes between any two.

It looks at the disk, frees what may go, gives room back to the disk, keeps the write-ahead log short, takes the reserve
back, and lets the witness remember where the lanes stand.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from contracts.envelope import Stamp
from contracts.event_types import LANES, EventData, Lane, LedgerDisk, LedgerWalHeld
from edge.ledger.disk_watch import EASED, DiskUse, Level, next_level
from edge.ledger.errors import LedgerDamagedError
from edge.ledger.opening import Opening
from edge.ledger.retention import FREE_CHUNK_ROWS
from edge.ledger.rows import LaneRow
from edge.ledger.schema import WAL_KEPT_BYTES
from edge.ledger.store import Store
from edge.ports import LedgerFullError

TELEMETRY_FLOOR = 500  # on a full disk the newest telemetry stays, so that a drop is a run and not an event each
TELEMETRY_RUN = 256
VACUUM_PAGES = 256  # given back at a time: one MiB
SLACK_PAGES = 1024  # free pages that stay in the file for the next events
WAL_HELD_BYTES = 64 * 1024 * 1024
STATS_EVERY_S = 600.0
_log = logging.getLogger("zhanggui.ledger")


class Written(msgspec.Struct, frozen=True):
    """Bytes handed to the disk by the ledger's thread (log and database), and events appended, since the file began."""

    bytes: int = 0
    events: int = 0


@dataclass(frozen=True, slots=True)
class Tidied:
    """What one call found. `more`: there is work left that should not wait."""

    level: Level
    share: float
    free_bytes: int
    wal_bytes: int
    wal_held: bool
    more: bool


class Tidier:
    """Housekeeping of one open ledger."""

    def __init__(self, opening: Opening, store: Store, *, disk: Callable[[Path], DiskUse]) -> None:
        self.level: Level = "ok"
        self._opening = opening
        self._store = store
        self._disk = disk
        self._wal = opening.path.with_name(opening.path.name + "-wal")
        self._told: Level = "ok"
        self._held_since_s: float | None = None
        self._saved_s: float | None = None
        self._before: Written | None = None
        self._seen: Mapping[Lane, LaneRow] = {}  # what the witness was told last
        self._noted: Level | None = None

    def step(self, now_s: float, stamp: Stamp) -> Tidied:
        """Look, and do one job. `now_s` is the wall clock's. Raises LedgerDamagedError."""
        store = self._store
        self._broken()
        if store.said_full:  # with its last words, since the look before
            self._told, self.level, store.said_full = "full", "full", False
        if store.full:
            store.probe()
        store.renew_reserve()
        use = self._disk(self._opening.path.parent)
        share = use.share
        if store.quota_bytes:
            share = max(share, store.used_bytes() / store.quota_bytes)
        self.level = next_level(self.level, share, durable=not store.full and not store.reserve_out)
        more = False
        with contextlib.suppress(LedgerFullError):  # it is tried again at the next look
            self._tell_level(share, use, stamp)
            self._note_level()
            more = self._free(now_s, share, use, stamp)
            self._save(stamp.monotonic_ns / 1e9)
        wal_bytes = self._shorten_wal(stamp)
        if store.lanes != self._seen:  # an idle store wears no card
            self._opening.note(store.lanes)
            self._seen = dict(store.lanes)
        self._broken()
        held = self._held_since_s is not None
        return Tidied(self.level, share, use.free_bytes, wal_bytes, held, more)

    def end(self) -> None:
        """The last words at a clean stop: what was written, and where the lanes stand."""
        with contextlib.suppress(LedgerFullError, sqlite3.Error):
            self._save(None)
        self._opening.note(self._store.lanes, sync=True)
        self._opening.witness.close()

    def _broken(self) -> None:
        if self._store.damage is not None:
            self._opening.suspect()
            raise LedgerDamagedError(f"{self._opening.path}: {self._store.damage}; the next start heals it")

    # -------------------------------------------------------------- room

    def _tell_level(self, share: float, use: DiskUse, stamp: Stamp) -> None:
        """Once a change: a line in the log and an event. The reserve's release has told `full` itself."""
        if self.level == self._told:
            return
        event = LedgerDisk(level=self.level, used_percent=int(share * 100), free_bytes=use.free_bytes)
        if not (self.level == "full" and self._store.reserve_out):
            self._store.tell(event, stamp)
        before, self._told = self._told, self.level
        level = logging.WARNING if self.level == "ok" else logging.ERROR
        _log.log(level, "the disk is %.0f %% full: %s (was %s)", share * 100, self.level, before)

    def _note_level(self) -> None:
        """For eyes that look at the file alone."""
        if self.level != self._noted:
            with self._store.transaction():
                self._store.connection.execute(
                    "INSERT OR REPLACE INTO meta (key, value) VALUES ('level', ?)", (self.level,)
                )
            self._noted = self.level

    def _free(self, now_s: float, share: float, use: DiskUse, stamp: Stamp) -> bool:
        """Delete a chunk of what may go, or give a chunk of free pages back; True if there is more."""
        store, confirmed = self._store, self._store.confirmed
        pages, free = (self._pragma("page_count"), self._pragma("freelist_count"))
        if self.level in ("ok", "warn"):
            for name in LANES:
                if confirmed.expire(name, now_s) or confirmed.delete_confirmed(name, confirmed.keep.size_bytes):
                    return True
            return free > max(SLACK_PAGES, pages // 4) and self._vacuum()
        need_bytes = (share - EASED["free_telemetry"]) * (use.used_bytes + use.free_bytes)
        if free * store.page_bytes < need_bytes or self.level == "full":
            for name in LANES:
                if confirmed.delete_confirmed(name, 0):
                    return True
            surplus = store.lanes["telemetry"].kept - TELEMETRY_FLOOR
            if surplus >= TELEMETRY_RUN:
                store.drop_telemetry(min(surplus, FREE_CHUNK_ROWS), "disk", stamp)
                return True
        return free > 0 and self._vacuum()

    def _vacuum(self) -> bool:
        """Give a chunk of free pages back to the disk; no transaction of others waits longer for it than for a sale's.
        A file of version 1 that was never rebuilt keeps its pages: then there is nothing to do."""
        before = self._pragma("page_count")
        try:
            # `execute` would step once, and that is one page
            self._store.connection.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
        except sqlite3.Error as error:
            raise self._store.failed(error) from error
        return self._pragma("page_count") < before

    def _pragma(self, name: str) -> int:
        return int(self._store.connection.execute(f"PRAGMA {name}").fetchone()[0])

    # -------------------------------------------------------------- the write-ahead log

    def _shorten_wal(self, stamp: Stamp) -> int:
        """Cut the log back, if nobody reads behind it; say once if somebody holds it. Its size in bytes."""
        size_bytes = self._wal_bytes()
        if size_bytes > WAL_KEPT_BYTES or (size_bytes and self.level not in ("ok", "warn")):
            self._truncate()
            size_bytes = self._wal_bytes()
        now_s = stamp.monotonic_ns / 1e9
        if size_bytes > WAL_HELD_BYTES and self._held_since_s is None:
            self._held_since_s = now_s
            self._autocheckpoint(on=False)  # a commit that pays for all of it would hold up a sale; see Keeper
            self._opening.counters["wal_held"] = self._opening.counters.get("wal_held", 0) + 1
            _log.error("another program reads the ledger and holds %d MB of its log: end it", size_bytes >> 20)
            self._tell(LedgerWalHeld(size_bytes=size_bytes), stamp)
        elif size_bytes <= WAL_KEPT_BYTES and self._held_since_s is not None:
            _log.warning("the ledger's log is short again after %.0f s", now_s - self._held_since_s)
            self._held_since_s = None
            self._autocheckpoint(on=True)
        return size_bytes

    def _truncate(self) -> None:
        """Bring all of the log to the database and empty it; gives up at once if somebody reads behind it."""
        connection = self._store.connection
        wait_ms = self._pragma("busy_timeout")
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA busy_timeout=0")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute(f"PRAGMA busy_timeout={wait_ms}")

    def _autocheckpoint(self, *, on: bool) -> None:
        self._store.connection.execute(f"PRAGMA wal_autocheckpoint={1000 if on else 0}")

    def _wal_bytes(self) -> int:
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0

    def _tell(self, event: EventData, stamp: Stamp) -> None:
        with contextlib.suppress(LedgerFullError):
            self._store.tell(event, stamp)

    # -------------------------------------------------------------- what was written

    def written(self) -> Written:
        """Since the file began, as far as it was noted."""
        if self._before is None:
            row = self._store.connection.execute("SELECT value FROM meta WHERE key='written'").fetchone()
            try:
                self._before = msgspec.json.decode(row[0], type=Written) if row else Written()
            except msgspec.MsgspecError:
                self._before = Written()
        return Written(self._before.bytes + self._store.written_bytes(), self._before.events + self._store.events)

    def _save(self, now_s: float | None) -> None:
        """Note it in the file now and then; each note is itself written."""
        if now_s is not None:
            self._saved_s = now_s if self._saved_s is None else self._saved_s
            if now_s < self._saved_s + STATS_EVERY_S:
                return
            self._saved_s = now_s
        elif not self._store.events:
            return
        value = msgspec.json.encode(self.written()).decode()
        with self._store.transaction():
            self._store.connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('written', ?)", (value,))


def checkpoint_aside(path: Path, connect: Callable[[Path, float], sqlite3.Connection]) -> None:
    """Bring as much of a long log to the database as readers allow, beside the writer: it goes on meanwhile."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(connect(path, 0.0)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
