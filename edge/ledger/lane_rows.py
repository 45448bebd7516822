"""The lanes as rows of the file: read and checked, and what of a chain is still there."""

from __future__ import annotations

import sqlite3

import msgspec

from contracts.event_types import Lane
from contracts.messages import Parent
from edge.ledger.rows import LaneRow, Mark
from edge.ledger.schema import LANE_COLUMNS, TABLES, checksum

SAVE_LANE = f"UPDATE lane SET {', '.join(f'{column}=?' for column in LANE_COLUMNS.split(', '))}, crc=? WHERE name=?"  # noqa: S608  # names of our own


class BrokenRowError(sqlite3.DatabaseError):
    """A row that no chain covers is not as it was written."""


def lane_values(lane: LaneRow) -> tuple[str | bytes | int | None, ...]:
    """The columns of a lane, in the order of LANE_COLUMNS."""
    parent = msgspec.json.encode(lane.parent).decode() if lane.parent else None
    return (
        lane.stream,
        parent,
        *lane.tail,
        *lane.freed,
        lane.dropped_seq,
        *lane.deleted,
        lane.confirmed_bytes,
    )


def load_lanes(connection: sqlite3.Connection) -> dict[Lane, LaneRow]:
    """The lanes as the file holds them. Raises BrokenRowError."""
    lanes: dict[Lane, LaneRow] = {}
    for name, crc, *row in connection.execute(f"SELECT name, crc, {LANE_COLUMNS} FROM lane"):  # noqa: S608  # names of our own
        if checksum(name, *row) != crc:
            raise BrokenRowError(f"the note about the {name} lane is broken")
        stream, parent, tail, tail_hash, freed, freed_hash, dropped_seq, deleted, deleted_hash, size_bytes = row
        lanes[name] = LaneRow(
            name=name,
            stream=stream,
            parent=msgspec.json.decode(parent, type=Parent) if parent else None,
            tail=Mark(tail, tail_hash),
            freed=Mark(freed, freed_hash),
            dropped_seq=dropped_seq,
            deleted=Mark(deleted, deleted_hash),
            confirmed_bytes=size_bytes,
        )
    if set(lanes) != set(TABLES):
        raise BrokenRowError("the note about a lane is gone")
    return lanes


def hash_at(connection: sqlite3.Connection, lane: LaneRow, seq: int) -> bytes | None:
    """The hash of the chain at `seq`; None where the lane does not retain it. What was confirmed counts as gone, also
    while its rows are still there: the protocol never goes back behind it."""
    if seq == lane.freed.seq:
        return lane.freed.hash
    if not lane.freed.seq < seq <= lane.tail.seq:
        return None
    return row_hash(connection, lane.name, seq)


def row_hash(connection: sqlite3.Connection, name: Lane, seq: int) -> bytes | None:
    """The hash of a row that is there, confirmed or not; None without one."""
    found = connection.execute(f"SELECT hash FROM {TABLES[name]} WHERE seq=?", (seq,)).fetchall()  # noqa: S608  # names from our own table
    return found[0][0] if found else None
