"""Everything the ledger does with SQLite: synchronous, in one thread, one transaction a call."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from contracts.envelope import (
    MAX_EVENT_BYTES,
    EventTooLargeError,
    Origin,
    Stamp,
    decode_envelope,
    encode_event,
    next_hash,
    root_hash,
)
from contracts.event_types import LANES, EventData, Lane, LedgerDamaged, StreamForked, TelemetryDropped, lane_of
from contracts.ids import new_uuid
from contracts.messages import Gap, Parent
from edge.ledger.errors import ForkRefusedError
from edge.ledger.heal import Salvage, find_damage
from edge.ledger.rows import LaneRow, Mark, Pending, Slice
from edge.ledger.schema import TABLES
from edge.ports import LedgerFullError, Transaction

FREE_CHUNK_ROWS = 4096  # rows freed in one transaction, so that a large confirmation never holds up a sale
FORK_CHUNK_ROWS = 512
ORIGIN_BYTES = 512  # kept free in every event: a fork writes its origin into it and the limit still holds
DROP_REASON = "overflow"

_INSERT = {lane: f"INSERT INTO {table} (seq, raw, hash) VALUES (?, ?, ?)" for lane, table in TABLES.items()}  # noqa: S608  # names from our own table
_QUARANTINE = {
    lane: f"INSERT INTO quarantine (lane, stream, seq, raw, hash, reason) SELECT ?, ?, seq, raw, hash, ? FROM {table} WHERE seq=?"  # noqa: S608,E501  # names from our own table
    for lane, table in TABLES.items()
}
_PROBE = f"INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', printf('%.{MAX_EVENT_BYTES}c', ' '))"  # noqa: S608  # a number of ours
_SAVE_LANE = (
    "UPDATE lane SET stream=?, parent=?, tail_seq=?, tail_hash=?, freed_seq=?, freed_hash=?, dropped_seq=? WHERE name=?"
)


def load_lanes(connection: sqlite3.Connection) -> dict[Lane, LaneRow]:
    """The lanes as the file holds them."""
    rows = connection.execute(
        "SELECT name, stream, parent, tail_seq, tail_hash, freed_seq, freed_hash, dropped_seq FROM lane"
    ).fetchall()
    return {
        name: LaneRow(
            name=name,
            stream=stream,
            parent=msgspec.json.decode(parent, type=Parent) if parent else None,
            tail=Mark(tail_seq, tail_hash),
            freed=Mark(freed_seq, freed_hash),
            dropped_seq=dropped_seq,
        )
        for name, stream, parent, tail_seq, tail_hash, freed_seq, freed_hash, dropped_seq in rows
    }


def hash_at(connection: sqlite3.Connection, lane: LaneRow, seq: int) -> bytes | None:
    """The hash of the chain at `seq`; None where the lane does not retain it."""
    if seq == lane.freed.seq:
        return lane.freed.hash
    if not lane.freed.seq < seq <= lane.tail.seq:
        return None
    found = connection.execute(f"SELECT hash FROM {TABLES[lane.name]} WHERE seq=?", (seq,)).fetchall()  # noqa: S608  # names from our own table
    return found[0][0] if found else None


class Store:
    """The ledger's transactions. `lanes` is what is committed, between calls."""

    def __init__(self, connection: sqlite3.Connection, *, tenant: str, store: str, telemetry_rows: int) -> None:
        self.connection = connection
        self.lanes = load_lanes(connection)
        self._source = f"/{tenant}/{store}/"
        self._telemetry_rows = telemetry_rows

    # -------------------------------------------------------------- commits

    def commit(self, group: Sequence[Pending]) -> list[Exception | None]:
        """Make every transaction of `group` durable with one fsync; an error stands at the place of its own.

        If the whole cannot be made durable, each is tried alone, so that one that does not fit fails alone.
        """
        try:
            self._begin()
        except sqlite3.Error as error:
            return [_full(error)] * len(group)
        before = dict(self.lanes)
        try:
            outcomes = [self._apply(pending) for pending in group]
            self._finish()
        except sqlite3.Error as error:
            self._undo(before)
            if len(group) > 1:
                return [self.commit([pending])[0] for pending in group]
            return [_full(error)]
        except BaseException:
            self._undo(before)
            raise
        return outcomes

    def probe(self) -> LedgerFullError | None:
        """Try to make as much durable as one large event needs, and take it away again; why it did not work."""
        try:
            for statement in (_PROBE, "DELETE FROM meta WHERE key='probe'"):
                self._begin()
                self.connection.execute(statement)
                self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo(self.lanes)
            return _full(error)
        return None

    def _apply(self, pending: Pending) -> Exception | None:
        """Encode first, then write: an event that is refused leaves nothing behind."""
        lanes, transaction = dict(self.lanes), pending.transaction
        try:
            rows = [self._encode(lanes, r.data, r.device, pending.stamp) for r in transaction.records]
            drop = self._overflow(lanes)
            if drop is not None:
                rows.append(self._encode(lanes, drop, "agent", pending.stamp))
            _check_state(transaction)
        except (ValueError, TypeError, OverflowError, msgspec.MsgspecError) as error:
            return error
        for name, seq, raw, digest in rows:
            self.connection.execute(_INSERT[name], (seq, raw, digest))
        if drop is not None:
            table = TABLES["telemetry"]
            self.connection.execute(f"UPDATE {table} SET raw=NULL WHERE seq BETWEEN ? AND ?", (drop.first, drop.last))  # noqa: S608  # names from our own table
        self.connection.executemany("DELETE FROM state WHERE kind=? AND key=?", transaction.deletes)
        self.connection.executemany(
            "INSERT OR REPLACE INTO state (kind, key, value) VALUES (?, ?, ?)",
            [(kind, key, value) for (kind, key), value in transaction.puts.items()],
        )
        self.lanes = lanes
        return None

    def _encode(
        self, lanes: dict[Lane, LaneRow], data: EventData, device: str, stamp: Stamp
    ) -> tuple[Lane, int, bytes, bytes]:
        """The next row of the event's lane; moves that lane's tail in `lanes`."""
        name = lane_of(data.TYPE)
        lane = lanes[name]
        seq = lane.tail.seq + 1
        raw = encode_event(data, stream=lane.stream, seq=seq, source=self._source + device, stamp=stamp)
        if len(raw) > MAX_EVENT_BYTES - ORIGIN_BYTES:
            raise EventTooLargeError(f"{data.TYPE}: {len(raw)} bytes, at most {MAX_EVENT_BYTES - ORIGIN_BYTES}")
        digest = next_hash(lane.tail.hash, raw)
        lanes[name] = replace(lane, tail=Mark(seq, digest))
        return name, seq, raw, digest

    def _overflow(self, lanes: dict[Lane, LaneRow]) -> TelemetryDropped | None:
        """The run of oldest telemetry to drop, if there is more than may be kept. A tenth at a time makes one event
        a run, not one a row."""
        lane = lanes["telemetry"]
        excess = lane.kept - self._telemetry_rows
        if excess <= 0:
            return None
        count = excess + max(1, self._telemetry_rows // 10) - 1
        first = max(lane.freed.seq, lane.dropped_seq) + 1
        last = first + count - 1
        lanes["telemetry"] = replace(lane, dropped_seq=last)
        return TelemetryDropped(stream=lane.stream, first=first, last=last, count=count, reason=DROP_REASON)

    # -------------------------------------------------------------- reads

    def state(self) -> dict[str, dict[str, bytes]]:
        """All durable state, by kind and key."""
        kinds: dict[str, dict[str, bytes]] = {}
        for kind, key, value in self.connection.execute("SELECT kind, key, value FROM state"):
            kinds.setdefault(kind, {})[key] = value
        return kinds

    def read(self, name: Lane, after_seq: int, max_events: int, max_bytes: int) -> Slice:
        """What follows `after_seq`: at most `max_events` and `max_bytes`, but at least one event if there is one.

        Raises ValueError for a place that is not retained.
        """
        lane = self.lanes[name]
        prev_hash = hash_at(self.connection, lane, after_seq)
        if prev_hash is None:
            raise ValueError(f"{name}: {after_seq} is not retained ({lane.freed.seq} to {lane.tail.seq} are)")
        gap, start, last_hash = None, after_seq, prev_hash
        if after_seq < lane.dropped_seq:
            start = lane.dropped_seq
            last_hash = hash_at(self.connection, lane, start) or b""
            gap = Gap(
                first=after_seq + 1,
                last=start,
                reason=DROP_REASON,
                count=start - after_seq,
                last_hash=last_hash.hex(),
            )
        events: list[bytes] = []
        size = 0
        for _, raw, digest in self._rows(name, start, max_events):
            size += len(raw) + 1  # the comma
            if events and size > max_bytes:
                break
            events.append(raw)
            last_hash = digest
        return Slice(lane.stream, start + 1, prev_hash, events, last_hash, gap)

    def _rows(self, name: Lane, after_seq: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        query = f"SELECT seq, raw, hash FROM {TABLES[name]} WHERE seq>? ORDER BY seq LIMIT ?"  # noqa: S608  # names from our own table
        return self.connection.execute(query, (after_seq, limit)).fetchall()

    # -------------------------------------------------------------- confirmation and forks

    def confirm(self, name: Lane, seq: int) -> bool:
        """Free events up to `seq`, a chunk a call; True once all are freed. Raises LedgerFullError."""
        lane = self.lanes[name]
        target = min(seq, lane.freed.seq + FREE_CHUNK_ROWS)
        if target > lane.tail.seq:
            raise ValueError(f"{name}: cannot free {seq}, the tail is {lane.tail.seq}")
        if target <= lane.freed.seq:
            return True
        before = dict(self.lanes)
        try:
            self._begin()
            digest = hash_at(self.connection, lane, target)
            assert digest is not None, f"{name}: no hash at {target}"
            self.connection.execute(f"DELETE FROM {TABLES[name]} WHERE seq<=?", (target,))  # noqa: S608  # names from our own table
            self.lanes = {**self.lanes, name: replace(lane, freed=Mark(target, digest))}
            self._finish()
        except sqlite3.Error as error:
            self._undo(before)
            raise _full(error) from error
        return target >= seq

    def fork(self, name: Lane, common: int, reason: str, stamp: Stamp, stream: str | None = None) -> None:
        """Leave the stream after `common`: a new stream that names its parent and holds the events after `common`
        again, each with its origin, and a `stream.forked`. One transaction. Raises ForkRefusedError, LedgerFullError.
        """
        old = self.lanes[name]
        if stream not in (None, old.stream):
            raise ForkRefusedError(f"{name}: {stream} is not the current stream")
        parent_hash = hash_at(self.connection, old, common)
        if parent_hash is None:
            raise ForkRefusedError(f"{name}: {common} is not retained ({old.freed.seq} to {old.tail.seq} are)")
        before = dict(self.lanes)
        try:
            self._begin()
            self._leave(old, common, parent_hash)
            self._tell(StreamForked(lane=name, parent=old.stream, common=common, reason=reason), stamp)
            self._finish()
        except sqlite3.Error as error:
            self._undo(before)
            raise _full(error) from error

    def heal(self, stamp: Stamp) -> list[LedgerDamaged]:
        """Fork every lane whose chain is broken, at what is confirmed; set broken rows aside; return what was found."""
        found: list[LedgerDamaged] = []
        for name in LANES:
            lane = self.lanes[name]
            damage = find_damage(self.connection, lane)
            if damage is None:
                continue
            self._begin()
            for seq in damage.bad:
                self.connection.execute(_QUARANTINE[name], (name, lane.stream, "breaks the chain", seq))
                self.connection.execute(f"DELETE FROM {TABLES[name]} WHERE seq=?", (seq,))  # noqa: S608  # names from our own table
            self._leave(lane, *lane.freed)  # nothing after it is known to be in the cloud, so all of it goes again
            self._tell(StreamForked(lane=name, parent=lane.stream, common=lane.freed.seq, reason="damaged"), stamp)
            detail = f"{len(damage.bad)} places broken, {damage.missing} rows missing; what was readable is kept aside"
            event = LedgerDamaged(lane=name, first=damage.first, last=damage.last, detail=detail)
            self._tell(event, stamp)
            self._finish()
            found.append(event)
        return found

    def adopt(self, saved: Salvage, detail: str, stamp: Stamp) -> list[LedgerDamaged]:
        """Re-append what an unreadable file still gave, each with its origin, and say so. One transaction."""
        self._begin()
        found: list[LedgerDamaged] = []
        for name, events in saved.events.items():
            tail = self.lanes[name].tail
            for stream, seq, raw, digest in events:
                origin = Origin(stream=stream, seq=seq, hash=digest.hex())
                again = reappended(raw, stream=self.lanes[name].stream, seq=tail.seq + 1, origin=origin)
                tail = Mark(tail.seq + 1, next_hash(tail.hash, again))
                self.connection.execute(_INSERT[name], (tail.seq, again, tail.hash))
            self.lanes = {**self.lanes, name: replace(self.lanes[name], tail=tail)}
            seqs = [seq for _, seq, _, _ in events]
            said = f"{detail}; {len(events)} events were saved"
            found.append(LedgerDamaged(lane=name, first=min(seqs, default=0), last=max(seqs, default=0), detail=said))
        rows = [(kind, key, value) for (kind, key), value in saved.state.items()]
        self.connection.executemany("INSERT OR REPLACE INTO state (kind, key, value) VALUES (?, ?, ?)", rows)
        for event in found:
            self._tell(event, stamp)
        self._finish()
        return found

    def _tell(self, data: EventData, stamp: Stamp) -> None:
        """Append one event of the ledger's own, inside the transaction that is open."""
        lanes = dict(self.lanes)
        name, seq, raw, digest = self._encode(lanes, data, "agent", stamp)
        self.connection.execute(_INSERT[name], (seq, raw, digest))
        self.lanes = lanes

    def _leave(self, old: LaneRow, common: int, digest: bytes) -> None:
        """Start a new stream that names `old` as its parent, inside the transaction that is open."""
        fresh = new_uuid()
        root = Mark(0, root_hash(fresh))
        parent = Parent(stream=old.stream, common=common, hash=digest.hex())
        self._start_stream(LaneRow(old.name, fresh, parent, root, root, 0), old, common)

    def _start_stream(self, lane: LaneRow, old: LaneRow, common: int) -> None:
        """Re-append in place: the new sequence of an event is never above its old one, so ascending order overwrites
        only rows that were read, and a backlog of any size passes in chunks."""
        table, tail = TABLES[lane.name], lane.tail
        for seq, raw, digest in self._chunks(lane.name, max(common, old.dropped_seq)):
            origin = Origin(stream=old.stream, seq=seq, hash=digest.hex())
            again = reappended(raw, stream=lane.stream, seq=tail.seq + 1, origin=origin)
            tail = Mark(tail.seq + 1, next_hash(tail.hash, again))
            self.connection.execute(
                f"INSERT OR REPLACE INTO {table} (seq, raw, hash) VALUES (?, ?, ?)",  # noqa: S608  # names from our own table
                (tail.seq, again, tail.hash),
            )
        self.connection.execute(f"DELETE FROM {table} WHERE seq>?", (tail.seq,))  # noqa: S608  # names from our own table
        self.connection.execute("UPDATE sqlite_sequence SET seq=? WHERE name=?", (tail.seq, table))
        self.lanes = {**self.lanes, lane.name: replace(lane, tail=tail)}

    def _chunks(self, name: Lane, after_seq: int) -> Iterator[tuple[int, bytes, bytes]]:
        while rows := self._rows(name, after_seq, FORK_CHUNK_ROWS):
            yield from rows
            after_seq = rows[-1][0]

    # -------------------------------------------------------------- transactions

    def _begin(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def _finish(self) -> None:
        for lane in self.lanes.values():
            parent = msgspec.json.encode(lane.parent).decode() if lane.parent else None
            values = (lane.stream, parent, *lane.tail, *lane.freed, lane.dropped_seq, lane.name)
            self.connection.execute(_SAVE_LANE, values)
        self.connection.execute("COMMIT")

    def _undo(self, before: dict[Lane, LaneRow]) -> None:
        """Back to what is on disk; SQLite may have rolled back by itself."""
        self.lanes = before
        with contextlib.suppress(sqlite3.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")


def reappended(raw: bytes, *, stream: str, seq: int, origin: Origin) -> bytes:
    """The bytes of an event in a new stream; an event that was re-appended before keeps its first origin."""
    envelope = decode_envelope(raw)
    return msgspec.json.encode(
        msgspec.structs.replace(envelope, id=f"{stream}:{seq}", sequence=seq, origin=envelope.origin or origin)
    )


def _check_state(transaction: Transaction) -> None:
    for (kind, key), value in transaction.puts.items():
        if not (isinstance(kind, str) and isinstance(key, str) and isinstance(value, bytes)):
            raise TypeError(f"state {kind!r}/{key!r}: kind and key are text, the value is bytes")
    for kind, key in (*transaction.puts, *transaction.deletes):
        kind.encode(), key.encode()  # lone surrogates would fail inside the transaction of others


def _full(error: sqlite3.Error) -> LedgerFullError:
    return LedgerFullError(f"not durable: {error}")
