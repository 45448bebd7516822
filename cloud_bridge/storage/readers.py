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


_STREAMS = "SELECT born, stream FROM streams WHERE tenant = ? AND store = ? AND lane = coalesce(?, lane) ORDER BY born"


def _select(address: Path | str, place: tuple[str, str, str | None], query: str) -> Iterator[Row]:
    """The rows of each stream in its turn: nothing needs to be sorted, however many they are."""
    with closing(open_reader(address)) as db:
        for key, stream in db.rows(_STREAMS, place):
            for row in db.each(query, (key,)):
                yield (stream, *row)


def read_events(address: Path | str, tenant: str, store: str, lane: Lane | None = None) -> Iterator[StoredEvent]:
    """Every event of a store, stream by stream in order of birth, by sequence. Raises StorageError."""
    query = "SELECT seq, raw, hash, dead FROM events WHERE stream = ? ORDER BY seq"
    return (StoredEvent(*row) for row in _select(address, (tenant, store, lane), query))


def read_gaps(address: Path | str, tenant: str, store: str, lane: Lane | None = None) -> Iterator[StoredGap]:
    """Every declared gap of a store, stream by stream, by sequence. Raises StorageError."""
    query = "SELECT first, last, reason, declared FROM gaps WHERE stream = ? ORDER BY first"
    return (StoredGap(*row) for row in _select(address, (tenant, store, lane), query))
