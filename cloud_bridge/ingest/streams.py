"""The SQL of one stream: its row, the hashes that decide an overlap, and what a decision writes.

Every function runs inside the caller's transaction.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from cloud_bridge.commands.book import note_words
from cloud_bridge.ingest.machine import Accept, Cursor, Link
from cloud_bridge.ingest.screening import Screened, screen
from cloud_bridge.storage import Db, EventRow
from contracts.envelope import Origin, root_hash
from contracts.event_types import EVENT_TYPES, Lane
from contracts.messages import Parent

MAX_STREAMS = 256  # of one lane of one store; a store forks when its disk was restored, not every hour
MAX_PARKED = 64  # batches of one stream
_OF_COMMANDS = frozenset(name for name in EVENT_TYPES if name.startswith("command."))
_STREAM = "SELECT born, tenant, store, lane, watermark, hash FROM streams WHERE stream = ?"


class RefusedStreamError(Exception):
    """A stream that belongs to another store or lane, or one too many. The message is the reason."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose stream it is."""

    tenant: str
    store: str
    lane: Lane


@dataclass(frozen=True, slots=True)
class Held:
    """A stream as this transaction holds it: nobody else writes to it until the end."""

    key: int
    cursor: Cursor
    forked: bool
    """Another stream names it as its parent: what is written here may stand there already."""
    waiting: bool
    """Batches are parked."""


def load(db: Db, stream: str, place: Place) -> Held:
    """The stream, locked until the transaction ends; one not seen before is made. Raises RefusedStreamError."""
    row = db.one(_STREAM, (stream,), lock=True)
    if row is None:
        count = db.one(
            "SELECT count(*) FROM streams WHERE tenant = ? AND store = ? AND lane = ?",
            (place.tenant, place.store, place.lane),
        )
        if count is not None and count[0] >= MAX_STREAMS:
            raise RefusedStreamError("too_many_streams")
        db.execute(  # another bridge may have made it a moment ago
            """
            INSERT INTO streams (stream, tenant, store, lane, watermark, hash) VALUES (?, ?, ?, ?, 0, ?)
            ON CONFLICT DO NOTHING
            """,
            (stream, place.tenant, place.store, place.lane, root_hash(stream)),
        )
        row = db.one(_STREAM, (stream,), lock=True)
    if row is None or row[1:4] != (place.tenant, place.store, place.lane):
        raise RefusedStreamError("stream_of_another_place")
    key, _tenant, _store, _lane, watermark, chain_hash = row
    # Asked after the lock is held: an answer from before could be older than what the lock waited for.
    facts = db.one(
        """
        SELECT EXISTS (SELECT 1 FROM streams WHERE parent = ? AND tenant = ? AND store = ?),
            EXISTS (SELECT 1 FROM parked WHERE stream = ?)
        """,
        (stream, place.tenant, place.store, key),
    )
    forked, waiting = facts or (False, False)
    return Held(key, Cursor(stream, place.lane, watermark, chain_hash), bool(forked), bool(waiting))


def hash_at(db: Db, held: Held, seq: int) -> bytes | None:
    """The chain's hash at `seq`; None beyond the watermark and inside a gap."""
    if seq == 0:
        return root_hash(held.cursor.stream)
    return hashes(db, held.key, seq, seq).get(seq)


def hashes(db: Db, key: int, first: int, last: int) -> dict[int, bytes]:
    """The stored hashes of `first` to `last` of stream number `key`, by sequence."""
    span = (key, first, last)
    found = db.rows("SELECT seq, hash FROM events WHERE stream = ? AND seq BETWEEN ? AND ?", span)
    found += db.rows("SELECT last, last_hash FROM gaps WHERE stream = ? AND last BETWEEN ? AND ?", span)
    return dict(found)


def adopt(db: Db, held: Held, parent: Parent, now_ms: int) -> int:
    """Note the parent of a forked stream, once, and what the cloud has lost of it; how many events were lost."""
    stream = held.cursor.stream
    changed = db.execute(
        "UPDATE streams SET parent = ?, parent_common = ?, parent_hash = ? WHERE born = ? AND parent IS NULL",
        (parent.stream, parent.common, bytes.fromhex(parent.hash), held.key),
    )
    if not changed or parent.stream == stream:
        return 0
    row = db.one("SELECT watermark FROM streams WHERE stream = ?", (parent.stream,))
    watermark = row[0] if row else 0
    if parent.common <= watermark:
        return 0
    db.execute(
        "INSERT INTO lost (stream, first, last, child, noticed_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (parent.stream, watermark + 1, parent.common, stream, now_ms),
    )
    return int(parent.common - watermark)


def screened_of(place: Place, stream: str, links: Sequence[Link]) -> Screened:
    """What the events of a batch are worth; asks nothing of the database."""
    return screen(
        [link.raw for link in links],
        first_seq=links[0].seq if links else 1,
        stream=stream,
        tenant=place.tenant,
        store=place.store,
    )


def write(
    db: Db, held: Held, place: Place, accepted: Accept, screened: Screened, *, now_ms: int, counts: Counter[str]
) -> Held:
    """Store what was accepted and advance the watermark; the stream after it. Adds to `counts`.

    `screened` speaks of the whole batch, whose end was accepted.
    """
    key, cursor = held.key, held.cursor
    if accepted.gap is not None:
        gap = accepted.gap
        db.execute(
            "INSERT INTO gaps (stream, first, last, reason, declared, last_hash, received_ms) VALUES (?,?,?,?,?,?,?)",
            (key, gap.first, gap.last, gap.reason, gap.declared, gap.last_hash, now_ms),
        )
    events = accepted.events
    if events:
        screened = screened.last(len(events))
        repeated = _repeated(db, held, place, events, screened.origins) if screened.origins or held.forked else ()
        if repeated or screened.dead:
            db.insert_events(_rows(key, now_ms, events, screened, repeated))
        else:
            db.insert_batch(key, events[0].seq, now_ms, [link.hash for link in events], screened.raws)
        if place.lane == "ledger" and not _OF_COMMANDS.isdisjoint(screened.types):
            named = zip(events, screened.types, strict=True)
            said = [(link.seq, link.raw) for link, name in named if name in _OF_COMMANDS]
            note_words(db, tenant=place.tenant, store=place.store, stream=cursor.stream, events=said, now_ms=now_ms)
        counts["events_stored"] += len(events)
        counts["events_dead"] += len(screened.dead)
        counts["events_withheld"] += screened.withheld
        counts["events_repeated_by_fork"] += len(repeated)
    db.execute("UPDATE streams SET watermark = ?, hash = ? WHERE born = ?", (accepted.watermark, accepted.hash, key))
    return replace(held, cursor=Cursor(cursor.stream, cursor.lane, accepted.watermark, accepted.hash))


def _rows(
    key: int, now_ms: int, events: Sequence[Link], screened: Screened, repeated: Collection[int]
) -> list[EventRow]:
    """A batch with something unusual in it: dead letters, or copies that a fork brought."""
    rows: list[EventRow] = []
    for index, link in enumerate(events):
        dead = screened.dead.get(index)
        kind = None if dead is None else screened.types[index]
        rows.append((key, link.seq, now_ms, int(index not in repeated), kind, dead, link.hash, screened.raws[index]))
    return rows


def _repeated(
    db: Db, held: Held, place: Place, events: Sequence[Link], origins: Mapping[int, Origin]
) -> Collection[int]:
    """The events (by index) that stand in the database already, under their origin or re-appended before them."""
    keys: dict[str, int] = {}
    for origin in sorted({origin.stream for origin in origins.values()} - {held.cursor.stream}):
        # Held until the end: what another bridge writes there now is either seen here, or sees this.
        row = db.one(
            "SELECT born FROM streams WHERE stream = ? AND tenant = ? AND store = ?",
            (origin, place.tenant, place.store),
            lock=True,
        )
        if row is not None:
            keys[origin] = row[0]
    again = (
        db.rows(
            "SELECT seq, hash FROM origins WHERE stream = ? AND seq BETWEEN ? AND ?",
            (held.cursor.stream, events[0].seq, events[-1].seq),
        )
        if held.forked
        else []
    )
    copied = set(again)
    repeated = set()
    for index, link in enumerate(events):
        origin_ = origins.get(index)
        if origin_ is None:
            if (link.seq, link.hash) in copied:
                repeated.add(index)
            continue
        where = (origin_.stream, origin_.seq, _unhex(origin_.hash))
        # The event itself, not the hash that a gap names: another copy of the disk may have dropped it there.
        held_there = "SELECT hash FROM events WHERE stream = ? AND seq = ?"
        kept = origin_.stream in keys and db.one(held_there, (keys[origin_.stream], origin_.seq))
        fresh = db.execute("INSERT INTO origins (stream, seq, hash) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", where)
        if (kept and bytes(kept[0]) == where[2]) or not fresh:
            repeated.add(index)
    return repeated


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def park(db: Db, held: Held, first: int, last: int, payload: bytes) -> bool:
    """Keep a batch for later; False when too many wait already."""
    count = db.one("SELECT count(*) FROM parked WHERE stream = ?", (held.key,))
    if count is not None and count[0] >= MAX_PARKED:
        return False
    db.execute(
        "INSERT INTO parked (stream, first, last, digest, payload) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (held.key, first, last, hashlib.sha256(payload).digest(), payload),
    )
    return True


def unpark(db: Db, held: Held) -> bytes | None:
    """Take out one parked batch that starts right after the watermark or before; None when none does."""
    row = db.one(
        "SELECT number, payload FROM parked WHERE stream = ? AND first <= ? ORDER BY first, last, number LIMIT 1",
        (held.key, held.cursor.watermark + 1),
    )
    if row is None:
        return None
    db.execute("DELETE FROM parked WHERE number = ?", (row[0],))
    payload: bytes = row[1]
    return payload
