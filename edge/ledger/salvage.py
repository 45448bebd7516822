"""A file that SQLite cannot read: kept aside, and everything of it that can still be proved goes on in a new one.

The new file is made whole beside the old one before the two change places, so that a crash in between, or a disk that
is too full for both, leaves the old one where it was.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from contracts.envelope import BadEventError, Stamp, decode_envelope, next_hash
from contracts.event_types import EVENT_TYPES, LANES, Lane, LedgerDamaged
from contracts.messages import Parent
from edge.ledger.carve import MAX_ROWS, carve
from edge.ledger.forks import append_again
from edge.ledger.lane_rows import BrokenRowError, load_lanes
from edge.ledger.rows import LaneRow
from edge.ledger.schema import TABLES, checksum
from edge.ledger.store import Store
from edge.ledger.witness import Witness

NEW, HEALED = ".new", ".healed"  # a new file while it is made, and once it is whole
SIDECARS = ("", "-wal", "-shm")
_UNREADABLE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_TOOBIG")
SMALLEST_PAGE = 512
CHECKED_BYTES = 64 * 1024 * 1024
ASKED_BY_KEY = frozenset({"lane", "meta", "state", "confirmed"})
NONSENSE = (ValueError, TypeError, LookupError, msgspec.MsgspecError)  # values in the file that nobody wrote
Connect = Callable[[Path, float], sqlite3.Connection]


class DamagedFileError(sqlite3.DatabaseError):
    """SQLite's own check found damage, or the witness knows of a file that is not there."""


def check_file(connection: sqlite3.Connection, *, whole: bool) -> None:
    """Raise DamagedFileError for a file that is broken inside; a large one is not read through unless `whole`.

    The quick check compares no index with its table, and a row that its index does not show is neither found nor
    updated: so the small tables that are asked by key are checked in full.
    """
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    if whole or pages * connection.execute("PRAGMA page_size").fetchone()[0] <= CHECKED_BYTES:
        line = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if line != "ok":
            raise DamagedFileError(line)
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
        if table in ASKED_BY_KEY:
            line = connection.execute(f"PRAGMA integrity_check({table})").fetchone()[0]
            if line != "ok":
                raise DamagedFileError(line)


def is_unreadable(error: Exception) -> bool:
    """Is this the file's own damage, rather than a lock or a full disk?"""
    if not isinstance(error, sqlite3.Error) or isinstance(error, DamagedFileError | BrokenRowError):
        return True
    code = getattr(error, "sqlite_errorname", "") or ""
    # SQLITE_ERROR: a table or column is gone; no code: Python could not decode a value
    return code in ("", "SQLITE_ERROR") or code.startswith(_UNREADABLE)


def is_empty(path: Path) -> bool:
    """No file, or one without a page: SQLite takes both for a new database, and deletes the log beside it."""
    try:
        return path.stat().st_size < SMALLEST_PAGE
    except FileNotFoundError:
        return True


def keep_log(path: Path) -> Path | None:
    """Copy a log that SQLite will not take to where it can be looked at; None if the disk does not take it."""
    aside = _free_name(path)
    try:
        shutil.copyfile(path.with_name(path.name + "-wal"), aside.with_name(aside.name + "-wal"))
    except OSError:
        return None
    return aside.with_name(aside.name + "-wal")


def finish_swap(path: Path) -> Path | None:
    """Carry on where a crash stopped `swap`; where the damaged file is then, if there was something to do."""
    for suffix in SIDECARS:
        path.with_name(path.name + NEW + suffix).unlink(missing_ok=True)
    return swap(path) if path.with_name(path.name + HEALED).exists() else None


def swap(path: Path) -> Path:
    """Move the file and its log out of the way, the healed one in its place; nothing is deleted. Where it is now."""
    aside = _free_name(path)
    for suffix in reversed(SIDECARS):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(aside.with_name(aside.name + suffix))
    path.with_name(path.name + HEALED).rename(path)
    _sync_folder(path.parent)
    return aside


def whole(path: Path) -> None:
    """The new file is made and closed: from here on it counts."""
    made = path.with_name(path.name + NEW)
    descriptor = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    made.rename(path.with_name(path.name + HEALED))
    _sync_folder(path.parent)


def _free_name(path: Path) -> Path:
    number = 1
    while any(path.with_name(f"{path.name}.damaged-{number}{suffix}").exists() for suffix in SIDECARS):
        number += 1
    return path.with_name(f"{path.name}.damaged-{number}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ------------------------------------------------------------------ what the file still gives


@dataclass(slots=True)
class LaneSalvage:
    """What is known of a lane: its stream, where the cloud had confirmed it, its end. `exact`: from its own note."""

    stream: str = ""
    parent: Parent | None = None
    freed_seq: int = 0
    tail_seq: int = 0
    dropped_seq: int = 0
    exact: bool = False
    first_bad: int = 0
    last_bad: int = 0
    saved: int = 0
    next_seq: int = 0  # what follows the last row that was saved

    def lose(self, first: int, last: int) -> None:
        """Widen the range that was not saved."""
        if first <= last:
            self.first_bad = min(self.first_bad or first, first)
            self.last_bad = max(self.last_bad, last)


class Salvage:
    """Reads what can be read, in one pass, so that a backlog of any size passes in little memory."""

    def __init__(
        self, connection: sqlite3.Connection | None, witness: Witness | None, *, path: Path, source: str
    ) -> None:
        self._connection = connection
        self._path = path
        self._source = source
        self._carved: dict[Lane, dict[int, tuple[bytes, bytes]]] | None = None
        notes = _notes(connection)
        self.lanes = {name: _known(notes.get(name), witness, name) for name in LANES}

    def events(self, name: Lane) -> Iterator[tuple[str, int, bytes, bytes]]:
        """Events of a lane that the cloud has not confirmed, as (stream, seq, raw, hash), each proved by its
        chain; the first behind a hole cannot be. What is passed over is counted in `lanes`."""
        known = self.lanes[name]
        known.next_seq = known.freed_seq + 1
        previous = bytes.fromhex(known.parent.hash) if known.parent else b""
        for seq, raw, digest in self._rows(name, known.freed_seq):
            in_order = seq == known.next_seq and previous != b""
            if raw is not None and in_order and next_hash(previous, raw) == digest:
                stream = self._stream(raw, seq)
                if stream and stream == (known.stream or stream):
                    known.stream = stream
                    known.lose(known.next_seq, seq - 1)
                    known.next_seq, known.saved = seq + 1, known.saved + 1
                    previous = digest
                    yield stream, seq, raw, digest
                    continue
            if raw is None and seq <= known.dropped_seq:  # telemetry that was dropped before is not lost now
                known.lose(known.next_seq, seq - 1)
            else:
                known.lose(known.next_seq, seq)
            known.next_seq, previous = seq + 1, digest
        known.tail_seq = max(known.tail_seq, known.next_seq - 1)
        known.lose(known.next_seq, known.tail_seq)

    def _rows(self, name: Lane, after_seq: int) -> Iterator[tuple[int, bytes | None, bytes]]:
        """Rows after `after_seq` in order: through SQLite while it can, from the bare pages where it cannot."""
        columns = "seq, CAST(raw AS BLOB), CAST(hash AS BLOB)"
        query = f"SELECT {columns} FROM {TABLES[name]} WHERE seq>? ORDER BY seq"  # noqa: S608  # names of our own
        if self._connection is not None:
            try:
                for seq, raw, digest in self._connection.execute(query, (after_seq,)):
                    if isinstance(digest, bytes):
                        after_seq = seq
                        yield seq, raw, digest
            except (sqlite3.Error, *NONSENSE):
                pass
            else:
                return
        if self._carved is None:
            self._carved = self._carve()
        for seq, (raw, digest) in sorted(self._carved[name].items()):
            if seq > after_seq:
                yield seq, raw, digest

    def _carve(self) -> dict[Lane, dict[int, tuple[bytes, bytes]]]:
        """Events in the bare pages, by lane: of the stream that is known, or of the one that shows most."""
        streams: dict[Lane, dict[str, dict[int, tuple[bytes, bytes]]]] = {name: {} for name in LANES}
        for row in itertools.islice(carve(self._path), MAX_ROWS):
            stream, lane = self._named(row.raw, row.seq)
            if lane is not None and stream == (self.lanes[lane].stream or stream):
                streams[lane].setdefault(stream, {})[row.seq] = (row.raw, row.hash)
        return {name: max(found.values(), key=len, default={}) for name, found in streams.items()}

    def _named(self, raw: bytes, seq: int) -> tuple[str, Lane | None]:
        stream = self._stream(raw, seq)
        known = EVENT_TYPES.get(decode_envelope(raw).name) if stream else None
        return stream, known.LANE if known is not None else None

    def _stream(self, raw: bytes, seq: int) -> str:
        """The stream that an event of ours names, or nothing."""
        try:
            envelope = decode_envelope(raw)
        except (BadEventError, ValueError):
            return ""
        stream, _, number = envelope.id.rpartition(":")
        fits = number == str(seq) and envelope.sequence == seq and envelope.source.startswith(self._source)
        return stream if fits else ""

    def state(self) -> Iterator[tuple[tuple[str, str], bytes]]:
        """Rows of state that are as they were written."""
        if self._connection is None:
            return
        with contextlib.suppress(sqlite3.Error, *NONSENSE):
            for kind, key, value, crc in self._connection.execute("SELECT kind, key, value, crc FROM state"):
                if isinstance(value, bytes) and checksum(kind, key, value) == crc:
                    yield (kind, key), value


def _notes(connection: sqlite3.Connection | None) -> dict[Lane, LaneRow]:
    if connection is None:
        return {}
    try:
        return load_lanes(connection)
    except (sqlite3.Error, *NONSENSE):
        return {}


def _known(note: LaneRow | None, witness: Witness | None, name: Lane) -> LaneSalvage:
    seen = witness.lanes.get(name) if witness is not None else None
    if note is not None:
        parent = Parent(stream=note.stream, common=note.freed.seq, hash=note.freed.hash.hex())
        tail_seq = max(note.tail.seq, seen.tail_seq if seen is not None and seen.stream == note.stream else 0)
        return LaneSalvage(note.stream, parent, note.freed.seq, tail_seq, note.dropped_seq, exact=True)
    if seen is not None:
        parent = Parent(stream=seen.stream, common=seen.freed_seq, hash=seen.freed_hash)
        return LaneSalvage(seen.stream, parent, seen.freed_seq, seen.tail_seq)
    return LaneSalvage()


def adopt(store: Store, saved: Salvage, why: str, stamp: Stamp) -> list[LedgerDamaged]:
    """Fill a new ledger with what was saved, its streams children of the old ones, and say so. One transaction.

    Raises LedgerFullError.
    """
    found: list[LedgerDamaged] = []
    with store.transaction():
        for name, known in saved.lanes.items():
            store.lanes = {**store.lanes, name: msgspec.structs.replace(store.lanes[name], parent=known.parent)}
            append_again(store, name, saved.events(name))
            lost = max(0, known.tail_seq - max(known.freed_seq, known.dropped_seq) - known.saved)
            about = "" if known.exact else "at least "
            detail = f"{why}; {known.saved} events were saved, {about}{lost} lost; the old file is kept aside"
            found.append(LedgerDamaged(lane=name, first=known.first_bad, last=known.last_bad, detail=detail[:256]))
        store.put_state(saved.state())
        for event in found:
            store.add(event, stamp)
    return found
