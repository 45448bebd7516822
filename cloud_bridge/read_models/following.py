"""Reading stored events behind read models: stream by stream, each up to its watermark.

A number of all rows would not do: of several bridges' transactions a later one may be seen first.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from cloud_bridge.storage import Db
from contracts.event_types import Lane

ROWS_A_STEP = 500
MAX_ASKED_ALONE = 64  # stores; of more, all are looked at
Key = tuple[str, str]  # tenant, store


class EventRow(NamedTuple):
    """One row of `events`, as far as projections need it. `at_ms` never falls within a stream."""

    at_ms: int
    stream: int
    seq: int
    received_ms: int
    raw: bytes
    type: str | None
    dead: str | None
    counted: int


class Stream(NamedTuple):
    """One stream and how far the cloud holds it."""

    key: int
    tenant: str
    store: str
    lane: Lane
    watermark: int


_STREAMS = "SELECT born, tenant, store, lane, watermark FROM streams"


def streams_of(db: Db, stores: Collection[Key] | None = None) -> list[Stream]:
    """Every stream, or those of some stores; of each lane the youngest comes last."""
    if stores is None or len(stores) > MAX_ASKED_ALONE:
        return [Stream(*row) for row in db.rows(f"{_STREAMS} ORDER BY born")]
    return [
        Stream(*row)
        for key in stores
        for row in db.rows(f"{_STREAMS} WHERE tenant = ? AND store = ? ORDER BY born", key)
    ]


def next_events(db: Db, wanted: list[tuple[Stream, int]]) -> tuple[list[EventRow], dict[int, int]]:
    """The next events of one store's streams, each after its sequence, as they came in; and how far each is read.

    Sequences rule within a stream, the time of receipt between streams.
    """
    found: list[EventRow] = []
    read: dict[int, int] = {}
    until_ms: int | None = None
    for stream, after in wanted:
        chunk = db.rows(
            """
            SELECT seq, received_ms, raw, type, dead, counted FROM events
            WHERE stream = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?
            """,
            (stream.key, after, stream.watermark, ROWS_A_STEP),
        )
        at_ms = 0
        for seq, received_ms, raw, kind, dead, counted in chunk:
            at_ms = max(at_ms, received_ms)
            found.append(EventRow(at_ms, stream.key, seq, received_ms, raw, kind, dead, counted))
        if len(chunk) == ROWS_A_STEP:
            until_ms = at_ms if until_ms is None else min(until_ms, at_ms)
        else:
            read[stream.key] = stream.watermark
    if until_ms is not None:  # what came later waits for the rest of a stream that has more
        later = {row.stream for row in found if row.at_ms > until_ms}
        found = [row for row in found if row.at_ms <= until_ms]
        read = {key: seq for key, seq in read.items() if key not in later}
    found.sort(key=lambda row: (row.at_ms, row.stream, row.seq))
    for row in found:
        read[row.stream] = max(row.seq, read.get(row.stream, 0))
    return found, read
