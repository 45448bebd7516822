"""How fast the store's ledger takes events, and how fast it drains into the cloud.

A real ledger is filled with the events of snack sales; a real uplink sends them through the embedded broker to a real
bridge, until the cloud has confirmed the last one. Two limits stand beside it in every round: plain sqlite3 writing
the same bytes, and the same batches sent over the same broker to somebody who throws them away.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import aiomqtt
import msgspec

from benchmarks.stand import BenchmarkError, bridge, broker, cpu_s, options
from benchmarks.table import Figure, show
from cloud_bridge.storage import open_reader
from contracts.clock import SystemClock
from contracts.event_types import (
    CabinetDoorClosed,
    CabinetDoorOpened,
    CabinetSessionEnded,
    CabinetSessionStarted,
    CabinetSettlementResolved,
    CabinetStockChanged,
    CabinetUnlockCompleted,
    CabinetUnlockGranted,
    EventData,
    Line,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentRequested,
    ShelfDelta,
    ShelfWeight,
)
from contracts.messages import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, Batch, encode_message
from edge.ledger import Ledger
from edge.ports import Record, Transaction
from edge.uplink import Uplink

TENANT, STORE = "bench", "s001"
GROUP_ROWS = 500
WRITERS = 64
DRAIN_WITHIN_S = 60.0
RAW_TOPIC = "benchmark/raw"


@dataclass(slots=True)
class Rates:
    """One list a measurement, one value a round: events a second, or microseconds of processor an event."""

    grouped: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    sqlite_alone: list[float] = field(default_factory=list)
    sqlite_grouped: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)
    drain: list[float] = field(default_factory=list)
    store_cpu_us: list[float] = field(default_factory=list)
    bridge_cpu_us: list[float] = field(default_factory=list)


def sale_events(rng: Random) -> Iterator[EventData]:
    """One snack sale after another, event for event as a self-service cabinet of the demo writes them."""
    while True:
        session = f"{rng.getrandbits(80):020x}"
        intent, units = f"{session}-1", rng.randint(1, 3)
        book_g = [round(3000 + rng.random() * 2000, 1) for _ in "abc"]
        weights = [
            ShelfWeight(shelf=f"S1-{s}", book_g=g, fresh_g=g - 0.2, epoch=0) for s, g in zip("abc", book_g, strict=True)
        ]
        deltas = [
            ShelfDelta(shelf=f"S1-{s}", delta_g=d, book_g=round(g - d, 1), epoch=0)
            for s, g, d in zip("abc", book_g, (62.5 * units, 0.2, 0.1), strict=True)
        ]
        line = Line(sku="690001", qty=units, price_fen=650, shelf="S1-a")
        yield CabinetSessionStarted(
            session=session, cabinet="S1", compartment="S1-door", mode="self_service", actor_ref="m0001"
        )
        yield PaymentRequested(session=session, kind="authorise", key=session, amount_fen=20_000)
        yield PaymentAuthorised(session=session, key=session, amount_fen=20_000)
        yield CabinetUnlockGranted(
            session=session,
            intent=intent,
            attempt=1,
            board=1,
            channel=1,
            weights=tuple(weights),
            rule_ids=("revoke", "T11", "T14"),
            policy_version="demo-1",
        )
        yield CabinetUnlockCompleted(session=session, intent=intent, result="opened", latency_ms=7.412)
        yield CabinetDoorOpened(compartment="S1-door", session=session)
        yield CabinetDoorClosed(compartment="S1-door", session=session, open_s=11.258)
        yield CabinetSettlementResolved(session=session, lines=(line,), shelves=tuple(deltas))
        yield CabinetStockChanged(shelf="S1-a", sku="690001", delta_units=-units, evidence="weight", session=session)
        yield PaymentRequested(session=session, kind="capture", key=session, amount_fen=650 * units)
        yield PaymentCaptured(session=session, key=session, amount_fen=650 * units)
        yield CabinetSessionEnded(session=session, outcome="settled")


# ------------------------------------------------------------------ appends


async def append_grouped(ledger: Ledger, events: Sequence[EventData]) -> float:
    """Events a second, each in a transaction of its own, many callers waiting at once."""
    waiting = iter(events)

    async def caller() -> None:
        for event in waiting:
            await ledger.commit(Transaction(records=(Record(event, "S1"),)))

    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(caller(), name=f"caller-{number}")
    return len(events) / (time.perf_counter() - began_s)


async def append_alone(ledger: Ledger, events: Sequence[EventData]) -> float:
    """Events a second when one caller waits for each before the next."""
    began_s = time.perf_counter()
    for event in events:
        await ledger.commit(Transaction(records=(Record(event, "S1"),)))
    return len(events) / (time.perf_counter() - began_s)


def insert(path: Path, raws: Sequence[bytes], rows_a_commit: int) -> float:
    """Rows a second of plain sqlite3, as durable as the ledger: WAL, every commit synced."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, raw BLOB NOT NULL)")
        began_s = time.perf_counter()
        for start in range(0, len(raws), rows_a_commit):
            connection.execute("BEGIN IMMEDIATE")
            rows = ((raw,) for raw in raws[start : start + rows_a_commit])
            connection.executemany("INSERT INTO event (raw) VALUES (?)", rows)
            connection.execute("COMMIT")
        return len(raws) / (time.perf_counter() - began_s)


# ------------------------------------------------------------------ the way to the cloud


async def batches_of(ledger: Ledger, after_seq: int) -> list[Batch]:
    """What the uplink would send of everything after `after_seq`."""
    lane, found = ledger.lane("ledger"), []
    while after_seq < lane.tail.seq:
        part = await lane.read(after_seq, MAX_BATCH_EVENTS, MAX_BATCH_BYTES - 1024)
        batch = Batch(
            stream=part.stream,
            nonce="0" * 36,
            first_seq=part.first_seq,
            prev_hash=part.prev_hash.hex(),
            events=[msgspec.Raw(raw) for raw in part.events],
            last_hash=part.last_hash.hex(),
        )
        found.append(batch)
        after_seq = part.last_seq
    return found


async def send_raw(url: str, batches: Sequence[Batch]) -> float:
    """Events a second over the bare broker: each batch encoded and published as the uplink does, then thrown away."""
    parts = urlsplit(url)
    assert parts.hostname
    address = {"hostname": parts.hostname, "port": parts.port or 1883}
    v5 = aiomqtt.ProtocolVersion.V5
    async with (
        aiomqtt.Client(**address, protocol=v5) as receiver,  # type: ignore[arg-type]  # a host and a port
        aiomqtt.Client(**address, protocol=v5) as sender,  # type: ignore[arg-type]  # a host and a port
    ):
        await receiver.subscribe(RAW_TOPIC, qos=1)

        async def receive() -> None:
            left = len(batches)
            async for _ in receiver.messages:
                left -= 1
                if not left:
                    return

        began_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            group.create_task(receive(), name="receiver")
            for batch in batches:
                payload, _ = encode_message(batch)
                await sender.publish(RAW_TOPIC, payload, qos=1)
        return sum(len(batch.events) for batch in batches) / (time.perf_counter() - began_s)


async def drain(ledger: Ledger, uplink: Uplink, bridge_pid: int, rates: Rates) -> None:
    """Run the uplink until the cloud has confirmed everything. Raises BenchmarkError if it does not."""
    lane = ledger.lane("ledger")
    target, events = lane.tail.seq, lane.waiting
    bridge_began_s, store_began_s, began_s = cpu_s(bridge_pid), cpu_s(os.getpid()), time.perf_counter()
    running = asyncio.create_task(uplink.run(), name="uplink")
    try:
        async with asyncio.timeout(DRAIN_WITHIN_S):
            while lane.freed.seq < target:  # noqa: ASYNC110 - nothing tells of a confirmation
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise BenchmarkError(f"the cloud confirmed {lane.freed.seq} of {target} events: {uplink.counters}") from None
    finally:
        took_s = time.perf_counter() - began_s
        rates.drain.append(events / took_s)
        rates.store_cpu_us.append((cpu_s(os.getpid()) - store_began_s) / events * 1e6)
        rates.bridge_cpu_us.append((cpu_s(bridge_pid) - bridge_began_s) / events * 1e6)
        running.cancel()
        await asyncio.wait({running})


# ------------------------------------------------------------------ together


async def measure(folder: Path, url: str, database: Path, bridge_pid: int, sizes: tuple[int, int, int]) -> Rates:
    """All rounds. `sizes`: events to drain a round, events appended alone, rounds."""
    count, few, rounds = sizes
    rng, clock, rates = Random(7), SystemClock(), Rates()
    events = sale_events(rng)
    boot = "benchmark"
    ledger = await Ledger.open(
        folder / "ledger.db", clock=clock, tenant=TENANT, store=STORE, boot=boot, machine="benchmark"
    )
    uplink = Uplink(
        ledger=ledger,
        clock=clock,
        rng=rng,
        url=url,
        tenant=TENANT,
        store=STORE,
        instance="benchmark",
        boot=boot,
        agent_version="benchmark",
    )
    try:
        for number in range(rounds):
            after_seq = ledger.lane("ledger").tail.seq
            rates.alone.append(await append_alone(ledger, list(islice(events, few))))
            rates.grouped.append(await append_grouped(ledger, list(islice(events, count - few))))
            batches = await batches_of(ledger, after_seq)
            raws = [bytes(raw) for batch in batches for raw in batch.events]
            plain = folder / f"plain-{number}.db"
            rates.sqlite_alone.append(await asyncio.to_thread(insert, plain, raws[:few], 1))
            rates.sqlite_grouped.append(await asyncio.to_thread(insert, plain, raws, GROUP_ROWS))
            rates.raw.append(await send_raw(url, batches))
            await drain(ledger, uplink, bridge_pid, rates)
        held, kept = _held(database), ledger.lane("ledger").tail.seq
        if held < rounds * count:
            raise BenchmarkError(f"the cloud holds {held} events, the ledger has written {kept}")
    finally:
        await ledger.close()
    return rates


def _held(database: Path) -> int:
    with closing(open_reader(database)) as db:
        return int(db.rows("SELECT count(*) FROM events")[0][0])


def figures(rates: Rates) -> list[Figure]:
    """Medians of the rates, and medians of the ratios that each round gave."""

    def row(what: str, mine: list[float], limit: list[float] | None = None, against: str = "") -> Figure:
        ratio = statistics.median(a / b for a, b in zip(mine, limit, strict=True)) if limit else None
        return Figure(what, statistics.median(mine), "events/s", ratio, against)

    cpu = (("store: ledger and uplink", rates.store_cpu_us), ("bridge: ingest and read models", rates.bridge_cpu_us))
    grouped = f"sqlite3, {GROUP_ROWS} rows a commit"
    return [
        row("drained into the cloud and confirmed", rates.drain, rates.sqlite_grouped, grouped),
        row("the same", rates.drain, rates.raw, "the batches over MQTT, thrown away"),
        row(
            f"durable appends, {WRITERS} callers at once", rates.grouped, rates.sqlite_alone, "sqlite3, a commit a row"
        ),
        row("durable appends, one caller", rates.alone, rates.sqlite_alone, "sqlite3, a commit a row"),
        row(f"limit: {grouped}", rates.sqlite_grouped),
        row("limit: sqlite3, a commit a row", rates.sqlite_alone),
        row("limit: the batches over MQTT, thrown away", rates.raw),
        *(Figure(f"processor, {who}", statistics.median(us), "µs/event") for who, us in cpu),
    ]


def main() -> int:
    """Measure and print; 1 if the events did not arrive."""
    parser = options("drain", __doc__, "--events 20000 --rounds 3")
    parser.add_argument("--events", type=int, default=20_000, help="events to drain in a round")
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken over so many")
    asked = parser.parse_args()
    sizes = (600, 50, 1) if asked.quick else (asked.events, min(1000, asked.events // 2), asked.rounds)
    with tempfile.TemporaryDirectory(prefix="zhanggui-drain-") as name:
        folder = Path(name)
        try:
            with broker(folder) as (url, _), bridge(folder, url) as (database, bridge_pid):
                rates = asyncio.run(measure(folder, url, database, bridge_pid, sizes))
        except BenchmarkError as error:
            print(error, file=sys.stderr)
            return 1
    show(f"drain: {sizes[0]} events a round, {sizes[2]} rounds, medians", figures(rates), as_json=asked.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
