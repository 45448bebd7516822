"""Reading a bridge's database from outside: the comparison of a demo, an auditor's copy. Never writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from cloud_bridge.storage.address import open_reader
from cloud_bridge.storage.port import Row
from contracts.event_types import Lane


class StoredEvent(NamedTuple):
    """One event as it is kept: the exact bytes, the chain's hash after it, the reason of a dead letter."""

    stream: str
    seq: int
    raw: bytes
    hash: bytes
    dead: str | None


class StoredGap(NamedTuple):
    """A range of telemetry the store declared dropped: sequences `first` to `last`, `declared` events."""

    stream: str
    first: int
    last: int
    reason: str
    declared: int


def _select(address: Path | str, query: str, arguments: tuple[str | None, ...]) -> Iterator[Row]:
    with closing(open_reader(address)) as db:
        yield from db.each(query, arguments)


def read_events(address: Path | str, tenant: str, store: str, lane: Lane | None = None) -> Iterator[StoredEvent]:
    """Every event of a store, stream by stream in order of birth, by sequence. Raises StorageError."""
    query = """
        SELECT s.stream, e.seq, e.raw, e.hash, e.dead FROM streams s JOIN events e ON e.stream = s.born
        WHERE s.tenant = ? AND s.store = ? AND s.lane = coalesce(?, s.lane) ORDER BY s.born, e.seq
    """
    return (StoredEvent(*row) for row in _select(address, query, (tenant, store, lane)))


def read_gaps(address: Path | str, tenant: str, store: str, lane: Lane | None = None) -> Iterator[StoredGap]:
    """Every declared gap of a store, stream by stream, by sequence. Raises StorageError."""
    query = """
        SELECT s.stream, g.first, g.last, g.reason, g.declared FROM streams s JOIN gaps g ON g.stream = s.born
        WHERE s.tenant = ? AND s.store = ? AND s.lane = coalesce(?, s.lane) ORDER BY s.born, g.first
    """
    return (StoredGap(*row) for row in _select(address, query, (tenant, store, lane)))
