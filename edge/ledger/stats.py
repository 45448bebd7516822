"""A ledger in numbers, for eyes and for machines; read-only, while the agent runs or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import msgspec

from contracts.envelope import BadEventError, decode_envelope
from contracts.event_types import LANES, Lane
from contracts.messages import Parent
from edge.ledger.disk_watch import DiskUse, Level, disk_use, next_level
from edge.ledger.inspect import opened
from edge.ledger.lane_rows import load_lanes
from edge.ledger.rows import LaneRow
from edge.ledger.schema import TABLES
from edge.ledger.tidy import Written

_WAITING = "SELECT count(raw), COALESCE(sum(length(raw)), 0) FROM {} WHERE seq>?"
_OLDEST = "SELECT CAST(raw AS BLOB) FROM {} WHERE seq>? AND raw IS NOT NULL ORDER BY seq LIMIT 1"


class LaneStats(msgspec.Struct, frozen=True, kw_only=True):
    """One lane. `waiting` events have their bytes and are not confirmed; of `gone` ones only the hash is left."""

    lane: Lane
    stream: str
    parent: Parent | None
    first_seq: int
    confirmed_seq: int
    last_seq: int
    waiting: int
    waiting_bytes: int
    oldest: str
    confirmed_bytes: int
    gone: int
    set_aside: int


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes. `bytes_an_event`: handed to the disk for each event since the file began (0: not known yet)."""

    tenant: str
    store: str
    machine: str
    level: Level
    disk_used_share: float
    disk_free_bytes: int
    file_bytes: int
    free_page_bytes: int
    log_bytes: int
    reserve_bytes: int
    written_bytes: int
    written_events: int
    bytes_an_event: float
    state_rows: int
    lanes: tuple[LaneStats, ...]
    damaged_files: tuple[str, ...]


def stats(path: Path, *, disk: Callable[[Path], DiskUse] = disk_use) -> Stats:
    """What there is. Raises LedgerOpenError."""
    with opened(path) as connection:
        meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        lanes = tuple(_lane(connection, row) for row in map(load_lanes(connection).__getitem__, LANES))
        pages, free, size = (_pragma(connection, name) for name in ("page_count", "freelist_count", "page_size"))
        state_rows = connection.execute("SELECT count(*) FROM state").fetchone()[0]
    written, use = _written(meta.get("written")), disk(path.parent)
    reserve = _size(path, ".reserve")
    return Stats(
        tenant=meta.get("tenant", ""),
        store=meta.get("store", ""),
        machine=meta.get("machine", ""),
        level=_level(meta.get("level"), use),
        disk_used_share=round(use.share, 4),
        disk_free_bytes=use.free_bytes,
        file_bytes=pages * size,
        free_page_bytes=free * size,
        log_bytes=_size(path, "-wal"),
        reserve_bytes=reserve,
        written_bytes=written.bytes,
        written_events=written.events,
        bytes_an_event=round(written.bytes / written.events, 1) if written.events else 0.0,
        state_rows=state_rows,
        lanes=lanes,
        damaged_files=tuple(sorted(file.name for file in path.parent.glob(f"{path.name}.damaged-*"))),
    )


def _lane(connection: sqlite3.Connection, row: LaneRow) -> LaneStats:
    table, after = TABLES[row.name], max(row.freed.seq, row.dropped_seq)
    waiting, waiting_bytes = connection.execute(_WAITING.format(table), (after,)).fetchone()
    oldest = connection.execute(_OLDEST.format(table), (after,)).fetchone()
    aside = connection.execute("SELECT count(*) FROM quarantine WHERE lane=?", (row.name,)).fetchone()[0]
    return LaneStats(
        lane=row.name,
        stream=row.stream,
        parent=row.parent,
        first_seq=min(row.deleted.seq + 1, row.tail.seq),
        confirmed_seq=row.freed.seq,
        last_seq=row.tail.seq,
        waiting=waiting,
        waiting_bytes=waiting_bytes,
        oldest=_time(oldest[0]) if oldest else "",
        confirmed_bytes=row.confirmed_bytes,
        gone=max(0, row.dropped_seq - row.freed.seq),
        set_aside=aside,
    )


def _time(raw: bytes) -> str:
    try:
        return decode_envelope(raw).time
    except BadEventError:
        return ""


def _level(noted: str | None, use: DiskUse) -> Level:
    """What the agent found last, which knows its quota and its reserve; the disk alone if none has looked."""
    return msgspec.convert(noted, Level) if noted in get_args(Level) else next_level("ok", use.share, durable=True)


def _written(noted: str | None) -> Written:
    try:
        return msgspec.json.decode(noted, type=Written) if noted else Written()
    except msgspec.MsgspecError:
        return Written()


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _size(path: Path, suffix: str) -> int:
    try:
        return path.with_name(path.name + suffix).stat().st_size
    except OSError:
        return 0
