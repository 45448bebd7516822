"""What to do when the disk gave back something else than was written: set it aside, go on, and say what is lost.

A row that breaks its chain goes to the table `quarantine` and its lane forks, since the cloud would refuse the chain
for ever. A file that SQLite cannot read is moved aside, and whatever can still be read is re-appended.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from contracts.envelope import BadEventError, decode_envelope, next_hash
from contracts.event_types import LANES, Lane
from edge.ledger.rows import LaneRow
from edge.ledger.schema import TABLES, connect_readonly

_SIDECARS = ("", "-wal", "-shm")
_UNREADABLE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH")
CHECKED_BYTES = 64 * 1024 * 1024
NONSENSE = (ValueError, TypeError, LookupError, msgspec.MsgspecError)  # values in the file that nobody wrote


@dataclass(frozen=True, slots=True)
class Damage:
    """Sequences of a lane that do not hold what was written (of missing ones the first and the last)."""

    bad: tuple[int, ...]
    missing: int

    @property
    def first(self) -> int:
        return self.bad[0]

    @property
    def last(self) -> int:
        return self.bad[-1]


def find_damage(connection: sqlite3.Connection, lane: LaneRow) -> Damage | None:
    """Walk what the lane retains; None if it is sound. One pass, whatever its length."""
    expected, previous = lane.freed.seq + 1, lane.freed.hash
    bad: list[int] = []
    missing = 0
    table = TABLES[lane.name]
    query = f"SELECT seq, CAST(raw AS BLOB), CAST(hash AS BLOB) FROM {table} WHERE seq>? ORDER BY seq"  # noqa: S608  # names from our own table
    for seq, raw, digest in connection.execute(query, (lane.freed.seq,)):
        if seq != expected:
            missing += seq - expected
            bad.extend((expected, seq - 1))
        if not _sound(lane, seq, raw, digest, previous, in_order=seq == expected):
            bad.append(seq)
        expected, previous = seq + 1, digest
    if expected <= lane.tail.seq:
        missing += lane.tail.seq - expected + 1
        bad.extend((expected, lane.tail.seq))
    elif not bad and previous != lane.tail.hash:
        bad.append(lane.tail.seq)  # the rows agree with each other, the note about the tail does not
    return Damage(tuple(sorted(set(bad))), missing) if bad else None


def _sound(lane: LaneRow, seq: int, raw: bytes | None, digest: bytes, previous: bytes, *, in_order: bool) -> bool:
    if raw is None:
        return seq <= lane.dropped_seq
    if in_order and next_hash(previous, raw) != digest:
        return False
    return _readable(raw, f"{lane.stream}:{seq}")


def _readable(raw: bytes, name: str) -> bool:
    try:
        return decode_envelope(raw).id == name
    except BadEventError:
        return False


# ------------------------------------------------------------------ a file that cannot be read


@dataclass(frozen=True, slots=True)
class Salvage:
    """What an unreadable file still gave: events by lane as (stream, seq, raw, hash), and state."""

    events: dict[Lane, list[tuple[str, int, bytes, bytes]]]
    state: dict[tuple[str, str], bytes]


class DamagedFileError(sqlite3.DatabaseError):
    """SQLite's own check found damage."""


def check_file(connection: sqlite3.Connection) -> None:
    """Raise DamagedFileError for a file that is broken inside; a large one is not read through for it."""
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    if pages * connection.execute("PRAGMA page_size").fetchone()[0] <= CHECKED_BYTES:
        line = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if line != "ok":
            raise DamagedFileError(line)


def is_unreadable(error: Exception) -> bool:
    """Is this the file's own damage, rather than a lock or a full disk?"""
    if not isinstance(error, sqlite3.Error) or isinstance(error, DamagedFileError):
        return True
    code = getattr(error, "sqlite_errorname", "") or ""
    return code == "SQLITE_ERROR" or code.startswith(_UNREADABLE)  # SQLITE_ERROR: a table or column is gone


def set_aside(path: Path) -> Path:
    """Move the file and what belongs to it out of the way; nothing is deleted. Returns where it is now."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in _SIDECARS:
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(aside.with_name(aside.name + suffix))
    return aside


def salvage(aside: Path, connect: Callable[[Path, float], sqlite3.Connection] = connect_readonly) -> Salvage:
    """Everything that can still be read, event by event."""
    found = Salvage({lane: [] for lane in LANES}, {})
    with contextlib.suppress(sqlite3.Error), contextlib.closing(connect(aside, 5.0)) as connection:
        for lane in LANES:
            found.events[lane].extend(_events(connection, lane))
        with contextlib.suppress(sqlite3.Error, *NONSENSE):
            for kind, key, value in connection.execute("SELECT kind, key, value FROM state"):
                if isinstance(kind, str) and isinstance(key, str) and isinstance(value, bytes):
                    found.state[kind, key] = value
    return found


def _events(connection: sqlite3.Connection, lane: Lane) -> Iterator[tuple[str, int, bytes, bytes]]:
    try:
        stream = connection.execute("SELECT stream FROM lane WHERE name=?", (lane,)).fetchone()[0]
        query = f"SELECT seq, CAST(raw AS BLOB), CAST(hash AS BLOB) FROM {TABLES[lane]} WHERE raw NOT NULL ORDER BY seq"  # noqa: S608  # names from our own table
        for seq, raw, digest in connection.execute(query):
            if _readable(raw, f"{stream}:{seq}"):
                yield stream, seq, raw, digest
    except (sqlite3.Error, *NONSENSE):
        return
