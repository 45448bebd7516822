"""Events by month: made ahead, moved out of the default partition, dropped; and a sequence stays single across months."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import closing, suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest, apply_batch
from cloud_bridge.ingest.streams import adopt, load
from cloud_bridge.storage import Db, StorageBusyError, StorageConflictError, open_storage, partitions, read_events
from cloud_bridge.storage.months import Month
from cloud_bridge.storage.postgres import PgDb, Server
from cloud_bridge.storage.pruning import Pruned, prune
from cloud_bridge.storage.upkeep import status
from contracts.clock import ManualClock
from contracts.envelope import Origin
from contracts.event_types import StoreOpened
from contracts.messages import Parent
from tests.cloud_bridge.wire import CHILD, LEDGER, STREAM, TELEMETRY, Chain
from zhanggui.cli import app as cli

MARCH = Month(2026, 3)


def at(month: Month, day: int = 10) -> int:
    return int(datetime(month.year, month.month, day, tzinfo=UTC).timestamp() * 1000)


@given(st.integers(-(10**15), 10**15), st.integers(0, 40))
def test_a_month_holds_the_time_it_is_named_after(at_ms: int, later: int) -> None:
    month = Month.of(at_ms)
    if 0 <= at_ms < 253_402_300_800_000:
        assert month.start_ms <= at_ms
        assert month.year == 9999 or at_ms < month.later(1).start_ms
    assert month.later(later).later(-later) == month
    assert month.later(later + 1) > month.later(later)


@pytest.fixture
def bare(postgres_url: str) -> Db:
    """The tables without one month's partition."""
    with closing(Server(postgres_url).connect()) as db:
        for month in partitions.months(db):
            db.execute(f"DROP TABLE {month.table}")
        yield db


def where(db: Db) -> dict[str, int]:
    """How many events each partition holds."""
    return dict(db.rows("SELECT tableoid::regclass::text, count(*) FROM events GROUP BY 1 ORDER BY 1"))


async def test_months_are_made_on_demand_and_one_ahead(bare: PgDb, postgres_url: str) -> None:
    storage = open_storage(postgres_url)
    storage.open()
    chain = Chain().grow(3)
    for seq, month in ((1, MARCH), (2, MARCH), (3, MARCH.later(1))):
        batch = chain.batch(seq, seq)
        await storage.write(
            lambda db, batch=batch, month=month: apply_batch(db, LEDGER, batch, now_ms=at(month), window=9)
        )
    assert partitions.months(bare) == [MARCH, MARCH.later(1), MARCH.later(2)]
    assert where(bare) == {"events_y2026m03": 2, "events_y2026m04": 1}
    assert [e.seq for e in read_events(postgres_url, "demo", "shop1")] == [1, 2, 3]
    storage.close()


async def test_where_no_month_can_be_made_the_default_holds_the_events_until_it_can(
    bare: PgDb, postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    storage = open_storage(postgres_url)
    storage.open()

    def busy(*_args) -> None:
        raise StorageBusyError("lock timeout")

    chain = Chain().grow(2)
    with monkeypatch.context() as patch:
        patch.setattr(partitions, "make", busy)
        await storage.write(lambda db: apply_batch(db, LEDGER, chain.batch(1, 1), now_ms=at(MARCH), window=9))
    assert where(bare) == {"events_default": 1}
    assert "no partition for 2026-03" in caplog.text
    storage.close()
    again = open_storage(postgres_url)  # the next start finds the month missing, and moves what it holds
    again.open()
    await again.write(lambda db: apply_batch(db, LEDGER, chain.batch(2, 2), now_ms=at(MARCH), window=9))
    assert where(bare) == {"events_y2026m03": 2}
    assert [(e.seq, e.raw) for e in read_events(postgres_url, "demo", "shop1")] == list(enumerate(chain.raws, 1))
    again.close()


async def test_several_bridges_make_a_month_at_once_while_they_write(
    bare: PgDb, postgres_url: str, clock: ManualClock
) -> None:
    storages = [open_storage(postgres_url) for _ in range(3)]
    for storage in storages:
        storage.open()
    ingests = [Ingest(storage=storage, clock=clock, counters=Counters()) for storage in storages]
    chains = [Chain(f"{STREAM[:-2]}{n:02}").grow(4) for n in range(9)]
    acks = await asyncio.gather(*(ingests[n % 3].batch(LEDGER, chain.batch(1, 4)) for n, chain in enumerate(chains)))
    assert [ack.watermark for ack in acks] == [4] * 9
    assert len(partitions.months(bare)) == 2
    assert sum(where(bare).values()) == 36
    assert "events_default" not in where(bare)
    for storage in storages:
        storage.close()


# ------------------------------------------------------------------ letting go


@pytest.mark.parametrize("keep", [3, 4])
async def test_old_months_are_let_go_and_the_watermark_stays(database, keep: int) -> None:
    storage = open_storage(database)
    storage.open()
    now = Month.of(int(datetime.now(UTC).timestamp() * 1000))
    chain, telemetry = Chain().grow(6), Chain(CHILD, TELEMETRY).grow(1)
    for seq in range(1, 7):
        month = now.later(seq - 6)
        batch = chain.batch(seq, seq)
        await storage.write(
            lambda db, batch=batch, month=month: apply_batch(db, LEDGER, batch, now_ms=at(month, 1), window=9)
        )
    await storage.write(lambda db: apply_batch(db, TELEMETRY, telemetry.batch(1, 1), now_ms=at(now, 1), window=9))
    run = CliRunner().invoke(
        cli, ["cloud", "database", "prune", "--keep-months", str(keep), "--database", str(database)]
    )
    assert run.exit_code == 0, run.output
    assert f"received before {now.later(-keep)}: " in run.output
    assert [e.seq for e in read_events(database, "demo", "shop1", "ledger")] == list(range(6 - keep, 7))
    again = await storage.write(lambda db: apply_batch(db, LEDGER, chain.batch(1, 6), now_ms=at(now), window=9))
    assert (again.refused, again.cursor.watermark, again.counts["batch_repeated"]) == ("", 6, 1)
    assert len(list(read_events(database, "demo", "shop1"))) == keep + 2  # nothing was taken again
    storage.close()
    assert prune(database, before=now.later(-keep)) == Pruned()


def test_too_few_months_are_refused(tmp_path) -> None:
    run = CliRunner().invoke(
        cli, ["cloud", "database", "prune", "--keep-months", "2", "--database", f"{tmp_path}/x.db"]
    )
    assert run.exit_code != 0
    assert "at least 3" in str(run.exception) + run.output


async def test_the_status_says_what_there_is(database) -> None:
    storage = open_storage(database)
    storage.open()
    chain = Chain().grow(1)
    chain.add(b"{}")
    await storage.write(lambda db: apply_batch(db, LEDGER, chain.batch(1, 2), now_ms=at(MARCH), window=9))
    found = status(database)
    assert found.current
    assert (found.streams, found.dead_letters) == (1, 1)
    assert found.size_bytes > 10_000
    postgres = str(database).startswith("postgresql")
    assert found.version.startswith("PostgreSQL" if postgres else "SQLite")
    assert ("events_y2026m03" in dict(found.months)) == postgres
    assert [w.split()[0] for w in found.warnings] == (
        ["fsync", "full_page_writes"] if postgres else []
    )  # of the test server
    storage.close()
    run = CliRunner().invoke(cli, ["cloud", "database", "status", "--database", str(database)])
    assert "up to date" in run.output
    run = CliRunner().invoke(cli, ["cloud", "database", "migrate", "--database", str(database)])
    assert "is up to date" in run.output


# ------------------------------------------------------------------ one sequence, once


class Unlocked(PgDb):
    """The planted fault: the stream's row is read without its lock."""

    def one(self, sql, params=(), *, lock=False):
        return super().one(sql, params)


def race(url: str, kind: type[PgDb]) -> list[object]:
    """Two bridges take the same batch at one moment, in two months; both have read the row before one of them writes."""
    patience_s = 10.0 if kind is Unlocked else 0.5  # for one that comes, however busy the machine; for one that waits
    received = {0: at(MARCH, 31), 1: at(MARCH.later(1), 1)}
    with closing(Server(url).connect()) as db:
        partitions.make(db, [MARCH, MARCH.later(1)])
        with db.transaction():
            apply_batch(db, LEDGER, Chain().grow(1).batch(1, 1), now_ms=at(MARCH), window=9)
    both = threading.Barrier(2)
    outcomes: list[object] = [None, None]

    def work(n: int) -> None:
        with closing(Server(url).connect()) as plain:
            db = kind(plain.client)

            def wait(_at_ms: int) -> None:
                with suppress(threading.BrokenBarrierError):  # then the other one waits for the row
                    both.wait(patience_s)

            db.before_events = wait
            try:
                with db.transaction():
                    outcomes[n] = apply_batch(
                        db, LEDGER, Chain().grow(3).batch(2, 3), now_ms=received[n], window=9
                    ).counts
            except StorageConflictError as error:
                outcomes[n] = error

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_a_sequence_stays_single_across_months_because_its_stream_is_locked(bare: PgDb, postgres_url: str) -> None:
    outcomes = race(postgres_url, PgDb)
    assert sorted((counts["batch_repeated"], counts["events_stored"]) for counts in outcomes) == [(0, 2), (1, 0)]
    assert [e.seq for e in read_events(postgres_url, "demo", "shop1")] == [1, 2, 3]


def test_without_the_lock_it_would_be_stored_twice(bare: PgDb, postgres_url: str) -> None:
    """No index of a month knows of the other: this is what the lock is for."""
    race(postgres_url, Unlocked)
    assert [e.seq for e in read_events(postgres_url, "demo", "shop1")] == [1, 2, 2, 3, 3]


@pytest.mark.parametrize(("kind", "counted"), [(PgDb, 3), (Unlocked, 4)])  # with the lock; without it
def test_an_event_and_its_copy_in_a_fork_count_once_though_two_bridges_take_them_at_one_moment(
    postgres_url: str, kind: type[PgDb], counted: int
) -> None:
    parent, child = Chain().grow(2), Chain(CHILD)
    child.say(StoreOpened(staff_id="s1"), origin=Origin(stream=STREAM, seq=2, hash=parent.hashes[2].hex()))
    child.grow(1)
    with closing(Server(postgres_url).connect()) as first, closing(Server(postgres_url).connect()) as plain:
        second = kind(plain.client)
        with first.transaction():
            apply_batch(first, LEDGER, parent.batch(1, 1), now_ms=1, window=9)
            adopt(first, load(first, CHILD, LEDGER), Parent(stream=STREAM, common=1, hash="0" * 64), 1)

        def copy() -> None:
            with second.transaction():
                apply_batch(second, LEDGER, child.batch(1, 2), now_ms=1, window=9)

        thread = threading.Thread(target=copy)
        with first.transaction():
            apply_batch(first, LEDGER, parent.batch(2, 2), now_ms=1, window=9)
            thread.start()
            thread.join(10 if kind is Unlocked else 0.5)  # it is done at once, or it waits for the original
        thread.join()
        assert first.one("SELECT sum(counted) FROM events") == (counted,)


@pytest.mark.parametrize("seed", range(3))
async def test_bridges_that_race_with_overlapping_batches_store_each_event_once(
    postgres_url: str, clock: ManualClock, seed: int
) -> None:
    rng = random.Random(seed)
    storages = [open_storage(postgres_url) for _ in range(2)]
    for storage in storages:
        storage.open()
    counters = [Counters(), Counters()]
    ingests = [Ingest(storage=s, clock=clock, counters=c) for s, c in zip(storages, counters, strict=True)]
    chain = Chain().grow(400)
    spans = [(first, min(400, first + rng.randrange(60))) for first in range(1, 400, 7)] * 2 + [(390, 400)]
    rng.shuffle(spans)

    async def say(ingest: Ingest, first: int, last: int) -> None:
        ack = await ingest.batch(LEDGER, chain.batch(first, last))
        assert ack.refused is None
        assert ack.watermark is None or ack.hash_at_watermark == chain.hashes[ack.watermark].hex()

    await asyncio.gather(*(say(rng.choice(ingests), *span) for span in spans))
    while (ack := await ingests[0].batch(LEDGER, chain.batch(1, 1))).watermark < 400:  # going back delivers the rest
        first = ack.watermark + 1
        await ingests[seed % 2].batch(LEDGER, chain.batch(first, min(400, first + 40)))
    kept = [(e.seq, e.raw, e.hash) for e in read_events(postgres_url, "demo", "shop1")]
    assert kept == [(n, chain.raws[n - 1], chain.hashes[n]) for n in range(1, 401)]
    assert counters[0]["events_stored"] + counters[1]["events_stored"] == 400
    for storage in storages:
        storage.close()
