"""Everything the ledger does with SQLite: synchronous, in one thread, one transaction a call."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

import msgspec

from contracts.envelope import (
    MAX_EVENT_BYTES,
    EventTooLargeError,
    Stamp,
    chain,
    encode_event,
    next_hash,
)
from contracts.event_types import LANES, EventData, Lane, LedgerDisk, TelemetryDropped, lane_of
from contracts.messages import Gap
from edge.ledger.io_count import written_bytes
from edge.ledger.lane_rows import SAVE_LANE, BrokenRowError, hash_at, lane_values, load_lanes, row_hash
from edge.ledger.reserve import Reserve
from edge.ledger.retention import Confirmed, Retention
from edge.ledger.rows import LaneRow, Mark, Pending, Slice
from edge.ledger.schema import TABLES, checksum
from edge.ports import LedgerFullError, Transaction

ORIGIN_BYTES = 512  # kept free in every event: a fork writes its origin into it and the limit still holds
DROP_REASON = "overflow"
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_FULL = ("SQLITE_FULL", "SQLITE_IOERR")
_log = logging.getLogger("zhanggui.ledger")

_INSERT = {lane: f"INSERT INTO {table} (seq, raw, hash) VALUES (?, ?, ?)" for lane, table in TABLES.items()}  # noqa: S608  # names from our own table
# Many rows of a lane in one statement, cut out of joined values: Python lets its lock go once for all of them, so a
# thousand callers on the loop do not stand between two rows. Where an event starts and how long it is are one number.
_SPAN_BITS = 17
_INSERT_MANY = {
    lane: f"""
        INSERT INTO {table} (seq, raw, hash)
        SELECT ?1 + key, substr(?2, 1 + (value >> {_SPAN_BITS}), value & {(1 << _SPAN_BITS) - 1}), substr(?3, 1 + 32 * key, 32)
        FROM json_each(?4)
    """  # noqa: S608,E501  # names from our own table
    for lane, table in TABLES.items()
}
MANY_ROWS = 4  # from here on the joined statement is the faster one
_PROBE = f"INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', printf('%.{MAX_EVENT_BYTES}c', ' '))"  # noqa: S608  # a number of ours


class Store:
    """The ledger's transactions. `lanes` is what is committed, between calls.

    `reserve` is given up by the first append that does not fit: that one and the words after it still become durable,
    while `reserve_out` tells that nothing new may begin. `damage` holds what SQLite found broken while it ran.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        tenant: str,
        store: str,
        telemetry_rows: int,
        retention: Retention = Retention(),  # noqa: B008  # frozen
        reserve: Reserve | None = None,
        quota_bytes: int = 0,
    ) -> None:
        self.connection = connection
        self.lanes = load_lanes(connection)
        self.reserve = reserve
        self.reserve_out = reserve is not None and not reserve.make()
        self.damage: sqlite3.Error | None = None
        self.events = 0  # appended since it was opened
        self.said_full = False  # a last word was told that the tidier has not seen yet
        self.full = False  # the last try failed because the disk takes nothing
        self.writable = not self.reserve_out  # nothing new may begin without
        self.witness: Callable[[Mapping[Lane, LaneRow], bool], None] | None = (
            None  # told of the lanes; True: of a new stream
        )
        self.page_bytes: int = connection.execute("PRAGMA page_size").fetchone()[0]
        self.quota_bytes = quota_bytes
        self._saved = dict(self.lanes)
        self._fresh: dict[Lane, list[tuple[int, bytes, bytes]]] = {lane: [] for lane in LANES}  # rows to be inserted
        self._written_from = written_bytes()
        self._source = f"/{tenant}/{store}/"
        self._telemetry_rows = telemetry_rows
        self.confirmed = Confirmed(self, retention)
        self.limit()

    # -------------------------------------------------------------- commits

    def commit(self, group: Sequence[Pending]) -> list[Exception | None]:
        """Make every transaction of `group` durable with one fsync; an error stands at the place of its own.

        If the whole cannot be made durable, each is tried alone, so that one that does not fit fails alone.
        """
        before = dict(self.lanes)
        began = False
        try:
            self._begin()
            began = True
            outcomes = [self._apply(pending) for pending in group]
            self._finish()
        except sqlite3.Error as error:
            self._undo(before)
            if not began:
                return [self.failed(error)] * len(group)
            if len(group) > 1:
                return [self.commit([pending])[0] for pending in group]
            if self._last_room(error, group[0].stamp):
                return self.commit(group)
            return [self.failed(error)]
        except BaseException:
            self._undo(before)
            raise
        self._well()
        self.events += sum(len(p.transaction.records) for p, o in zip(group, outcomes, strict=True) if o is None)
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
            return self.failed(error)
        self._well()
        return None

    def tell(self, data: EventData, stamp: Stamp) -> None:
        """Append one event of the ledger's own in a transaction of its own. Raises LedgerFullError."""
        with self.transaction():
            self.add(data, stamp)

    def add(self, data: EventData, stamp: Stamp) -> None:
        """Append one event of the ledger's own, inside the transaction that is open."""
        lanes = dict(self.lanes)
        name, seq, raw, digest = self._encode(lanes, data, "agent", stamp)
        self.connection.execute(_INSERT[name], (seq, raw, digest))
        self.lanes = lanes
        self.events += 1

    def _apply(self, pending: Pending) -> Exception | None:
        """Encode first, then write: an event that is refused leaves nothing behind."""
        lanes, transaction = dict(self.lanes), pending.transaction
        try:
            rows = [self._encode(lanes, r.data, r.device, pending.stamp) for r in transaction.records]
            drop = self._overflow(lanes)
            if drop is not None:
                rows.append(self._encode(lanes, drop, "agent", pending.stamp))
            if transaction.puts or transaction.deletes:
                _check_state(transaction)
        except (ValueError, TypeError, OverflowError, msgspec.MsgspecError) as error:
            return error
        for name, seq, raw, digest in rows:
            self._fresh[name].append((seq, raw, digest))
        if drop is not None:
            self._insert()
            self._forget_bytes(drop)
        if transaction.deletes:
            self.connection.executemany("DELETE FROM state WHERE kind=? AND key=?", transaction.deletes)
        if transaction.puts:
            self.put_state(transaction.puts.items())
        self.lanes = lanes
        return None

    def _insert(self) -> None:
        """Write the rows that wait, inside the transaction that is open."""
        for name, rows in self._fresh.items():
            if len(rows) < MANY_ROWS:
                for row in rows:
                    self.connection.execute(_INSERT[name], row)
            else:
                seqs, raws, digests = zip(*rows, strict=True)
                sizes = [len(raw) for raw in raws]
                spans = [at << _SPAN_BITS | size for at, size in zip(accumulate(sizes, initial=0), sizes, strict=False)]
                self.connection.execute(
                    _INSERT_MANY[name],
                    (seqs[0], b"".join(raws), b"".join(digests), msgspec.json.encode(spans).decode()),
                )
            rows.clear()

    def put_state(self, items: Iterable[tuple[tuple[str, str], bytes]]) -> None:
        """Write durable state, each row with its checksum, inside the transaction that is open."""
        rows = [(kind, key, value, checksum(kind, key, value)) for (kind, key), value in items]
        self.connection.executemany("INSERT OR REPLACE INTO state (kind, key, value, crc) VALUES (?, ?, ?, ?)", rows)

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
        lanes[name] = msgspec.structs.replace(lane, tail=Mark(seq, digest))
        return name, seq, raw, digest

    # -------------------------------------------------------------- bounded telemetry

    def _overflow(self, lanes: dict[Lane, LaneRow]) -> TelemetryDropped | None:
        """The run of oldest telemetry to drop, if there is more than may be kept. A tenth at a time makes one event
        a run, not one a row."""
        excess = lanes["telemetry"].kept - self._telemetry_rows
        if excess <= 0:
            return None
        return _dropped(lanes, excess + max(1, self._telemetry_rows // 10) - 1, DROP_REASON)

    def drop_telemetry(self, count: int, reason: str, stamp: Stamp) -> None:
        """Drop the bytes of the `count` oldest events that have theirs, and say so. Raises LedgerFullError."""
        with self.transaction():
            lanes = dict(self.lanes)
            drop = _dropped(lanes, count, reason)
            self.lanes = lanes
            self._forget_bytes(drop)
            self.add(drop, stamp)

    def _forget_bytes(self, drop: TelemetryDropped) -> None:
        """Leave the hashes alone. Deleted and written again, since SQLite joins pages that deletes have thinned out,
        but never those whose rows have shrunk: their room would come back to nobody."""
        table, run = TABLES["telemetry"], (drop.first, drop.last)
        hashes = self.connection.execute(f"SELECT seq, hash FROM {table} WHERE seq BETWEEN ? AND ?", run).fetchall()  # noqa: S608  # names from our own table
        self.connection.execute(f"DELETE FROM {table} WHERE seq BETWEEN ? AND ?", run)  # noqa: S608  # names from our own table
        self.connection.executemany(f"INSERT INTO {table} (seq, hash) VALUES (?, ?)", hashes)  # noqa: S608  # names from our own table

    # -------------------------------------------------------------- a disk that takes nothing

    def _last_room(self, error: sqlite3.Error, stamp: Stamp) -> bool:
        """Give the reserve up if that can help, and say so with the first of the room; True if it was given up."""
        code = getattr(error, "sqlite_errorname", "") or ""
        if self.reserve is None or not code.startswith(_FULL) or not self.reserve.release():
            return False
        self.reserve_out, self.writable, self.said_full = True, False, True
        self.limit()
        _log.error("the disk is full (%s): the reserve of %d bytes is given up", error, self.reserve.size_bytes)
        with contextlib.suppress(LedgerFullError):
            self.tell(LedgerDisk(level="full", used_percent=100, free_bytes=0, detail=str(error)[:200]), stamp)
        return True

    def renew_reserve(self) -> bool:
        """Take the reserve back if there is room for it and more; True if it stands."""
        if self.reserve is not None and self.reserve_out and self._fits_quota(self.reserve.size_bytes):
            before = written_bytes()
            self.reserve_out = not self.reserve.make()
            self._written_from += written_bytes() - before  # no event's
            self.limit()
            self.writable = not self.full and not self.reserve_out
        return not self.reserve_out

    def limit(self) -> None:
        """Hold the file below its quota; the last words may go beyond it by the size of the reserve."""
        if self.quota_bytes:
            more = self.reserve.size_bytes if self.reserve is not None and self.reserve_out else 0
            self.connection.execute(f"PRAGMA max_page_count={(self.quota_bytes + more) // self.page_bytes}")

    def used_bytes(self) -> int:
        """What the file's pages hold; free pages do not count."""
        pages, free = (self.connection.execute(f"PRAGMA {p}").fetchone()[0] for p in ("page_count", "freelist_count"))
        return int((pages - free) * self.page_bytes)

    def _fits_quota(self, more_bytes: int) -> bool:
        return not self.quota_bytes or self.used_bytes() + more_bytes <= self.quota_bytes

    def failed(self, error: sqlite3.Error) -> LedgerFullError:
        """The caller's error for a transaction that is not durable; a damaged file is noted."""
        self.note_damage(error)
        self.writable = False
        self.full = (getattr(error, "sqlite_errorname", "") or "").startswith(_FULL)
        return LedgerFullError(f"not durable: {error}")

    def _well(self) -> None:
        self.full, self.writable = False, not self.reserve_out

    def written_bytes(self) -> int:
        """Bytes that this thread wrote to the disk for the ledger since it was opened."""
        return written_bytes() - self._written_from

    def note_damage(self, error: Exception) -> None:
        """Remember that SQLite found the file broken; the ledger's keeper ends the agent for it."""
        code = getattr(error, "sqlite_errorname", "") or ""
        if isinstance(error, BrokenRowError) or (isinstance(error, sqlite3.Error) and code.startswith(_DAMAGE)):
            self.damage = self.damage or error

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
        events = self._events(name, start, max_events, max_bytes)
        if events:
            last, before = start + len(events), last_hash
            last_hash = row_hash(self.connection, name, last) or b""
            if chain(before, events)[-1] != last_hash:  # the cloud would refuse it for ever
                raise BrokenRowError(f"{name}: events {start + 1} to {last} do not give their hash")
        return Slice(lane.stream, start + 1, prev_hash, events, last_hash, gap)

    def _events(self, name: Lane, after_seq: int, limit: int, max_bytes: int) -> list[bytes]:
        """The bytes of the next events, with a comma each at most `max_bytes`, but one if there is one. Where a row is
        missing between them, the chain tells."""
        query = f"SELECT raw FROM {TABLES[name]} WHERE seq>? ORDER BY seq LIMIT ?"  # noqa: S608  # names from our own table
        events = [raw for (raw,) in self.connection.execute(query, (after_seq, limit)).fetchall()]
        if None in events:
            raise BrokenRowError(f"{name}: the bytes of {after_seq + 1 + events.index(None)} are gone")
        ends = list(accumulate(len(raw) + 1 for raw in events))
        if ends and ends[-1] > max_bytes:
            del events[max(1, bisect_right(ends, max_bytes)) :]
        return events

    def rows(self, name: Lane, after_seq: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """Sequence, bytes and hash of up to `limit` rows after `after_seq`."""
        query = f"SELECT seq, raw, hash FROM {TABLES[name]} WHERE seq>? ORDER BY seq LIMIT ?"  # noqa: S608  # names from our own table
        return self.connection.execute(query, (after_seq, limit)).fetchall()

    # -------------------------------------------------------------- transactions

    @contextlib.contextmanager
    def transaction(self, *, large: bool = False) -> Iterator[None]:
        """All of the block or nothing, on disk and in `lanes`. Raises LedgerFullError. That a `large` one does not fit
        says nothing about the next sale."""
        before = dict(self.lanes)
        try:
            self._begin()
            yield
            self._finish()
        except sqlite3.Error as error:
            self._undo(before)
            if large:
                self.note_damage(error)
                raise LedgerFullError(f"not durable: {error}") from error
            raise self.failed(error) from error
        except BaseException:
            self._undo(before)
            raise
        if not self.full:  # what failed before was a lock, and it is gone
            self.writable = not self.reserve_out

    def _begin(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def _finish(self) -> None:
        self._insert()
        changed = [lane for name, lane in self.lanes.items() if lane != self._saved[name]]
        for lane in changed:
            values = lane_values(lane)
            saved = self.connection.execute(SAVE_LANE, (*values, checksum(lane.name, *values), lane.name))
            if saved.rowcount != 1:  # its index does not show the row: a commit now would leave the lane where it was
                raise BrokenRowError(f"{lane.name}: the note about the lane is not found")
        self.connection.execute("COMMIT")
        born = any(lane.stream != self._saved[lane.name].stream for lane in changed)
        self._saved = dict(self.lanes)
        if self.witness is not None:
            self.witness(self.lanes, born)

    def _undo(self, before: dict[Lane, LaneRow]) -> None:
        """Back to what is on disk; SQLite may have rolled back by itself."""
        self.lanes = before
        for rows in self._fresh.values():
            rows.clear()
        with contextlib.suppress(sqlite3.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")


def _dropped(lanes: dict[Lane, LaneRow], count: int, reason: str) -> TelemetryDropped:
    """The run of the `count` oldest events of telemetry that have their bytes; moves the mark in `lanes`."""
    lane = lanes["telemetry"]
    first = max(lane.freed.seq, lane.dropped_seq) + 1
    last = first + count - 1
    lanes["telemetry"] = msgspec.structs.replace(lane, dropped_seq=last)
    return TelemetryDropped(stream=lane.stream, first=first, last=last, count=count, reason=reason)


def _check_state(transaction: Transaction) -> None:
    for (kind, key), value in transaction.puts.items():
        if not (isinstance(kind, str) and isinstance(key, str) and isinstance(value, bytes)):
            raise TypeError(f"state {kind!r}/{key!r}: kind and key are text, the value is bytes")
    for kind, key in (*transaction.puts, *transaction.deletes):
        kind.encode(), key.encode()  # lone surrogates would fail inside the transaction of others
