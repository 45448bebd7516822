"""Leaving a stream for a new one: everything after a common place is written again, each event with its origin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from contracts.envelope import Origin, Stamp, decode_envelope, next_hash, root_hash
from contracts.event_types import Lane, StreamForked
from contracts.ids import new_uuid
from contracts.messages import Parent
from edge.ledger.errors import ForkRefusedError
from edge.ledger.lane_rows import hash_at
from edge.ledger.rows import LaneRow, Mark
from edge.ledger.schema import TABLES
from edge.ledger.store import Store

FORK_CHUNK_ROWS = 512


def fork(
    store: Store,
    name: Lane,
    common: int,
    reason: str,
    stamp: Stamp,
    *,
    stream: str | None = None,
    lost: tuple[int, int] = (0, 0),
) -> None:
    """Leave the stream after `common`: a new stream that names its parent and holds the events after `common` again,
    each with its origin, and a `stream.forked` that names what the cloud has `lost` of the parent (first, last).
    One transaction. Raises ForkRefusedError, LedgerFullError.
    """
    old = store.lanes[name]
    if stream not in (None, old.stream):
        raise ForkRefusedError(f"{name}: {stream} is not the current stream")
    parent_hash = hash_at(store.connection, old, common)
    if parent_hash is None:
        raise ForkRefusedError(f"{name}: {common} is not retained ({old.freed.seq} to {old.tail.seq} are)")
    with store.transaction(large=True):
        leave(store, old, common, parent_hash)
        said = StreamForked(
            lane=name, parent=old.stream, common=common, reason=reason, lost_first=lost[0], lost_last=lost[1]
        )
        store.add(said, stamp)


def leave(store: Store, old: LaneRow, common: int, digest: bytes) -> None:
    """Start a new stream that names `old` as its parent, inside the transaction that is open.

    Rows are written again in place: the new sequence of an event is never above its old one, so ascending order
    overwrites only rows that were read, and a backlog of any size passes in chunks. What was confirmed and still stood
    there for eyes at the store goes: its sequences are those of the new stream now.
    """
    fresh = new_uuid()
    root = Mark(0, root_hash(fresh))
    parent = Parent(stream=old.stream, common=common, hash=digest.hex())
    lane = LaneRow(old.name, fresh, parent, root, root, 0, root)
    table, tail = TABLES[lane.name], lane.tail
    for seq, raw, row_digest in _chunks(store, lane.name, max(common, old.dropped_seq)):
        again, tail = _appended(tail, fresh, raw, Origin(stream=old.stream, seq=seq, hash=row_digest.hex()))
        store.connection.execute(
            f"INSERT OR REPLACE INTO {table} (seq, raw, hash) VALUES (?, ?, ?)",  # noqa: S608  # names from our own table
            (tail.seq, again, tail.hash),
        )
    store.connection.execute(f"DELETE FROM {table} WHERE seq>?", (tail.seq,))  # noqa: S608  # names from our own table
    store.connection.execute("UPDATE sqlite_sequence SET seq=? WHERE name=?", (tail.seq, table))
    store.connection.execute("DELETE FROM confirmed WHERE lane=?", (lane.name,))
    store.lanes = {**store.lanes, lane.name: msgspec.structs.replace(lane, tail=tail)}


def append_again(store: Store, name: Lane, events: Iterable[tuple[str, int, bytes, bytes]]) -> int:
    """Append events of other streams, as (stream, seq, raw, hash), each with its origin, inside the transaction that is
    open; how many."""
    lane = store.lanes[name]
    tail = lane.tail
    for stream, seq, raw, digest in events:
        again, tail = _appended(tail, lane.stream, raw, Origin(stream=stream, seq=seq, hash=digest.hex()))
        store.connection.execute(
            f"INSERT INTO {TABLES[name]} (seq, raw, hash) VALUES (?, ?, ?)",  # noqa: S608  # names from our own table
            (tail.seq, again, tail.hash),
        )
    store.lanes = {**store.lanes, name: msgspec.structs.replace(lane, tail=tail)}
    return tail.seq - lane.tail.seq


def _appended(tail: Mark, stream: str, raw: bytes, origin: Origin) -> tuple[bytes, Mark]:
    again = reappended(raw, stream=stream, seq=tail.seq + 1, origin=origin)
    return again, Mark(tail.seq + 1, next_hash(tail.hash, again))


def reappended(raw: bytes, *, stream: str, seq: int, origin: Origin) -> bytes:
    """The bytes of an event in a new stream; an event that was re-appended before keeps its first origin."""
    envelope = decode_envelope(raw)
    return msgspec.json.encode(
        msgspec.structs.replace(envelope, id=f"{stream}:{seq}", sequence=seq, origin=envelope.origin or origin)
    )


def _chunks(store: Store, name: Lane, after_seq: int) -> Iterator[tuple[int, bytes, bytes]]:
    while rows := store.rows(name, after_seq, FORK_CHUNK_ROWS):
        yield from rows
        after_seq = rows[-1][0]
