"""The SQL of one stream: its row, the hashes that decide an overlap, and what a decision writes.

Every function runs inside the caller's transaction.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from cloud_bridge.ingest.machine import Accept, Cursor, Link
from cloud_bridge.ingest.screening import Judged, judge
from cloud_bridge.storage import Db
from contracts.envelope import root_hash
from contracts.event_types import Lane
from contracts.messages import Parent

MAX_STREAMS = 256  # of one lane of one store; a store forks when its disk was restored, not every hour
MAX_PARKED = 64  # batches of one stream


class RefusedStreamError(Exception):
    """A stream that belongs to another store or lane, or one too many. The message is the reason."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose stream it is."""

    tenant: str
    store: str
    lane: Lane


def load(db: Db, stream: str, place: Place) -> Cursor:
    """The stream's cursor; a stream not seen before is made. Raises RefusedStreamError."""
    row = db.one("SELECT tenant, store, lane, watermark, hash FROM streams WHERE stream = ?", (stream,), lock=True)
    if row is not None:
        if row[:3] != (place.tenant, place.store, place.lane):
            raise RefusedStreamError("stream_of_another_place")
        return Cursor(stream, place.lane, row[3], row[4])
    held = db.one(
        "SELECT count(*) FROM streams WHERE tenant = ? AND store = ? AND lane = ?",
        (place.tenant, place.store, place.lane),
    )
    if held is not None and held[0] >= MAX_STREAMS:
        raise RefusedStreamError("too_many_streams")
    cursor = Cursor.empty(stream, place.lane)
    db.execute(
        """
        INSERT INTO streams (stream, tenant, store, lane, watermark, hash, forked)
        VALUES (?, ?, ?, ?, 0, ?, (SELECT count(*) > 0 FROM streams WHERE parent = ?))
        """,
        (stream, place.tenant, place.store, place.lane, cursor.hash, stream),
    )
    return cursor


def hash_at(db: Db, cursor: Cursor, seq: int) -> bytes | None:
    """The chain's hash at `seq`; None beyond the watermark and inside a gap."""
    if seq == 0:
        return root_hash(cursor.stream)
    return hashes(db, cursor.stream, seq, seq).get(seq)


def hashes(db: Db, stream: str, first: int, last: int) -> dict[int, bytes]:
    """The stored hashes of `first` to `last`, by sequence."""
    span = (stream, first, last)
    found = db.rows("SELECT seq, hash FROM events WHERE stream = ? AND seq BETWEEN ? AND ?", span)
    found += db.rows("SELECT last, last_hash FROM gaps WHERE stream = ? AND last BETWEEN ? AND ?", span)
    return dict(found)


def adopt(db: Db, stream: str, parent: Parent, now_ms: int) -> int:
    """Note the parent of a forked stream, once, and what the cloud has lost of it; how many events were lost."""
    changed = db.execute(
        "UPDATE streams SET parent = ?, parent_common = ?, parent_hash = ? WHERE stream = ? AND parent IS NULL",
        (parent.stream, parent.common, bytes.fromhex(parent.hash), stream),
    )
    if not changed or parent.stream == stream:
        return 0
    row = db.one("SELECT watermark FROM streams WHERE stream = ?", (parent.stream,))
    watermark = row[0] if row else 0
    db.execute("UPDATE streams SET forked = 1 WHERE stream = ?", (parent.stream,))
    if parent.common <= watermark:
        return 0
    db.execute(
        "INSERT INTO lost (stream, first, last, child, noticed_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (parent.stream, watermark + 1, parent.common, stream, now_ms),
    )
    return int(parent.common - watermark)


def write(db: Db, cursor: Cursor, place: Place, accepted: Accept, *, now_ms: int, counts: Counter[str]) -> Cursor:
    """Store what was accepted and advance the watermark; the stream's new cursor. Adds to `counts`."""
    if accepted.gap is not None:
        gap = accepted.gap
        db.execute(
            "INSERT INTO gaps (stream, first, last, reason, declared, last_hash, received_ms) VALUES (?,?,?,?,?,?,?)",
            (cursor.stream, gap.first, gap.last, gap.reason, gap.declared, gap.last_hash, now_ms),
        )
    judged = [
        judge(link.raw, stream=cursor.stream, seq=link.seq, tenant=place.tenant, store=place.store)
        for link in accepted.events
    ]
    pairs = list(zip(accepted.events, judged, strict=True))
    repeated = _repeated(db, cursor.stream, pairs)
    db.executemany(
        """
        INSERT INTO events
            (stream, seq, tenant, store, lane, type, source, time, boot, received_ms, raw, hash, dead, counted)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            (
                cursor.stream, link.seq, place.tenant, place.store, place.lane, event.type, event.source, event.time,
                event.boot, now_ms, event.raw, link.hash, event.dead, int(link.seq not in repeated),
            )
            for link, event in pairs
        ),
    )  # fmt: skip
    db.execute(
        "UPDATE streams SET watermark = ?, hash = ? WHERE stream = ?",
        (accepted.watermark, accepted.hash, cursor.stream),
    )
    counts["events_stored"] += len(pairs)
    counts["events_dead"] += sum(event.dead is not None for event in judged)
    counts["events_withheld"] += sum(not event.raw for event in judged)
    counts["events_repeated_by_fork"] += len(repeated)
    return Cursor(cursor.stream, cursor.lane, accepted.watermark, accepted.hash)


def _repeated(db: Db, stream: str, pairs: Iterable[tuple[Link, Judged]]) -> set[int]:
    """The sequences whose event stands in the database already, under its origin or re-appended before it."""
    row = db.one("SELECT forked FROM streams WHERE stream = ?", (stream,))
    forked = row is not None and row[0]
    repeated = set()
    for link, event in pairs:
        if event.origin is not None:
            where = (event.origin.stream, event.origin.seq, _unhex(event.origin.hash))
            held = db.one("SELECT 1 FROM events WHERE stream = ? AND seq = ? AND hash = ?", where)
            fresh = db.execute("INSERT INTO origins (stream, seq, hash) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", where)
            if held or not fresh:
                repeated.add(link.seq)
        elif forked and db.one(
            "SELECT 1 FROM origins WHERE stream = ? AND seq = ? AND hash = ?", (stream, link.seq, link.hash)
        ):
            repeated.add(link.seq)
    return repeated


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def park(db: Db, stream: str, first: int, last: int, payload: bytes) -> bool:
    """Keep a batch for later; False when too many wait already."""
    held = db.one("SELECT count(*) FROM parked WHERE stream = ?", (stream,))
    if held is not None and held[0] >= MAX_PARKED:
        return False
    db.execute(
        "INSERT INTO parked (stream, first, last, digest, payload) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (stream, first, last, hashlib.sha256(payload).digest(), payload),
    )
    return True


def unpark(db: Db, stream: str, watermark: int) -> bytes | None:
    """Take out one parked batch that starts at `watermark + 1` or before; None when none does."""
    row = db.one(
        "SELECT rowid, payload FROM parked WHERE stream = ? AND first <= ? ORDER BY first, last, rowid LIMIT 1",
        (stream, watermark + 1),
    )
    if row is None:
        return None
    db.execute("DELETE FROM parked WHERE rowid = ?", (row[0],))
    payload: bytes = row[1]
    return payload
