"""One lane as the uplink sees it: where the chain stands, and its events in slices."""

from __future__ import annotations

import asyncio
import sqlite3

from contracts.event_types import Lane
from contracts.messages import Parent
from edge.ledger.lane_rows import hash_at
from edge.ledger.rows import LaneRow, Mark, Slice
from edge.ledger.writer import Writing


class LaneView:
    """Committed facts of one lane, from memory; only `hash_at` inside the retained range and `read` touch the file."""

    def __init__(self, row: LaneRow, *, reader: sqlite3.Connection, writer: Writing) -> None:
        self._row = row
        self._reader = reader
        self._writer = writer
        self._watchers: list[asyncio.Event] = []

    @property
    def name(self) -> Lane:
        return self._row.name

    @property
    def stream(self) -> str:
        """The stream's UUID."""
        return self._row.stream

    @property
    def parent(self) -> Parent | None:
        """Where this stream left its parent, if it is a fork."""
        return self._row.parent

    @property
    def tail(self) -> Mark:
        """The last event; sequence 0 and the root hash in an empty stream."""
        return self._row.tail

    @property
    def freed(self) -> Mark:
        """Up to here the cloud has confirmed."""
        return self._row.freed

    @property
    def waiting(self) -> int:
        """Events that the cloud has not confirmed and whose bytes are kept."""
        return self._row.kept

    def hash_at(self, seq: int) -> bytes | None:
        """The chain's hash at `seq`; None below what is retained and beyond the tail. A point read, never a sync."""
        if seq == self._row.tail.seq:
            return self._row.tail.hash
        return hash_at(self._reader, self._row, seq)

    async def read(self, after_seq: int, max_events: int, max_bytes: int) -> Slice:
        """What follows `after_seq`: at least one event if there is one. Raises ValueError if it is not retained."""
        found: Slice = await self._writer.call(lambda store: store.read(self.name, after_seq, max_events, max_bytes))
        return found

    def watch(self, event: asyncio.Event) -> None:
        """Set `event` whenever this lane grows or starts a new stream."""
        self._watchers.append(event)

    def unwatch(self, event: asyncio.Event) -> None:
        """Forget `event`."""
        self._watchers = [watcher for watcher in self._watchers if watcher is not event]

    def moved(self, row: LaneRow) -> None:
        """The ledger's word that the lane now stands as `row` says."""
        grew = (row.stream, row.tail.seq) != (self._row.stream, self._row.tail.seq)
        self._row = row
        if grew:
            for event in self._watchers:
                event.set()
