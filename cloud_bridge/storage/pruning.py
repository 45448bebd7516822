"""Letting go of what is no longer wanted, beside a bridge that serves: in pieces, with room for its writer in between.

SQLite has one writer: whoever deletes a million rows at once holds every store up for as long. So each piece is a
transaction of its own, and after each one the bridge gets its turn. A run that ends in the middle leaves the rest for
the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cloud_bridge.storage.address import is_postgres, open_writer
from cloud_bridge.storage.months import Month
from cloud_bridge.storage.port import Connection
from contracts.envelope import BadEventError, Origin, decode_envelope

LEAST_MONTHS = 3
"""A store may come back with events that it kept this long: their originals must still be here to be known again."""
PIECE_ROWS = 4096  # measured: 25 ms of deleting, with its sync
PIECE_PAYLOADS = 16  # rows that are as large as a batch
PAUSE_S = 0.1  # the longest that SQLite lets somebody who waits for its lock sleep between two looks
Pause = Callable[[float], None]

_SPAN = """
SELECT min(seq), max(seq), min(received_ms)
FROM (SELECT seq, received_ms FROM events WHERE stream = ? ORDER BY seq LIMIT ?) AS first
"""
_EVENTS = "DELETE FROM events WHERE stream = ? AND seq BETWEEN ? AND ? AND received_ms < ?"
_FORKED = "SELECT born FROM streams WHERE parent IS NOT NULL ORDER BY born"
_OLD = "SELECT seq, raw FROM events WHERE stream = ? AND seq > ? AND received_ms < ? ORDER BY seq LIMIT ?"
# Streams of a store that another one of its streams was forked from: nothing is sent in them any more.
_LEFT = """
SELECT p.born FROM streams p WHERE EXISTS (SELECT 1 FROM streams c
    WHERE c.parent = p.stream AND c.tenant = p.tenant AND c.store = p.store AND c.born <> p.born)
"""
_PARKED = f"DELETE FROM parked WHERE number IN (SELECT number FROM parked WHERE stream IN ({_LEFT}) LIMIT ?)"  # noqa: S608 - ours
_GAPS = "DELETE FROM gaps WHERE (stream, first) IN (SELECT stream, first FROM gaps WHERE received_ms < ? LIMIT ?)"
_COMMANDS = "SELECT tenant, store, id FROM commands WHERE expires_ms < ? ORDER BY expires_ms LIMIT ?"
_WORDS = """
DELETE FROM command_words WHERE (tenant, store, command, stream, seq) IN (
    SELECT tenant, store, command, stream, seq FROM command_words w WHERE received_ms < ? AND NOT EXISTS
        (SELECT 1 FROM commands c WHERE c.tenant = w.tenant AND c.store = w.store AND c.id = w.command)
    LIMIT ?)
"""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was let go. `events` are the months of PostgreSQL, or the streams of SQLite that lost some."""

    events: tuple[str, ...] = ()
    gaps: int = 0
    origins: int = 0
    parked: int = 0
    commands: int = 0
    words: int = 0


def prune(address: Path | str, *, before: Month, pause: Pause = time.sleep) -> Pruned:
    """Let go of all that was received before the month `before`, and of what nobody can ask for any more.

    Watermarks stay, so nothing is asked for or taken again. Raises StorageError.
    """
    with closing(open_writer(address)) as db:
        pieces = _Pieces(db, pause)
        origins = sum(_origins(pieces, key, before) for (key,) in db.rows(_FORKED))  # while their copies can be read
        return Pruned(
            events=tuple(_months(db, before, pause) if is_postgres(address) else _sqlite_events(pieces, before)),
            gaps=pieces.until_none(_GAPS, (before.start_ms,), PIECE_ROWS),
            origins=origins,
            parked=pieces.until_none(_PARKED, (), PIECE_PAYLOADS),
            commands=_commands(pieces, before),
            words=pieces.until_none(_WORDS, (before.start_ms,), PIECE_ROWS),
        )


class _Pieces:
    """Work in transactions of their own, with a pause after each."""

    def __init__(self, db: Connection, pause: Pause) -> None:
        self.db = db
        self._pause = pause

    def run(self, sql: str, *rows: Sequence[object]) -> int:
        """One piece: `sql` for each of `rows`; how many rows it changed."""
        with self.db.transaction():
            changed = sum(self.db.execute(sql, row) for row in rows)
        if changed:
            self._pause(PAUSE_S)
        return changed

    def until_none(self, sql: str, params: tuple[object, ...], limit: int) -> int:
        """Pieces of `limit` rows, which `sql` takes last, until it finds no more."""
        total = 0
        while changed := self.run(sql, (*params, limit)):
            total += changed
        return total


def _months(db: Connection, before: Month, pause: Pause) -> list[str]:
    from cloud_bridge.storage import partitions  # noqa: PLC0415 - its driver is an extra
    from cloud_bridge.storage.postgres import PgDb  # noqa: PLC0415 - as above

    assert isinstance(db, PgDb)
    dropped = [str(month) for month in partitions.prune(db, before=before)]
    _Pieces(db, pause).until_none(partitions.PRUNE_DEFAULT, (before.start_ms,), PIECE_ROWS)
    return dropped


def _sqlite_events(pieces: _Pieces, before: Month) -> list[str]:
    """The streams that lost events. A stream is in the order of receipt: the first piece without old ones ends it."""
    pruned = []
    for key, stream in pieces.db.rows("SELECT born, stream FROM streams ORDER BY born"):
        lost = 0
        while (span := _old_span(pieces.db, key, before)) is not None:
            lost += pieces.run(_EVENTS, (key, *span, before.start_ms))
        if lost:
            pruned.append(str(stream))
    return pruned


def _old_span(db: Connection, key: int, before: Month) -> tuple[int, int] | None:
    """The first sequences of a stream, if there are old ones among them. Only looks: nobody waits for it."""
    first, last, oldest_ms = db.one(_SPAN, (key, PIECE_ROWS)) or (None, None, None)
    return (first, last) if oldest_ms is not None and oldest_ms < before.start_ms else None


def _commands(pieces: _Pieces, before: Month) -> int:
    """Commands whose time was over before that month, each with its words."""
    total = 0
    while found := pieces.db.rows(_COMMANDS, (before.start_ms, PIECE_ROWS // 8)):
        pieces.run("DELETE FROM command_words WHERE tenant = ? AND store = ? AND command = ?", *found)
        total += pieces.run("DELETE FROM commands WHERE tenant = ? AND store = ? AND id = ?", *found)
    return total


def _origins(pieces: _Pieces, key: int, before: Month) -> int:
    """An origin goes with the copy that brought it, as an original goes with its month."""
    total, after = 0, 0
    while rows := pieces.db.rows(_OLD, (key, after, before.start_ms, PIECE_ROWS // 8)):
        after = rows[-1][0]
        found = [(o.stream, o.seq, bytes.fromhex(o.hash)) for _, raw in rows if (o := _origin(raw)) is not None]
        if found:
            total += pieces.run("DELETE FROM origins WHERE stream = ? AND seq = ? AND hash = ?", *found)
    return total


def _origin(raw: bytes) -> Origin | None:
    if b'"origin":' not in raw:
        return None
    try:
        origin = decode_envelope(raw).origin
        bytes.fromhex(origin.hash if origin else "")
    except (BadEventError, ValueError):
        return None
    return origin
