"""Look into a ledger and prove it, read-only, while the agent runs or not."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from contracts.envelope import BadEventError, decode_envelope, next_hash
from contracts.event_types import Lane
from edge.ledger.errors import LedgerOpenError
from edge.ledger.lane_rows import load_lanes
from edge.ledger.rows import LaneRow
from edge.ledger.schema import APPLICATION_ID, TABLES, VERSION, connect_readonly, open_error

MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """One retained row; `raw` is None for telemetry of which only the hash is left."""

    seq: int
    raw: bytes | None
    hash: bytes


@dataclass(frozen=True, slots=True)
class LaneReport:
    lane: Lane
    stream: str
    freed_seq: int
    tail_seq: int
    kept: int
    dropped: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found; sound if `problems` is empty (at most 100 are listed)."""

    tenant: str
    store: str
    machine: str
    lanes: tuple[LaneReport, ...]
    state_rows: int
    problems: tuple[str, ...]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise LedgerOpenError(f"{path}: there is no such file; name the data_dir of the store")
    try:
        with contextlib.closing(connect_readonly(path)) as connection:
            connection.execute("BEGIN")  # one snapshot, however long the walk takes
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise LedgerOpenError(f"{path}: no ledger")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise LedgerOpenError(f"{path}: written by a newer agent (schema {version}); use that one's tools")
            yield connection
    except sqlite3.Error as error:
        raise open_error(path, error) from error


def show(path: Path, lane: Lane, after: int = 0, limit: int = 20) -> list[ShownEvent]:
    """Up to `limit` retained rows of a lane that follow sequence `after`. Raises LedgerOpenError."""
    with _opened(path) as connection:
        query = (
            f"SELECT seq, CAST(raw AS BLOB), CAST(hash AS BLOB) FROM {TABLES[lane]} WHERE seq>? ORDER BY seq LIMIT ?"  # noqa: S608  # names from our own table
        )
        return [ShownEvent(*row) for row in connection.execute(query, (after, limit))]


def verify(path: Path) -> Report:
    """Walk chains, sequences and state of the whole file in one snapshot. Raises LedgerOpenError."""
    with _opened(path) as connection:
        found = _Problems()
        for (line,) in connection.execute("PRAGMA quick_check(10)"):
            if line != "ok":
                found.add(f"file: {line}")
        meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        lanes = tuple(_lane(connection, lane, found) for lane in load_lanes(connection).values())
        rows = _state(connection, found)
        identity = (meta.get("tenant", ""), meta.get("store", ""), meta.get("machine", ""))
        return Report(*identity, lanes, rows, tuple(found.lines))


class _Problems:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        if len(self.lines) < MAX_PROBLEMS:
            self.lines.append(line)


def _lane(connection: sqlite3.Connection, lane: LaneRow, found: _Problems) -> LaneReport:
    name, expected, previous = lane.name, lane.freed.seq + 1, lane.freed.hash
    dropped = 0
    table = TABLES[name]
    for seq, raw, digest in connection.execute(
        f"SELECT seq, CAST(raw AS BLOB), CAST(hash AS BLOB) FROM {table} ORDER BY seq"  # noqa: S608  # names from our own table
    ):
        if seq != expected:
            found.add(f"{name} {expected}: missing, next is {seq}")
        if raw is None:
            dropped += 1
            if seq > lane.dropped_seq:
                found.add(f"{name} {seq}: without bytes, though never dropped")
        else:
            if seq == expected and next_hash(previous, raw) != digest:
                found.add(f"{name} {seq}: its bytes do not give the hash of the chain")
            _event(lane, seq, raw, found)
        expected, previous = seq + 1, digest
    if (expected - 1, previous) != lane.tail:
        found.add(f"{name}: the chain ends at {expected - 1}, not at the noted {lane.tail.seq}, or with another hash")
    last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name=?", (table,)).fetchone()
    if (last[0] if last else 0) != lane.tail.seq:
        found.add(f"{name}: the counter of sequences does not stand at {lane.tail.seq}")
    set_aside = connection.execute("SELECT count(*) FROM quarantine WHERE lane=?", (name,)).fetchone()[0]
    return LaneReport(name, lane.stream, lane.freed.seq, lane.tail.seq, lane.kept, dropped, set_aside)


def _event(lane: LaneRow, seq: int, raw: bytes, found: _Problems) -> None:
    try:
        envelope = decode_envelope(raw)
    except BadEventError as error:
        found.add(f"{lane.name} {seq}: {error}")
        return
    if (envelope.id, envelope.sequence) != (f"{lane.stream}:{seq}", seq):
        found.add(f"{lane.name} {seq}: says it is {envelope.id}")


def _state(connection: sqlite3.Connection, found: _Problems) -> int:
    rows = 0
    for kind, key, value in connection.execute("SELECT kind, key, value FROM state"):
        rows += 1
        try:
            msgspec.json.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            found.add(f"state {kind}/{key}: no JSON")
    return rows
