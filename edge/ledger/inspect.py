"""Look into a ledger and prove it, read-only, while the agent runs or not.

Every read is a short one of its own: a snapshot that is held for long would keep the agent's log from being cut back.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from contracts.envelope import BadEventError, decode_envelope, next_hash
from contracts.event_types import LANES, Lane
from edge.ledger.errors import LedgerOpenError
from edge.ledger.lane_rows import BrokenRowError, load_lanes
from edge.ledger.rows import LaneRow
from edge.ledger.salvage import CHECKED_BYTES
from edge.ledger.schema import APPLICATION_ID, TABLES, VERSION, checksum, connect_readonly, open_error

MAX_PROBLEMS = 100
CHUNK_ROWS = 500  # in one snapshot: some milliseconds
_WALKED = "SELECT seq, CAST(raw AS BLOB), CAST(hash AS BLOB) FROM {} WHERE seq>? ORDER BY seq LIMIT ?"


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """One row; `raw` is None for telemetry of which only the hash is left. `confirmed`: the cloud has it."""

    seq: int
    raw: bytes | None
    hash: bytes
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class LaneReport:
    lane: Lane
    stream: str
    freed_seq: int
    tail_seq: int
    kept: int
    dropped: int
    quarantined: int
    deleted_seq: int = 0


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
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, to a ledger of this version. Raises LedgerOpenError."""
    if path.is_dir():
        raise LedgerOpenError(f"{path}: is a folder; name store.toml, or the ledger.db in its data_dir")
    if not path.exists():
        raise LedgerOpenError(f"{path}: there is no such file; name store.toml, or the ledger.db in its data_dir")
    try:
        with contextlib.closing(connect_readonly(path)) as connection:
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise LedgerOpenError(f"{path}: no ledger")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise LedgerOpenError(f"{path}: written by a newer agent (schema {version}); use that one's tools")
            if version < VERSION:
                raise LedgerOpenError(f"{path}: written by an older agent (schema {version}); start this one once")
            yield connection
    except BrokenRowError as error:
        raise LedgerOpenError(f"{path}: {error}; the agent heals it when it starts") from error
    except sqlite3.Error as error:
        raise open_error(path, error) from error


def show(path: Path, lane: Lane, after: int = 0, limit: int = 20) -> list[ShownEvent]:
    """Up to `limit` rows of a lane that follow sequence `after`. Raises LedgerOpenError."""
    with opened(path) as connection:
        return read_rows(connection, lane, after, limit)


def read_rows(connection: sqlite3.Connection, lane: Lane, after: int, limit: int) -> list[ShownEvent]:
    """Up to `limit` rows of a lane that follow sequence `after`."""
    freed = load_lanes(connection)[lane].freed.seq
    rows = connection.execute(_WALKED.format(TABLES[lane]), (after, limit)).fetchall()
    return [ShownEvent(seq, raw, digest, seq <= freed) for seq, raw, digest in rows]


def verify(path: Path, *, whole: bool = False) -> Report:
    """Walk chains, sequences and state. SQLite's own check reads a file of up to 64 MiB, or with `whole` any (the
    agent's log grows meanwhile). Raises LedgerOpenError."""
    with opened(path) as connection:
        found = _Problems()
        if whole or path.stat().st_size <= CHECKED_BYTES:
            for (line,) in connection.execute("PRAGMA quick_check(10)"):
                if line != "ok":
                    found.add(f"file: {line}")
        meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        lanes = tuple(_lane(connection, name, found) for name in LANES)
        rows = _state(connection, found)
        identity = (meta.get("tenant", ""), meta.get("store", ""), meta.get("machine", ""))
        return Report(*identity, lanes, rows, tuple(found.lines))


class _Problems:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        if len(self.lines) < MAX_PROBLEMS:
            self.lines.append(line)


class _Walk:
    """One lane, chunk by chunk; what the agent deletes or forks meanwhile is no problem."""

    def __init__(self, lane: LaneRow) -> None:
        self.lane = lane
        self.expected, self.previous = lane.deleted.seq + 1, lane.deleted.hash
        self.dropped = 0
        self.problems: list[str] = []

    def chunk(self, connection: sqlite3.Connection) -> bool:
        """Read on; False at the end."""
        connection.execute("BEGIN")  # the note about the lane and its rows are of one moment
        try:
            self.lane = load_lanes(connection)[self.lane.name]
            if self.expected <= self.lane.deleted.seq:
                self.expected, self.previous = self.lane.deleted.seq + 1, self.lane.deleted.hash
            query = _WALKED.format(TABLES[self.lane.name])
            rows = connection.execute(query, (self.expected - 1, CHUNK_ROWS)).fetchall()
            for seq, raw, digest in rows:
                self._row(seq, raw, digest)
            if rows:
                return True
            self._end(connection)
            return False
        finally:
            connection.execute("ROLLBACK")

    def _row(self, seq: int, raw: bytes | None, digest: bytes) -> None:
        name = self.lane.name
        if seq != self.expected:
            self.problems.append(f"{name} {self.expected}: missing, next is {seq}")
        if raw is None:
            self.dropped += 1
            if seq > self.lane.dropped_seq:
                self.problems.append(f"{name} {seq}: without bytes, though never dropped")
        else:
            if seq == self.expected and next_hash(self.previous, raw) != digest:
                self.problems.append(f"{name} {seq}: its bytes do not give the hash of the chain")
            self._event(seq, raw)
        self.expected, self.previous = seq + 1, digest

    def _event(self, seq: int, raw: bytes) -> None:
        try:
            envelope = decode_envelope(raw)
        except BadEventError as error:
            self.problems.append(f"{self.lane.name} {seq}: {error}")
            return
        if (envelope.id, envelope.sequence) != (f"{self.lane.stream}:{seq}", seq):
            self.problems.append(f"{self.lane.name} {seq}: says it is {envelope.id}")

    def _end(self, connection: sqlite3.Connection) -> None:
        lane = self.lane
        if (self.expected - 1, self.previous) != lane.tail:
            self.problems.append(
                f"{lane.name}: the chain ends at {self.expected - 1}, not at the noted {lane.tail.seq},"
                " or with another hash"
            )
        last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name=?", (TABLES[lane.name],)).fetchone()
        if (last[0] if last else 0) != lane.tail.seq:
            self.problems.append(f"{lane.name}: the counter of sequences does not stand at {lane.tail.seq}")


def _lane(connection: sqlite3.Connection, name: Lane, found: _Problems) -> LaneReport:
    while True:
        walk = _Walk(load_lanes(connection)[name])
        stream = walk.lane.stream
        while walk.chunk(connection) and walk.lane.stream == stream:
            pass
        if walk.lane.stream == stream:
            break  # or else the lane forked under way: the new stream is walked from its start
    for line in walk.problems:
        found.add(line)
    lane = walk.lane
    set_aside = connection.execute("SELECT count(*) FROM quarantine WHERE lane=?", (name,)).fetchone()[0]
    return LaneReport(name, stream, lane.freed.seq, lane.tail.seq, lane.kept, walk.dropped, set_aside, lane.deleted.seq)


def _state(connection: sqlite3.Connection, found: _Problems) -> int:
    rows = connection.execute("SELECT kind, key, CAST(value AS BLOB), crc FROM state").fetchall()
    for kind, key, value, crc in rows:
        try:
            msgspec.json.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            found.add(f"state {kind}/{key}: no JSON")
        else:
            if checksum(kind, key, value) != crc:
                found.add(f"state {kind}/{key}: its checksum differs")
    return len(rows)
