"""What the proofs do with the bridge's real database: hellos, batches in and out of order, gaps, forks, a lease."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from sqlite_utils import Database

from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest, move_lease
from cloud_bridge.ingest.streams import Place
from cloud_bridge.storage import Db, SqliteStorage
from cloud_bridge.storage.schema import migrations
from cloud_bridge.storage.sqlite import SqliteDb, open_sqlite_writer
from cloud_bridge.storage.sqlite_storage import Job, commit_group
from contracts.clock import ManualClock
from contracts.envelope import Origin, next_hash, root_hash
from contracts.event_types import StoreOpened
from contracts.messages import Ack, Batch, Hello, Parent
from tests.cloud_bridge.wire import CHILD, LEDGER, TELEMETRY, Chain
from tests.faultworld.disk.cutting import Check, Program, tables

FILE = "cloud.db"
_NOT_PICTURED = frozenset({"_sqlite_migrations"})  # when each was applied


class InlineStorage(SqliteStorage):
    """The real storage without its thread: the same connection, the same commit."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.db: SqliteDb | None = None

    def open(self) -> None:
        self.db = open_sqlite_writer(self.path)
        self.db.execute("PRAGMA wal_autocheckpoint=12")

    def close(self) -> None:
        if self.db is not None:
            self.db.close()

    async def write(self, work: Callable[[Db], Any]) -> Any:
        assert self.db is not None
        job = Job(work)
        job.done.set_running_or_notify_cancel()
        commit_group(self.db, [job])
        return job.done.result()


class Cloud:
    """A bridge's ingest on a file; what it answers is checked as it answers."""

    def __init__(self, folder: Path) -> None:
        self.storage = InlineStorage(folder / FILE)
        self.ingest = Ingest(storage=self.storage, clock=ManualClock(), counters=Counters())
        self.told: dict[str, int] = {}

    async def send(self, place: Place, batch: Batch, watermark: int | None) -> None:
        """A batch and the watermark it must be told; None for a refusal."""
        ack = await self.ingest.batch(place, batch)
        assert isinstance(ack, Ack)
        assert ack.watermark == watermark, (ack, watermark)
        if ack.watermark is not None:
            self.told[batch.stream] = ack.watermark

    def promised(self) -> Check:
        """That the file holds the watermarks that stores were told."""
        told = dict(self.told)

        def check(folder: Path) -> None:
            with contextlib.closing(sqlite3.connect(folder / FILE)) as connection:
                held = dict(connection.execute("SELECT stream, watermark FROM streams").fetchall())
            assert {stream: held.get(stream) for stream in told} == told

        return check


Step = Callable[[Cloud], Awaitable[None]]


def batch(place: Place, chain: Chain, first: int, last: int, watermark: int | None, **changed: Any) -> Step:
    async def step(cloud: Cloud) -> None:
        await cloud.send(place, chain.batch(first, last, **changed), watermark)

    return step


def hello(place: Place, chain: Chain, parent: Parent | None = None) -> Step:
    async def step(cloud: Cloud) -> None:
        said = Hello(
            stream=chain.stream,
            instance="box1",
            nonce="h1",
            next_seq=len(chain.raws) + 1,
            tail_hash=chain.hashes[-1].hex(),
            t0=5,
            parent=parent,
        )
        assert await cloud.ingest.hello(place, said) is not None

    return step


def lease(instance: str) -> Step:
    async def step(cloud: Cloud) -> None:
        await move_lease(cloud.storage, tenant="demo", store="shop1", instance=instance, now_ms=1)

    return step


def _ledger() -> Chain:
    chain = Chain().grow(9)
    chain.add(b'{"not": "an event"}')  # a dead letter
    return chain.grow(10)


def _child(parent: Chain, common: int) -> Chain:
    """The fork of a restored box: what followed `common` again, each with its origin, then news."""
    child = Chain(CHILD)
    for seq in range(common + 1, common + 4):
        origin = Origin(stream=parent.stream, seq=seq, hash=parent.hashes[seq].hex())
        child.say(StoreOpened(staff_id=f"s{seq - 1}"), origin=origin)
    return child.grow(4)


SALES, COUNTS = _ledger(), Chain(f"{CHILD[:-1]}3", place=TELEMETRY).grow(14)
FORKED = _child(SALES, 12)
SHORT: tuple[tuple[str, Step], ...] = (
    ("hello", hello(LEDGER, SALES)),
    ("the first batch", batch(LEDGER, SALES, 1, 4, 4)),
    ("ahead: parked", batch(LEDGER, SALES, 8, 11, 4)),
    ("the same again", batch(LEDGER, SALES, 2, 4, 4)),
    ("overlap, and the parked one with it", batch(LEDGER, SALES, 3, 7, 11)),
    ("telemetry", batch(TELEMETRY, COUNTS, 1, 3, 3)),
    ("a gap", batch(TELEMETRY, COUNTS, 9, 10, 10, gap=(4, 8))),
    ("refused", batch(LEDGER, SALES, 12, 14, None, prev_hash="00" * 32)),
    ("on", batch(LEDGER, SALES, 12, 15, 15)),
    ("a fork", hello(LEDGER, FORKED, Parent(stream=SALES.stream, common=12, hash=SALES.hashes[12].hex()))),
    ("its events", batch(LEDGER, FORKED, 1, 5, 5)),
    ("the lease moves", lease("box2")),
    ("the rest", batch(LEDGER, FORKED, 6, 7, 7)),
    ("the end of telemetry", batch(TELEMETRY, COUNTS, 11, 14, 14)),
)


def long_work(rng: Random, count: int) -> list[tuple[str, Step]]:
    """A long stream in random batches: late, early, twice."""
    chain, steps, watermark = Chain().grow(count), [("hello", hello(LEDGER, SALES))], 0
    while watermark < count:
        first = rng.randint(max(1, watermark - 10), watermark + 1)
        last = min(count, rng.randint(first, first + 40))
        watermark = max(watermark, last)
        steps.append((f"{first}-{last}", batch(LEDGER, chain, first, last, watermark)))
    return steps


def program(steps: Any) -> Program:
    """Open, all steps, close, open again: each acknowledged."""

    async def run(folder: Path) -> AsyncGenerator[Check, None]:
        cloud = Cloud(folder)
        cloud.storage.open()
        yield cloud.promised()
        for _, step in steps:
            await step(cloud)
            yield cloud.promised()
        cloud.storage.close()
        yield cloud.promised()
        cloud.storage.open()
        cloud.storage.close()
        yield cloud.promised()

    return run


def picture(folder: Path) -> object:
    """Everything the database holds, after the bridge has started on it and finished what was half migrated."""
    if not _is_new(folder / FILE):
        storage = InlineStorage(folder / FILE)
        storage.open()
        storage.close()
    return tables(folder / FILE, _NOT_PICTURED)


def _is_new(path: Path) -> bool:
    if not path.exists():
        return False
    with contextlib.closing(sqlite3.connect(path)) as connection, contextlib.suppress(sqlite3.OperationalError):
        done = {name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations")}
        return done == {migration.name for migration in migrations.pending(Database(memory=True))}
    return False


async def reopen(folder: Path) -> None:
    """Watermarks, hashes and events agree with each other, and the store can go on from any of them."""
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection:
        for born, stream, watermark, held in connection.execute("SELECT born, stream, watermark, hash FROM streams"):
            gaps = {
                first: (last, digest)
                for first, last, digest in connection.execute(
                    "SELECT first, last, last_hash FROM gaps WHERE stream=?", (born,)
                )
            }
            seq, digest = 0, root_hash(stream)
            for at, raw, stored in connection.execute(
                "SELECT seq, raw, hash FROM events WHERE stream=? ORDER BY seq", (born,)
            ):
                if seq + 1 in gaps:
                    seq, digest = gaps[seq + 1]
                assert at == seq + 1, f"{stream}: {at} follows {seq}"
                seq, digest = at, next_hash(digest, raw)
                assert digest == stored, f"{stream}: {at} breaks the chain"
            assert (seq, digest) == (watermark, held), (
                f"{stream}: the watermark is {watermark}, its events end at {seq}"
            )
    cloud = Cloud(folder)
    cloud.storage.open()
    try:
        ack = await cloud.ingest.batch(LEDGER, SALES.batch(1, len(SALES.raws)))  # as a store that was never answered
        assert ack.watermark == len(SALES.raws)
    finally:
        cloud.storage.close()


def make_old(folder: Path) -> None:
    """A file of the first release, with streams, events, a gap, a dead letter and a parked batch."""
    with contextlib.closing(sqlite3.connect(folder / FILE, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        migrations.apply(Database(connection, execute_plugins=False), stop_before="m003_narrow_events")
        connection.execute("BEGIN")
        for chain, place, count in ((SALES, LEDGER, 15), (COUNTS, TELEMETRY, 10)):
            connection.execute(
                "INSERT INTO streams (stream, tenant, store, lane, watermark, hash) VALUES (?, ?, ?, ?, ?, ?)",
                (chain.stream, place.tenant, place.store, place.lane, count, chain.hashes[count]),
            )
            for seq in range(1, count + 1):
                connection.execute(
                    "INSERT INTO events (stream, seq, tenant, store, lane, type, source, time, boot, received_ms, raw, hash)"
                    " VALUES (?, ?, ?, ?, ?, 't', 's', 'x', 'b', 1, ?, ?)",
                    (chain.stream, seq, place.tenant, place.store, place.lane, chain.raws[seq - 1], chain.hashes[seq]),
                )
        connection.execute("UPDATE events SET dead='bad' WHERE seq=10 AND lane='ledger'")
        waiting = msgspec.json.encode(SALES.batch(18, 19))
        connection.execute("INSERT INTO parked VALUES (?, 18, 19, x'01', ?)", (SALES.stream, waiting))
        connection.execute("COMMIT")
