"""A write is told done after its commit, or raises what the commit raised; readers cannot write."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cloud_bridge.storage import (
    Db,
    SqliteStorage,
    Storage,
    StorageClosedError,
    StorageError,
    StorageFullError,
    StorageRefusedError,
    open_reader,
    open_writer,
    read_events,
    read_gaps,
)
from cloud_bridge.storage.sqlite import SqliteDb
from cloud_bridge.storage.sqlite_storage import Job, commit_group
from tests.cloud_bridge.wire import LEDGER, STREAM


def add(name: str):
    return lambda db: db.execute("INSERT INTO members VALUES ('t', ?, 'n', 1)", (name,))


def names(db: Db) -> list[str]:
    return [row[0] for row in db.rows("SELECT member_ref FROM members ORDER BY 1")]


async def test_a_finished_write_is_on_disk(storage: Storage, database) -> None:
    assert await storage.write(add("a")) == 1
    with closing(open_reader(database)) as other:
        assert names(other) == ["a"]  # another connection sees it
    assert await storage.read(names) == ["a"]


async def test_a_failed_write_fails_alone(storage: Storage) -> None:
    results = await asyncio.gather(
        storage.write(add("a")), storage.write(add("a")), storage.write(add("b")), return_exceptions=True
    )
    assert sorted(type(r).__name__ for r in results) == ["StorageConflictError", "int", "int"]
    assert results[2] == 1
    assert await storage.read(names) == ["a", "b"]


async def test_a_write_that_fails_half_way_leaves_nothing(storage: Storage) -> None:
    def half(db: Db) -> None:
        add("a")(db)
        raise LookupError("no")

    with pytest.raises(LookupError):
        await storage.write(half)
    assert await storage.read(names) == []


async def test_many_writes_keep_their_order(storage: Storage) -> None:
    await asyncio.gather(*(storage.write(add(f"{n:04}")) for n in range(700)))  # more than may wait at once
    assert await storage.read(names) == [f"{n:04}" for n in range(700)]


class FullDisk(sqlite3.Connection):
    """A connection whose commit fails as on a full disk."""

    def execute(self, sql: str, *arguments):
        if sql == "COMMIT":
            super().execute("ROLLBACK")
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return super().execute(sql, *arguments)


class GivesUp(sqlite3.Connection):
    """A connection that loses its whole transaction in the middle, as SQLite does on an I/O error."""

    def execute(self, sql: str, *arguments):
        if sql.startswith("INSERT"):
            super().execute("ROLLBACK")
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *arguments)


@pytest.mark.parametrize(("kind", "said"), [(FullDisk, StorageFullError), (GivesUp, StorageError)])
def test_when_the_commit_fails_nobody_is_told_done(
    tmp_path: Path, kind: type[sqlite3.Connection], said: type[StorageError]
) -> None:
    open_writer(tmp_path / "x.db").close()
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None, factory=kind)
    jobs = [Job(add("a")), Job(add("b"))]
    for job in jobs:
        job.done.set_running_or_notify_cancel()
    commit_group(SqliteDb(connection), jobs)
    assert all(type(job.done.exception()) is said for job in jobs)
    assert not connection.in_transaction
    assert names(open_reader(tmp_path / "x.db")) == []


async def test_a_reader_cannot_write(storage: Storage) -> None:
    with pytest.raises(StorageError, match=r"readonly|read-only"):
        await storage.read(add("a"))


async def test_closing_finishes_what_waits_and_refuses_what_comes_after(storage: Storage) -> None:
    waiting = [asyncio.ensure_future(storage.write(add(f"{n}"))) for n in range(5)]
    await asyncio.sleep(0)
    await asyncio.to_thread(storage.close)
    assert await asyncio.gather(*waiting) == [1] * 5
    with pytest.raises(StorageClosedError):
        await storage.write(add("late"))
    with pytest.raises(StorageClosedError):
        await storage.read(names)
    storage.close()  # twice is harmless


async def test_a_caller_that_gave_up_disturbs_nobody(storage: Storage) -> None:
    gone = asyncio.ensure_future(storage.write(add("a")))
    await asyncio.sleep(0)
    gone.cancel()
    assert await storage.write(add("b")) == 1
    assert "b" in await storage.read(names)


def test_a_write_ahead_log_with_full_sync(tmp_path: Path) -> None:
    db = open_writer(tmp_path / "x.db")
    assert db.one("PRAGMA journal_mode") == ("wal",)
    assert db.one("PRAGMA synchronous") == (2,)


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    first = open_writer(tmp_path / "x.db")
    tables = first.rows("SELECT sql FROM sqlite_master ORDER BY name")
    first.close()
    assert open_writer(tmp_path / "x.db").rows("SELECT sql FROM sqlite_master ORDER BY name") == tables


def test_no_database_is_no_silent_emptiness(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        list(read_events(tmp_path / "none.db", "demo", "shop1"))


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database, much longer than its header" * 10)
    with pytest.raises(StorageRefusedError):
        SqliteStorage(tmp_path / "x.db").open()


def test_reading_one_store_in_order(tmp_path: Path) -> None:
    db = open_writer(tmp_path / "x.db")
    for stream, store, lane in (
        (STREAM, LEDGER.store, "ledger"),
        ("t", LEDGER.store, "telemetry"),
        ("o", "other", "ledger"),
    ):
        db.execute(
            "INSERT INTO streams (stream, tenant, store, lane, watermark, hash) VALUES (?, 'demo', ?, ?, 2, ?)",
            (stream, store, lane, b""),
        )
        ((key,),) = db.rows("SELECT max(born) FROM streams")
        db.insert_events([(key, seq, 0, 1, None, None, b"\x02", b"\x01") for seq in (2, 1)])
        db.execute("INSERT INTO gaps VALUES (?, 5, 6, 'full', 2, ?, 0)", (key, b""))
    path = tmp_path / "x.db"
    assert [(e.stream, e.seq) for e in read_events(path, "demo", LEDGER.store)] == [
        (STREAM, 1),
        (STREAM, 2),
        ("t", 1),
        ("t", 2),
    ]
    assert [(e.stream, e.seq, e.raw, e.hash, e.dead) for e in read_events(path, "demo", LEDGER.store, "telemetry")] == [
        ("t", 1, b"\x01", b"\x02", None),
        ("t", 2, b"\x01", b"\x02", None),
    ]
    assert list(read_gaps(path, "demo", LEDGER.store, "telemetry")) == [("t", 5, 6, "full", 2)]
    assert len(list(read_gaps(path, "demo", LEDGER.store))) == 2
    assert list(read_events(path, "demo", "nobody")) == []
