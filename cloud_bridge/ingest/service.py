"""Hello and batches against the database: one transaction each, and the answer only after its commit."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from cloud_bridge.counters import Counters
from cloud_bridge.ingest import streams
from cloud_bridge.ingest.machine import (
    Accept,
    Cursor,
    Decision,
    Ignore,
    Link,
    Park,
    Refuse,
    decide,
    links_of,
    overlap_of,
)
from cloud_bridge.ingest.screening import Screened
from cloud_bridge.ingest.streams import Held, Place, RefusedStreamError
from cloud_bridge.ingest.window import FULL_WINDOW, ReceiveWindow
from cloud_bridge.storage import Db, Storage
from contracts.clock import Clock, unix_ms
from contracts.messages import Ack, Batch, Hello, HelloAnswer, Refusal

RECEIVE_WINDOW = FULL_WINDOW
log = logging.getLogger("zhanggui.cloud_bridge")
Progress = Callable[[Place, int], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one batch came to: the stream after it, and the reason of a refusal ("" for none)."""

    cursor: Cursor
    refused: str = ""
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Read:
    """What can be known of a batch without the database: read before the transaction, which is then a short one."""

    links: list[Link]
    screened: Screened

    @classmethod
    def of(cls, place: Place, batch: Batch) -> Read:
        """The chain that the batch claims, and what each event is worth."""
        links = links_of(batch)
        return cls(links, streams.screened_of(place, batch.stream, links))


class Ingest:
    """The bridge's half of the wire contract. Wholly stateless but for the database, and how loaded it is.

    `window` is the most that a stream may have in flight, and what may wait parked; what is announced adapts below it.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        counters: Counters,
        window: int = RECEIVE_WINDOW,
        on_progress: Progress | None = None,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._counters = counters
        self._parked_within = window
        self._window = ReceiveWindow(full=window)
        self._on_progress = on_progress

    def queued(self, waiting: int, room: int) -> None:
        """`waiting` messages of stores stand in a queue for `room`: from half full on, stores are told to send less."""
        self._window.queued(waiting, room, asyncio.get_running_loop().time())

    @property
    def announced(self) -> int:
        """Events that a stream may have in flight now."""
        return self._window.size(asyncio.get_running_loop().time())

    async def hello(self, place: Place, hello: Hello) -> HelloAnswer | None:
        """Where the stream stands here; None (counted) for a stream this store may not use."""
        t1 = unix_ms(self._clock.wall())
        try:
            answer, lost = await self._storage.write(lambda db: self._hello(db, place, hello, t1))
        except RefusedStreamError as error:
            self._counters.add(f"hello_refused_{error}")
            return None
        if lost:
            self._counters.add("events_lost_by_cloud", lost)
            log.error(
                "%s/%s: of the %s lane this cloud lost %d events it had confirmed",
                place.tenant,
                place.store,
                place.lane,
                lost,
            )
        return msgspec.structs.replace(answer, window=self.announced, t1=t1, t2=unix_ms(self._clock.wall()))

    async def batch(self, place: Place, batch: Batch) -> Ack:
        """The ack or the refusal of a batch, after the commit. Raises what the commit raised: then nothing is known."""
        now_ms = unix_ms(self._clock.wall())
        loop = asyncio.get_running_loop()
        read = Read.of(place, batch)
        began_s = loop.time()
        try:
            outcome = await self._storage.write(
                lambda db: apply_batch(db, place, batch, now_ms=now_ms, window=self._parked_within, read=read)
            )
        except RefusedStreamError as error:
            self._counters.add(f"batch_refused_{error}")
            return Ack(
                stream=batch.stream, nonce=batch.nonce, refused=Refusal(first_seq=batch.first_seq, reason=str(error))
            )
        self._window.committed(loop.time() - began_s, loop.time())
        for name, count in outcome.counts.items():  # only what was committed is counted
            self._counters.add(name, count)
        if outcome.refused:
            self._counters.add(f"batch_refused_{outcome.refused}")
            return Ack(
                stream=batch.stream,
                nonce=batch.nonce,
                refused=Refusal(first_seq=batch.first_seq, reason=outcome.refused),
            )
        if self._on_progress is not None:
            self._on_progress(place, outcome.cursor.watermark)
        return Ack(
            stream=batch.stream,
            nonce=batch.nonce,
            watermark=outcome.cursor.watermark,
            hash_at_watermark=outcome.cursor.hash.hex(),
            window=self.announced,
        )

    def _hello(self, db: Db, place: Place, hello: Hello, now_ms: int) -> tuple[HelloAnswer, int]:
        held = streams.load(db, hello.stream, place)
        cursor = held.cursor
        lost = 0 if hello.parent is None else streams.adopt(db, held, hello.parent, now_ms)
        probe = None if hello.probe is None else streams.hash_at(db, held, hello.probe)
        answer = HelloAnswer(
            nonce=hello.nonce,
            stream=hello.stream,
            watermark=cursor.watermark,
            hash_at_watermark=cursor.hash.hex(),
            active=take_lease(db, place, hello.instance, now_ms) == hello.instance,
            window=self._parked_within,  # `hello` says what is announced now
            t0=hello.t0,
            t1=now_ms,
            t2=now_ms,
            hash_at_probe=None if probe is None else probe.hex(),
        )
        return answer, lost


def take_lease(db: Db, place: Place, instance: str, now_ms: int) -> str:
    """The instance that may speak for the store: the first that said hello, until an operator moves the lease."""
    db.execute(
        "INSERT INTO leases (tenant, store, instance, since_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (place.tenant, place.store, instance, now_ms),
    )
    row = db.one("SELECT instance FROM leases WHERE tenant = ? AND store = ?", (place.tenant, place.store))
    return str(row[0]) if row else ""


async def move_lease(storage: Storage, *, tenant: str, store: str, instance: str, now_ms: int) -> None:
    """An operator's act: from now on `instance` speaks for the store; the other stands by at its next hello."""

    def move(db: Db) -> None:
        db.execute(
            """
            INSERT INTO leases (tenant, store, instance, since_ms) VALUES (?, ?, ?, ?)
            ON CONFLICT (tenant, store) DO UPDATE SET instance = excluded.instance, since_ms = excluded.since_ms
            """,
            (tenant, store, instance, now_ms),
        )

    await storage.write(move)


def apply_batch(db: Db, place: Place, batch: Batch, *, now_ms: int, window: int, read: Read | None = None) -> Outcome:
    """Decide and write one batch, then the parked ones it makes room for. Raises RefusedStreamError."""
    counts: Counter[str] = Counter()
    read = Read.of(place, batch) if read is None else read
    held = streams.load(db, batch.stream, place)
    match _decide(db, held, batch, window, read):
        case Refuse(reason=reason):
            return Outcome(held.cursor, reason)
        case Ignore(reason=reason):
            counts[f"batch_ignored_{reason}"] += 1
        case Park(first=first, last=last):
            parked = streams.park(db, held, first, last, msgspec.json.encode(batch))
            counts["batch_parked" if parked else "batch_ignored_too_many_parked"] += 1
        case Accept(watermark=held.cursor.watermark):
            counts["batch_repeated"] += 1
        case Accept() as accepted:
            held = streams.write(db, held, place, accepted, read.screened, now_ms=now_ms, counts=counts)
            while held.waiting and (payload := streams.unpark(db, held)) is not None:
                waited = msgspec.json.decode(payload, type=Batch)
                read = Read.of(place, waited)
                again = _decide(db, held, waited, window, read)  # nothing is believed because it waited
                if not isinstance(again, Accept):
                    counts["parked_put_aside"] += 1
                elif again.watermark > held.cursor.watermark:
                    held = streams.write(db, held, place, again, read.screened, now_ms=now_ms, counts=counts)
    return Outcome(held.cursor, counts=counts)


def _decide(db: Db, held: Held, batch: Batch, window: int, read: Read) -> Decision:
    span = overlap_of(held.cursor, batch)
    known = streams.hashes(db, held.key, *span) if span else {}
    return decide(held.cursor, batch, known, window=window, links=read.links)
