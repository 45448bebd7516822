"""What the cloud has confirmed: the mark moves at once, the rows may stay a while, and go in small chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from contracts.event_types import Lane
from edge.ledger.lane_rows import BrokenRowError, hash_at, row_hash
from edge.ledger.rows import Mark
from edge.ledger.schema import TABLES

if TYPE_CHECKING:
    from edge.ledger.store import Store

FREE_CHUNK_ROWS = 4096  # rows freed in one transaction, so that a large confirmation never holds up a sale
HASH_BYTES = 32
MARK_EVERY_S = 3600.0  # how exactly it is known when an event was confirmed


@dataclass(frozen=True, slots=True)
class Retention:
    """How long confirmed events stay for eyes at the store: both bounds hold. Without bytes nothing stays."""

    days: float = 0.0
    size_bytes: int = 0


class Confirmed:
    """Moves the mark of what is confirmed, and deletes behind it. Part of a Store, whose lanes it moves."""

    def __init__(self, store: Store, keep: Retention) -> None:
        self.keep = keep
        self._store = store
        self._marked_s: dict[str, float] = dict(
            store.connection.execute("SELECT lane, max(at_s) FROM confirmed GROUP BY lane").fetchall()
        )

    def confirm(self, name: Lane, seq: int, at_s: float = 0.0) -> bool:
        """The cloud holds everything up to `seq` (it said so at `at_s` of the wall clock): move the mark, a chunk a
        call, and delete as much as is beyond what may stay; True once all is confirmed. Raises LedgerFullError."""
        lane = self._store.lanes[name]
        target = min(seq, lane.freed.seq + FREE_CHUNK_ROWS)
        if target > lane.tail.seq:
            raise ValueError(f"{name}: cannot free {seq}, the tail is {lane.tail.seq}")
        if target <= lane.freed.seq:
            return True
        with self._store.transaction():
            digest = hash_at(self._store.connection, lane, target)
            if digest is None:
                raise BrokenRowError(f"{name}: event {target} is gone")
            mark, size_bytes = Mark(target, digest), 0
            if self.keep.size_bytes:
                size_bytes = self._size(name, lane.freed.seq, target)
            size_bytes += lane.confirmed_bytes
            self._store.lanes = {
                **self._store.lanes,
                name: replace(lane, freed=mark, confirmed_bytes=size_bytes),
            }
            if self.keep.size_bytes:
                self._mark_time(name, at_s)
            self._delete(name, self.keep.size_bytes, 2 * FREE_CHUNK_ROWS)
        return target >= seq

    def delete_confirmed(self, name: Lane, keep_bytes: int) -> bool:
        """Delete a chunk of the oldest confirmed rows while more than `keep_bytes` are there; True if there may be
        more to delete. Raises LedgerFullError."""
        lane = self._store.lanes[name]
        if lane.deleted.seq == lane.freed.seq or 0 < keep_bytes >= lane.confirmed_bytes:
            return False
        with self._store.transaction():
            self._delete(name, keep_bytes, FREE_CHUNK_ROWS)
        return True

    def expire(self, name: Lane, now_s: float) -> bool:
        """Delete a chunk of what was confirmed longer ago than may stay; True if there may be more to delete."""
        lane = self._store.lanes[name]
        if lane.deleted.seq == lane.freed.seq:
            return False
        query = "SELECT max(seq) FROM confirmed WHERE lane=? AND at_s<=?"
        upto = self._store.connection.execute(query, (name, now_s - self.keep.days * 86400)).fetchone()[0]
        marked = (
            self._store.connection.execute("SELECT max(seq) FROM confirmed WHERE lane=?", (name,)).fetchone()[0] or 0
        )
        if upto is None and (marked >= lane.freed.seq or not self._mark_due(name, now_s)):
            return False
        with self._store.transaction():
            if marked < lane.freed.seq:
                self._mark_time(name, now_s)
            if upto is not None:
                self._delete_to(name, min(upto, lane.deleted.seq + FREE_CHUNK_ROWS, lane.freed.seq))
        return upto is not None and self._store.lanes[name].deleted.seq < upto

    def _delete(self, name: Lane, keep_bytes: int, max_rows: int) -> None:
        lane = self._store.lanes[name]
        if not keep_bytes:
            self._delete_to(name, min(lane.freed.seq, lane.deleted.seq + max_rows))
            return
        excess, last = lane.confirmed_bytes - keep_bytes, 0
        query = (
            f"SELECT seq, coalesce(length(raw), 0) + {HASH_BYTES} FROM {TABLES[name]}"  # noqa: S608  # names of our own
            " WHERE seq>? AND seq<=? ORDER BY seq LIMIT ?"
        )
        if excess > 0:
            for seq, size_bytes in self._store.connection.execute(query, (lane.deleted.seq, lane.freed.seq, max_rows)):
                last, excess = seq, excess - size_bytes
                if excess <= 0:
                    break
            self._delete_to(name, last)

    def _delete_to(self, name: Lane, seq: int) -> None:
        lane = self._store.lanes[name]
        if seq <= lane.deleted.seq:
            return
        size_bytes = self._size(name, lane.deleted.seq, seq) if lane.confirmed_bytes else 0
        digest = row_hash(self._store.connection, name, seq) if seq < lane.freed.seq else None
        if digest is None:  # the end; or a hole that the disk left: what is confirmed is no loss
            seq, digest = lane.freed
        self._store.connection.execute(f"DELETE FROM {TABLES[name]} WHERE seq<=?", (seq,))  # noqa: S608  # names from our own table
        if self._marked_s.get(name) is not None:
            self._store.connection.execute("DELETE FROM confirmed WHERE lane=? AND seq<=?", (name, seq))
        left = max(0, lane.confirmed_bytes - size_bytes) if seq < lane.freed.seq else 0
        self._store.lanes = {
            **self._store.lanes,
            name: replace(lane, deleted=Mark(seq, digest), confirmed_bytes=left),
        }

    def _size(self, name: Lane, after_seq: int, upto_seq: int) -> int:
        query = f"SELECT sum(coalesce(length(raw), 0) + {HASH_BYTES}) FROM {TABLES[name]} WHERE seq>? AND seq<=?"  # noqa: S608  # names of our own
        return int(self._store.connection.execute(query, (after_seq, upto_seq)).fetchone()[0] or 0)

    def _mark_due(self, name: Lane, at_s: float) -> bool:
        last_s = self._marked_s.get(name)
        return last_s is None or not last_s <= at_s < last_s + MARK_EVERY_S

    def _mark_time(self, name: Lane, at_s: float) -> None:
        """Note when the cloud had confirmed how much; an hour's exactness keeps these rows few."""
        if self._mark_due(name, at_s):
            row = (name, self._store.lanes[name].freed.seq, int(at_s))
            self._store.connection.execute("INSERT OR REPLACE INTO confirmed (lane, seq, at_s) VALUES (?, ?, ?)", row)
            self._marked_s[name] = at_s
