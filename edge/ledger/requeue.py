"""What was set aside comes back, if a person decides so: each event is written again, with its origin.

Bytes that are known to be other than what was written never do, however well they read.

The cloud counts an origin once, however often it is brought. What comes back leaves the quarantine in the same
transaction, so it comes back once.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from contracts.envelope import MAX_EVENT_BYTES, BadEventError, Envelope, Origin, Stamp, decode_envelope
from contracts.event_types import LANES, LedgerRequeued
from contracts.ids import MAX_WHOLE
from edge.ledger.aside import AsideRow, Verdict, aside_rows, verdicts
from edge.ledger.errors import LedgerOpenError
from edge.ledger.forks import append_again, reappended
from edge.ledger.inspect import opened
from edge.ledger.ledger import owned
from edge.ledger.schema import connect, open_error
from edge.ledger.store import Store
from edge.ports import LedgerFullError

TELEMETRY_FOR_EVER = 1 << 62  # the agent's next commit drops what is too much, and says so


@dataclass(frozen=True, slots=True)
class Aside:
    """One row of the quarantine. `why_not` says why it cannot come back, "" if it can; `proved`: the chain says that
    these are the bytes that were written."""

    number: int
    lane: str
    stream: str
    seq: int
    reason: str
    name: str
    time: str
    why_not: str
    proved: bool


def set_aside(path: Path) -> list[Aside]:
    """Everything in the quarantine, oldest first. Raises LedgerOpenError."""
    with opened(path) as connection:
        rows = aside_rows(connection)
        found = verdicts(connection, rows)
    return [_judged(row, found.get(row.number)) for row in rows]


def requeue(path: Path, numbers: Collection[int], *, by: str, stamp: Stamp) -> list[Aside]:
    """Write those rows of the quarantine again, all or none; what came back.

    Raises LedgerOpenError: an agent runs or was killed, a row is not there or cannot come back, the disk is full.
    """
    with owned(path):
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise LedgerOpenError(
                f"{path}: its agent did not end by itself; start and stop it once, it heals what it must"
            )
        with opened(path) as connection:
            meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        try:
            with contextlib.closing(connect(path, 5.0)) as connection:
                store = Store(connection, tenant=meta["tenant"], store=meta["store"], telemetry_rows=TELEMETRY_FOR_EVER)
                return _requeue(store, path, set(numbers), by, stamp)
        except sqlite3.Error as error:
            raise open_error(path, error) from error
        except LedgerFullError as error:
            raise LedgerOpenError(f"{path}: {error}; make room on the disk") from error


def _requeue(store: Store, path: Path, numbers: set[int], by: str, stamp: Stamp) -> list[Aside]:
    everything = aside_rows(store.connection)
    found = verdicts(store.connection, everything)
    rows = [row for row in everything if row.number in numbers]
    if missing := numbers.difference(row.number for row in rows):
        raise LedgerOpenError(f"{path}: nothing with number {min(missing)} is set aside; it may be back already")
    chosen = [_judged(row, found.get(row.number)) for row in rows]
    for aside in chosen:
        if aside.why_not:
            raise LedgerOpenError(f"{path}: number {aside.number} cannot come back: {aside.why_not}")
    with store.transaction():
        for lane in LANES:
            events = [(r.stream, r.seq, r.raw or b"", found[r.number].hash) for r in rows if r.lane == lane]
            if events:
                append_again(store, lane, events)
                store.add(LedgerRequeued(lane=lane, count=len(events), by=by), stamp)
        store.connection.executemany("DELETE FROM quarantine WHERE id=?", [(row.number,) for row in rows])
    return chosen


def _judged(row: AsideRow, verdict: Verdict | None) -> Aside:
    name = time = ""
    try:
        envelope = decode_envelope(row.raw or b"")
    except BadEventError as error:
        why_not = "its bytes are gone" if row.raw is None else str(error)
    else:
        name, time, why_not = envelope.name, envelope.time, _why_not(row, envelope, verdict)
    proved = verdict is not None and verdict.proof == "whole"
    return Aside(row.number, row.lane, row.stream, row.seq, row.reason, name, time, why_not, proved)


def _why_not(row: AsideRow, envelope: Envelope, verdict: Verdict | None) -> str:
    if row.lane not in LANES or verdict is None:
        return "a row of state, no event"
    if verdict.proof == "altered":
        return "altered: its bytes do not give its hash"
    if envelope.id != f"{row.stream}:{row.seq}":
        return f"it says that it is {envelope.id}"
    origin = Origin(stream=row.stream, seq=row.seq, hash=verdict.hash.hex())
    again = reappended(row.raw or b"", stream=row.stream, seq=MAX_WHOLE, origin=origin)
    return "too large" if len(again) > MAX_EVENT_BYTES else ""
