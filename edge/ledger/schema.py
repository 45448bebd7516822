"""The database file: pragmas, tables, migrations, and whose ledger it is."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts.envelope import root_hash
from contracts.event_types import LANES
from contracts.ids import new_uuid
from edge.ledger.errors import ForeignLedgerError, FullDiskError, LedgerOpenError, NewerLedgerError

APPLICATION_ID = 0x5A475547  # "ZGUG": tells our files from other SQLite files
MIN_FREE_BYTES = 16 * 1024 * 1024
CACHE_KIB = 6 * 1024  # what is on its way to the cloud is still there when it is freed
WAL_KEPT_BYTES = 16 * 1024 * 1024
REBUILT_BYTES = 32 * 1024 * 1024  # a file of version 1 up to this size is rebuilt, so that it can give room back
INCREMENTAL = 2  # of PRAGMA auto_vacuum
_log = logging.getLogger("zhanggui.ledger")
TABLES = {"ledger": "ledger_event", "telemetry": "telemetry_event"}


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written in `folder`."""
    return shutil.disk_usage(folder).free


def connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """The writer's connection: WAL, every commit synced, no implicit transactions."""
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # of a new file; of another only when it is rebuilt
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        connection.execute("PRAGMA secure_delete=FAST")  # Debian zeroes each freed page: bytes that wear an SD card
        connection.execute(f"PRAGMA journal_size_limit={WAL_KEPT_BYTES}")  # a long reader cannot bloat the WAL for good
    except BaseException:
        connection.close()
        raise
    return connection


def connect_readonly(path: Path, busy_timeout_s: float = 5.0) -> sqlite3.Connection:
    """A connection that cannot write, usable while the agent runs."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)


def checksum(*values: str | bytes | int | None) -> int:
    """What tells that a row is as it was written; for rows that no hash chain covers."""
    found = 0
    for value in values:
        part = value if isinstance(value, bytes) else repr(value).encode(errors="surrogatepass")
        found = zlib.crc32(b"%d:" % len(part) + part, found)
    return found


# ------------------------------------------------------------------ migrations


def _first_tables(db: Any) -> None:
    db.table("meta").create({"key": str, "value": str}, pk="key", not_null={"value"})
    db.table("state").create({"kind": str, "key": str, "value": bytes}, pk=("kind", "key"), not_null={"value"})
    db.table("lane").create(
        {
            "name": str,
            "stream": str,
            "parent": str,
            "tail_seq": int,
            "tail_hash": bytes,
            "freed_seq": int,
            "freed_hash": bytes,
            "dropped_seq": int,
        },
        pk="name",
        not_null={"stream", "tail_seq", "tail_hash", "freed_seq", "freed_hash", "dropped_seq"},
    )
    db.table("quarantine").create(
        {"id": int, "lane": str, "stream": str, "seq": int, "raw": bytes, "hash": bytes, "reason": str}, pk="id"
    )
    for table in TABLES.values():  # AUTOINCREMENT: a sequence is never used twice; sqlite-utils cannot say it
        db.execute(f"CREATE TABLE {table} (seq INTEGER PRIMARY KEY AUTOINCREMENT, raw BLOB, hash BLOB NOT NULL)")
    for lane in LANES:
        stream = new_uuid()
        root = root_hash(stream)
        row = {"name": lane, "stream": stream, "tail_seq": 0, "tail_hash": root, "freed_seq": 0, "freed_hash": root}
        db.table("lane").insert({**row, "parent": None, "dropped_seq": 0})


def _retention_and_checksums(db: Any) -> None:
    """Confirmed rows may stay for a while; rows outside the chains say whether they are as they were written."""
    lane = db.table("lane")
    for column, kind, default in (("deleted_seq", int, 0), ("deleted_hash", bytes, ""), ("confirmed_bytes", int, 0)):
        lane.add_column(column, kind, not_null_default=default)
    lane.add_column("crc", int, not_null_default=0)
    db.table("state").add_column("crc", int, not_null_default=0)
    db.table("confirmed").create({"lane": str, "seq": int, "at_s": int}, pk=("lane", "seq"), not_null={"at_s"})
    db.execute("UPDATE lane SET deleted_seq=freed_seq, deleted_hash=freed_hash")
    for name, *values in db.execute(f"SELECT name, {LANE_COLUMNS} FROM lane").fetchall():  # noqa: S608  # names of our own
        db.execute("UPDATE lane SET crc=? WHERE name=?", (checksum(name, *values), name))
    rows = db.execute("SELECT kind, key, value FROM state").fetchall()
    sums = [(checksum(*row), row[0], row[1]) for row in rows]
    db.conn.executemany("UPDATE state SET crc=? WHERE kind=? AND key=?", sums)


LANE_COLUMNS = (
    "stream, parent, tail_seq, tail_hash, freed_seq, freed_hash, dropped_seq, deleted_seq, deleted_hash,"
    " confirmed_bytes"
)
MIGRATIONS: tuple[Callable[[Any], None], ...] = (_first_tables, _retention_and_checksums)
VERSION = len(MIGRATIONS)


def prepare(
    connection: sqlite3.Connection, path: Path, *, tenant: str, store: str, machine: str, free: Callable[[Path], int]
) -> str | None:
    """Bring the file to this version and check whose it is; all in one transaction.

    Returns the machine that the file was bound to before, if that was another one. Raises LedgerOpenError.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if version > VERSION:
        raise NewerLedgerError(
            f"{path}: written by a newer agent (schema {version}, this one knows {VERSION}); install that version again"
        )
    if application != APPLICATION_ID and (version or connection.execute("SELECT 1 FROM sqlite_master").fetchone()):
        raise ForeignLedgerError(f"{path}: a SQLite file, but no ledger; name another data_dir in store.toml")
    if version < VERSION:
        need = MIN_FREE_BYTES + 2 * (path.stat().st_size if path.exists() else 0)
        if (have := free(path.parent)) < need:
            raise FullDiskError(f"{path}: {have} bytes are free, {need} are needed to prepare it; make room first")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if version < VERSION:
            _migrate(connection, version)
        moved_from = _check_owner(connection, path, tenant=tenant, store=store, machine=machine)
        if version < VERSION:
            connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    _rebuild(connection, path, free)
    return moved_from


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    import sqlite_utils  # noqa: PLC0415  # it brings numpy, which costs an agent that needs no migration 240 ms

    db = sqlite_utils.Database(connection, execute_plugins=False)
    for migrate in MIGRATIONS[version:]:
        migrate(db)


def _rebuild(connection: sqlite3.Connection, path: Path, free: Callable[[Path], int]) -> None:
    """A file of version 1 cannot give room back to the disk until it is rebuilt once. SQLite does that whole or not at
    all; a large file, or little room, is left for another start."""
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] == INCREMENTAL:
        return
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    size_bytes = pages * connection.execute("PRAGMA page_size").fetchone()[0]
    if size_bytes > REBUILT_BYTES or free(path.parent) < MIN_FREE_BYTES + 2 * size_bytes:
        return
    connection.execute("PRAGMA temp_store=MEMORY")  # /tmp may be another, smaller disk
    try:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:  # no room after all, or somebody reads: it works as it is
        _log.warning("the ledger could not be rebuilt (%s): freed room stays within its file", error)
    finally:
        connection.execute("PRAGMA temp_store=DEFAULT")


def _check_owner(connection: sqlite3.Connection, path: Path, *, tenant: str, store: str, machine: str) -> str | None:
    found = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    ours = {"tenant": tenant, "store": store}
    theirs = {key: found.get(key, value) for key, value in ours.items()}
    if theirs != ours:
        raise ForeignLedgerError(
            f"{path}: the ledger of {theirs['tenant']}/{theirs['store']}, not of {tenant}/{store}; "
            "mend tenant and store in store.toml, or name another data_dir"
        )
    wanted = {**ours, "machine": machine, "schema": str(VERSION)}
    values = [(key, value) for key, value in wanted.items() if found.get(key) != value]
    connection.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", values)
    before = found.get("machine", machine)
    return before if before != machine else None


def open_error(path: Path, error: sqlite3.Error) -> LedgerOpenError:
    """One clear sentence for a database error at open."""
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return FullDiskError(f"{path}: the disk is full or failing ({error}); make room or replace it")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LedgerOpenError(f"{path}: another program holds it locked; close that program")
    if code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return LedgerOpenError(f"{path}: cannot be opened for writing ({error}); check the folder and its owner")
    return LedgerOpenError(f"{path}: {error}")
