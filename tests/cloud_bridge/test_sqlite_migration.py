"""A file of the release before is carried over whole, or not touched at all."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlite_utils import Database

from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest
from cloud_bridge.storage import (
    SqliteStorage,
    StorageRefusedError,
    StorageShortError,
    open_reader,
    open_writer,
    read_events,
    read_gaps,
)
from cloud_bridge.storage.schema import WIDE, migrations
from cloud_bridge.storage.sqlite import open_sqlite_writer
from contracts.clock import ManualClock
from tests.cloud_bridge.wire import CHILD, LEDGER, STREAM, TELEMETRY, Chain

EVENTS = 700
NARROW = "m003_narrow_events"


def old_file(path: Path) -> dict[str, Chain]:
    """A file as the release before wrote it: two streams, a dead letter, a withheld event, a gap, a parked batch."""
    chains = {STREAM: Chain().grow(EVENTS), CHILD: Chain(CHILD, TELEMETRY).grow(8)}
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    migrations.apply(Database(connection), stop_before=NARROW)
    connection.execute("BEGIN")
    for stream, chain in chains.items():
        lane, last = chain.place.lane, len(chain.raws)
        connection.execute(
            "INSERT INTO streams (stream, tenant, store, lane, watermark, hash, parent, forked) VALUES (?, 'demo', 'shop1', ?, ?, ?, ?, ?)",
            (stream, lane, last, chain.hashes[last], STREAM if stream == CHILD else None, int(stream == STREAM)),
        )
        for seq, raw in enumerate(chain.raws, 1):
            if (lane, seq) in {("telemetry", 3), ("telemetry", 4)}:
                continue  # in the gap
            dead = {("ledger", 5): "no JSON", ("ledger", 6): "personal_data"}.get((lane, seq))
            connection.execute(
                """INSERT INTO events (stream, seq, tenant, store, lane, type, source, time, boot, received_ms, raw, hash, dead, counted)
                VALUES (?, ?, 'demo', 'shop1', ?, 'store.opened', 's', 't', 'b', ?, ?, ?, ?, ?)""",
                (stream, seq, lane, seq, b"" if seq == 6 and dead else raw, chain.hashes[seq], dead, int(seq != 7)),
            )
    connection.execute("INSERT INTO gaps VALUES (?, 3, 4, 'full', 2, ?, 9)", (CHILD, chains[CHILD].hashes[4]))
    connection.execute("INSERT INTO parked VALUES (?, 800, 801, x'01', x'02')", (STREAM,))
    connection.execute("INSERT INTO members VALUES ('demo', 'm-1', 'A', 5)")
    connection.execute("COMMIT")
    connection.close()
    return chains


def test_everything_of_an_old_file_is_carried_over(tmp_path: Path) -> None:
    path = tmp_path / "cloud.db"
    chains = old_file(path)
    open_writer(path).close()
    kept = [(e.stream, e.seq, e.raw, e.hash, e.dead) for e in read_events(path, "demo", "shop1")]
    dead = {(STREAM, 5): "no JSON", (STREAM, 6): "personal_data"}
    assert kept == [
        (stream, seq, b"" if (stream, seq) == (STREAM, 6) else raw, chain.hashes[seq], dead.get((stream, seq)))
        for stream, chain in chains.items()
        for seq, raw in enumerate(chain.raws, 1)
        if (stream, seq) not in {(CHILD, 3), (CHILD, 4)}
    ]
    assert list(read_gaps(path, "demo", "shop1")) == [(CHILD, 3, 4, "full", 2)]
    db = open_reader(path)
    assert db.rows("SELECT stream, seq, type, reason, raw FROM dead_letters ORDER BY seq") == [
        (STREAM, 5, "store.opened", "no JSON", chains[STREAM].raws[4]),
        (STREAM, 6, "store.opened", "personal_data", b""),
    ]
    assert db.rows("SELECT stream, seq FROM events WHERE counted = 0") == [(1, 7), (2, 7)]
    assert db.rows("SELECT stream, first, last, digest, payload FROM parked") == [(1, 800, 801, b"\x01", b"\x02")]
    assert db.one("SELECT received_ms FROM events WHERE stream = 1 AND seq = 9") == (9,)
    assert db.one("SELECT name, points FROM members") == ("A", 5)
    assert db.one("PRAGMA integrity_check") == ("ok",)


async def test_an_old_file_goes_on_where_it_stood(tmp_path: Path, clock: ManualClock) -> None:
    chains = old_file(tmp_path / "cloud.db")
    storage = SqliteStorage(tmp_path / "cloud.db")
    storage.open()
    ingest = Ingest(storage=storage, clock=clock, counters=Counters())
    chain = chains[STREAM].grow(2)
    assert (await ingest.batch(LEDGER, chain.batch(EVENTS - 1, EVENTS + 2))).watermark == EVENTS + 2
    storage.close()


@pytest.mark.parametrize(
    "step", ["INSERT INTO narrow (stream, seq", "DROP TABLE events", "CREATE VIEW", "ALTER TABLE streams"]
)
def test_a_start_that_dies_half_way_leaves_the_old_file(tmp_path: Path, step: str) -> None:
    """The file is copied as it lies on the disk in the middle: what a power cut would leave."""
    path, cut = tmp_path / "cloud.db", tmp_path / "cut.db"
    chains = old_file(path)

    def copy(statement: str) -> None:
        if statement.strip().startswith(step) and not cut.exists():
            for end in ("", "-wal"):
                if Path(f"{path}{end}").exists():
                    shutil.copy(f"{path}{end}", f"{cut}{end}")

    def connect(uri: str) -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        connection.execute("PRAGMA cache_size = 10")  # pages spill to the disk before the commit
        connection.set_trace_callback(copy)
        return connection

    open_sqlite_writer(path, connect=connect).close()
    assert cut.exists()
    old = sqlite3.connect(cut)
    assert {name for (name,) in old.execute("SELECT name FROM _sqlite_migrations")} == WIDE
    assert old.execute("SELECT count(*) FROM events").fetchone() == (EVENTS + 6,)
    old.close()
    open_writer(cut).close()  # and the next start does it
    assert len(list(read_events(cut, "demo", "shop1"))) == len(chains[STREAM].raws) + 6


def test_a_short_disk_is_refused_before_anything_is_touched(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "cloud.db"
    old_file(path)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("cloud_bridge.storage.sqlite.shutil.disk_usage", lambda _: SimpleNamespace(free=100_000))
        with pytest.raises(StorageShortError, match=r"must be rewritten .* takes \d+ MB .* and there are 0 MB"):
            open_writer(path)
    assert path.read_bytes() == before
    open_writer(path).close()


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cloud.db"
    open_writer(path).close()
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('cloud_bridge', 'm999', '')"
    )
    connection.commit()
    connection.close()
    with pytest.raises(StorageRefusedError, match="newer release"):
        open_writer(path)
