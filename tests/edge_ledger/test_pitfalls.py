"""What went wrong in other buffers (docs: pitfalls), held against ours at the size and for the length that broke them."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlite_utils

from contracts.envelope import decode_data, decode_envelope
from contracts.event_types import LedgerWalHeld, TelemetryDropped
from edge.ledger import FullDiskError, Retention, schema, verify
from edge.ledger.stats import stats
from edge.ledger.tidy import WAL_HELD_BYTES
from edge.ports import Transaction
from tests.edge_ledger.conftest import measure, sale, sales

MIB = 1 << 20


async def contents(ledger, lane="ledger"):
    view = ledger.lane(lane)
    return [decode_data(decode_envelope(raw)) for raw in (await view.read(view.freed.seq, 100_000, 1 << 30)).events]


# ------------------------------------------------------------------ 21: the backlog


def backlog(path: Path, size_mib: int, event_bytes: int) -> None:
    module = [sys.executable, "-m", "tests.edge_ledger.backlog"]
    subprocess.run([*module, "fill", str(path), str(size_mib), str(event_bytes)], check=True, timeout=280)
    found = json.loads(
        subprocess.run([*module, "drain", str(path)], check=True, timeout=280, capture_output=True).stdout
    )
    assert found["file_bytes"] > size_mib * MIB
    assert found["events"] >= size_mib * MIB // event_bytes - 64
    assert found["opened_mib"] - found["before_mib"] < 40, found  # looked at all of it, kept nothing of it
    assert found["drained_mib"] - found["before_mib"] < 80, found
    assert found["left_bytes"] < max(found["file_bytes"] // 4, 16 * MIB), found  # the disk has its room again
    assert verify(path).problems == ()


def test_pitfall_21_a_large_backlog_passes_in_flat_memory_and_gives_its_room_back(tmp_path: Path) -> None:
    backlog(tmp_path / "ledger.db", 192, 16_000)


@pytest.mark.soak
def test_pitfall_21_a_backlog_of_two_gigabytes(tmp_path: Path) -> None:
    backlog(tmp_path / "ledger.db", 2048, 16_000)


# ------------------------------------------------------------------ 22: migrations and purges


def first_version(path: Path) -> None:
    """A file as the first release left it."""
    with sqlite3.connect(path) as old:
        schema._first_tables(sqlite_utils.Database(old))
        old.executemany("INSERT INTO meta VALUES (?, ?)", [("tenant", "t1"), ("store", "s1"), ("machine", "m1")])
        old.execute("PRAGMA user_version=1")
        old.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
    old.close()


async def test_pitfall_22_a_migration_without_room_is_refused_before_anything_is_touched(opened, path) -> None:
    first_version(path)
    before = path.read_bytes()
    need = schema.MIN_FREE_BYTES + 2 * len(before)
    with pytest.raises(FullDiskError, match="make room first"):
        await opened(free=lambda _folder: need - 1)
    with sqlite3.connect(path) as old:
        assert old.execute("PRAGMA user_version").fetchone() == (1,)
        columns = [row[1] for row in old.execute("PRAGMA table_info(lane)")]
    old.close()
    assert "deleted_seq" not in columns
    await opened(free=lambda _folder: need)
    assert verify(path).problems == ()


async def test_pitfall_22_a_migration_that_is_killed_half_way_begins_again(opened, path, monkeypatch) -> None:
    first_version(path)
    whole = schema._retention_and_checksums

    def killed(db) -> None:
        whole(db)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(schema, "MIGRATIONS", (schema._first_tables, killed))
    with pytest.raises(Exception, match="disk is full"):
        await opened()
    monkeypatch.undo()
    ledger = await opened()
    await ledger.commit(sales(1))
    assert verify(path).problems == ()


async def test_pitfall_22_sales_pass_while_months_of_confirmed_events_are_purged(opened, path) -> None:
    """What the writer waits for is one bounded job, never the purge."""
    count = 40_000
    ledger = await opened(retention=Retention(365, 1 << 40))
    for n in range(0, count, 2000):
        await ledger.commit(sales(n, 2000))
    await ledger.confirm("ledger", count)
    before_bytes = (path.stat().st_size, path.with_name("ledger.db-wal").stat().st_size)
    store = await ledger._writer.call(lambda s: s)
    store.confirmed.keep = Retention(0.0, 0)
    jobs, waits_s = 0, []

    async def sell() -> None:
        while not purged.done():
            began_s = time.monotonic()
            await ledger.commit(sales(count))
            waits_s.append(time.monotonic() - began_s)

    async def purge() -> None:
        nonlocal jobs
        while (await ledger.tidy()).more:
            jobs += 1

    purged = asyncio.ensure_future(purge())
    await sell()
    await purged
    assert jobs > 10
    assert len(waits_s) >= jobs  # at least one sale between any two jobs
    assert sorted(waits_s)[len(waits_s) // 2] < 0.5, waits_s
    await ledger.close()
    assert path.stat().st_size < sum(before_bytes) / 2
    assert verify(path).lanes[0].deleted_seq == count


# ------------------------------------------------------------------ 23: a reader that does not end


async def test_pitfall_23_a_reader_that_never_ends_is_told_and_the_log_is_short_again_after_it(
    opened, path, caplog
) -> None:
    ledger = await opened()
    await ledger.commit(sales(1))
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM ledger_event").fetchone()
    wal, n = path.with_name("ledger.db-wal"), 2
    big = {("k", str(m)): b'"%s"' % (b"x" * 60_000) for m in range(100)}
    while wal.stat().st_size <= WAL_HELD_BYTES:
        await ledger.commit(Transaction(records=[sale(n)], puts=big))
        n += 1
        assert n < 100
    for _ in range(3):
        assert (await ledger.tidy()).wal_held
        await ledger.commit(sales(n))  # writes go on
        ledger.checkpoint_aside()
    assert len([e for e in await contents(ledger) if isinstance(e, LedgerWalHeld)]) == 1
    assert len([r for r in caplog.records if "another program reads" in r.getMessage()]) == 1
    reader.execute("COMMIT")
    reader.close()
    found = await ledger.tidy()
    assert (found.wal_held, found.wal_bytes) == (False, 0)
    assert verify(path).problems == ()


# ------------------------------------------------------------------ 35: losses are counted


async def test_pitfall_35_the_counter_of_losses_equals_the_losses(opened, path) -> None:
    """A ring that overflows, a cloud that comes and goes, restarts, and retention: what nobody got was declared."""
    rng, ring = random.Random(35), 40
    settings = {"telemetry_rows": ring, "retention": Retention(1, 64 * 1024)}
    ledger = await opened(**settings)
    made, got, declared, heard = 0, set(), 0, 0
    for step in range(400):
        count = rng.choice((1, 1, 5, 30))
        await ledger.commit(Transaction(records=[measure(n) for n in range(made, made + count)]))
        made += count
        if rng.random() < 0.3:  # the cloud takes some: what it gets, and the gap before it
            lane = ledger.lane("telemetry")
            part = await lane.read(lane.freed.seq, rng.randrange(1, 60), 1 << 20)
            got |= {decode_data(decode_envelope(raw)).counters["n"] for raw in part.events}
            heard += part.gap.count if part.gap else 0
            await ledger.confirm("telemetry", part.last_seq)
        if rng.random() < 0.1:
            declared += sum(e.count for e in await contents(ledger) if isinstance(e, TelemetryDropped))
            await ledger.confirm("ledger", ledger.lane("ledger").tail.seq)
            await ledger.tidy()
        if step % 100 == 99:
            await ledger.close()
            ledger = await opened(**settings)
    declared += sum(e.count for e in await contents(ledger) if isinstance(e, TelemetryDropped))
    lane = ledger.lane("telemetry")
    part = await lane.read(lane.freed.seq, 1000, 1 << 20)
    got |= {decode_data(decode_envelope(raw)).counters["n"] for raw in part.events}
    heard += part.gap.count if part.gap else 0
    assert declared == made - len(got) > 500
    assert heard == declared  # the gaps that the cloud is told of say the same
    assert verify(path).problems == ()


# ------------------------------------------------------------------ 36: what an event costs the card


@pytest.mark.parametrize(
    ("group", "most_bytes"),
    [
        (1, 24 * 1024),  # a commit alone: the pages that it touches, in the log and, once in 1000 pages, in the file
        (50, 3 * 1024),  # fifty events share the pages
    ],
)
async def test_pitfall_36_bytes_written_an_event_are_counted_and_bounded(opened, path, group, most_bytes) -> None:
    ledger = await opened()
    for n in range(0, 1500, group):
        await ledger.commit(Transaction(records=[sale(n + m) for m in range(group)]))
    await ledger.confirm("ledger", 1500)
    await ledger.close()
    found = stats(path)
    assert found.written_events == 1500
    raw_bytes = 400  # the events themselves are about so long: less than that was not counted right
    assert raw_bytes < found.bytes_an_event < most_bytes
