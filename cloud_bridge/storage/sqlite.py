"""SQLite as `Db`: connections for one writer and many readers, and its errors as ours."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import msgspec
from sqlite_utils import Database

from cloud_bridge.storage.errors import (
    StorageBusyError,
    StorageConflictError,
    StorageError,
    StorageFullError,
    StorageNewerError,
    StorageRefusedError,
    StorageShortError,
)
from cloud_bridge.storage.port import EVENT_COLUMNS, EventRow, Params, Row
from cloud_bridge.storage.schema import WIDE, migrations, names

BUSY_MS = 5000
PAGE_BYTES = 8192  # of a new file: a batch is written in half as many pieces as with SQLite's own 4096
LOG_PAGES = 4096  # 32 MB of log before it is copied into the file: pages that change often are copied once
ROOM_TO_REWRITE = 2  # times the size of the file: the log holds every new page until the commit
_INSERT_EVENT = f"INSERT INTO events ({EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own names
# A whole batch in one statement, cut out of two joined values: half the work of a statement a row, and Python's lock is
# let go once for all of it. Where an event starts (from 1) and how long it is stand in one number.
_INSERT_BATCH = """
INSERT INTO events (stream, seq, received_ms, counted, hash, raw)
SELECT ?1, ?2 + key, ?3, 1, substr(?4, 1 + 32 * key, 32), substr(?5, value >> 20, value & 1048575) FROM json_each(?6)
"""
_LENGTH_BITS = 20  # an event has at most 64 KiB
Connect = Callable[[str], sqlite3.Connection]
_KINDS: dict[int, type[StorageError]] = {
    sqlite3.SQLITE_FULL: StorageFullError,
    sqlite3.SQLITE_BUSY: StorageBusyError,
    sqlite3.SQLITE_LOCKED: StorageBusyError,
    sqlite3.SQLITE_CONSTRAINT: StorageConflictError,
    sqlite3.SQLITE_CORRUPT: StorageRefusedError,
    sqlite3.SQLITE_NOTADB: StorageRefusedError,
}


def storage_error(error: sqlite3.Error) -> StorageError:
    """SQLite's error as ours."""
    code = getattr(error, "sqlite_errorcode", None)
    return _KINDS.get((code or 0) & 0xFF, StorageError)(str(error))


def connect(uri: str) -> sqlite3.Connection:
    """Open the file that a `file:` URI names; transactions are begun and ended by hand."""
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=256)


class SqliteDb:
    """A `Connection` over SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def execute(self, sql: str, params: Params = ()) -> int:
        """Run one statement; how many rows it changed."""
        try:
            return self.connection.execute(sql, params).rowcount
        except sqlite3.Error as error:
            raise storage_error(error) from error

    def executemany(self, sql: str, rows: Iterable[Params]) -> None:
        """Run one statement for each of `rows`."""
        try:
            self.connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise storage_error(error) from error

    def insert_batch(
        self, stream: int, first_seq: int, received_ms: int, hashes: Sequence[bytes], raws: Sequence[bytes]
    ) -> None:
        """Put consecutive events with nothing unusual about any into their table, in one statement."""
        sizes = list(map(len, raws))
        starts = accumulate(sizes, initial=1)
        spans = [start << _LENGTH_BITS | size for start, size in zip(starts, sizes, strict=False)]
        places = msgspec.json.encode(spans).decode()
        self.execute(_INSERT_BATCH, (stream, first_seq, received_ms, b"".join(hashes), b"".join(raws), places))

    def insert_events(self, events: Sequence[EventRow]) -> None:
        """Put events into their table, one after the other."""
        self.executemany(_INSERT_EVENT, events)

    def one(self, sql: str, params: Params = (), *, lock: bool = False) -> Row | None:
        """The first row, or None. One writer is all there is, so `lock` asks for nothing more."""
        del lock
        try:
            row: Row | None = self.connection.execute(sql, params).fetchone()
        except sqlite3.Error as error:
            raise storage_error(error) from error
        return row

    def rows(self, sql: str, params: Params = ()) -> list[Row]:
        """All rows."""
        try:
            return self.connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise storage_error(error) from error

    def each(self, sql: str, params: Params = ()) -> Iterator[Row]:
        """Row by row, however many they are."""
        try:
            yield from self.connection.execute(sql, params)
        except sqlite3.Error as error:
            raise storage_error(error) from error

    @property
    def in_transaction(self) -> bool:
        """False after SQLite itself gave a transaction up, as it does on a full disk."""
        return self.connection.in_transaction

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end, or roll back and raise."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self.in_transaction:
                self.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """End it."""
        self.connection.close()


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the tables up to date, each change in a transaction. Raises StorageRefusedError, StorageShortError."""
    known = set(names())
    database = Database(connection, execute_plugins=False)
    done = {migration.name for migration in migrations.applied(database)}
    if not done <= known:
        raise StorageNewerError(f"{path} was written by a newer release: install that one, or name another file")
    if done == known:
        return
    if done == WIDE:
        (size,) = connection.execute(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        ).fetchone()
        needed, free = ROOM_TO_REWRITE * size, shutil.disk_usage(path.absolute().parent).free
        if free < needed:
            raise StorageShortError(
                f"{path} must be rewritten for this release, which takes {needed >> 20} MB of free room, "
                f"and there are {free >> 20} MB: free some and start again"
            )
    migrations.apply(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def open_sqlite_writer(path: Path | str, *, connect: Connect = connect) -> SqliteDb:
    """The one connection that writes, its tables made or brought up to date. Raises StorageError."""
    uri = "file::memory:" if str(path) == ":memory:" else Path(path).absolute().as_uri()
    try:
        with contextlib.ExitStack() as undo:
            connection = connect(uri)
            undo.callback(connection.close)
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            migrate(connection, Path(path))
            undo.pop_all()
    except sqlite3.Error as error:
        raise storage_error(error) from error
    return SqliteDb(connection)


def open_sqlite_reader(path: Path | str, *, connect: Connect = connect) -> SqliteDb:
    """A connection that cannot write. Raises StorageError when there is no database at `path`."""
    try:
        connection = connect(f"{Path(path).absolute().as_uri()}?mode=ro")
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    except sqlite3.Error as error:
        raise storage_error(error) from error
    return SqliteDb(connection)
