"""What to do when the disk gave back something else than was written: set it aside, go on, and say what is lost.

A row that breaks its chain goes to the table `quarantine` and its lane forks, since the cloud would refuse the chain
for ever. So does a lane whose end is gone: a sequence is never used twice in one stream. A file that SQLite cannot read
is moved aside whole (see salvage.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.envelope import BadEventError, Stamp, decode_envelope, next_hash
from contracts.event_types import LANES, LedgerDamaged, StreamForked
from edge.ledger.forks import leave
from edge.ledger.rows import LaneRow
from edge.ledger.schema import TABLES, checksum
from edge.ledger.store import Store
from edge.ledger.witness import Witness

_QUARANTINE = {
    lane: f"INSERT INTO quarantine (lane, stream, seq, raw, hash, reason) SELECT ?, ?, seq, raw, hash, ? FROM {table} WHERE seq=?"  # noqa: S608,E501  # names from our own table
    for lane, table in TABLES.items()
}

# Why a row is set aside.
ALTERED = "does not give its hash"
BEHIND = "stands behind a hole"
_GONE = "its bytes are gone"
_OTHER = "is not what should stand there"
_END = "is not what the lane ends with"


@dataclass(frozen=True, slots=True)
class Damage:
    """Sequences of a lane that do not hold what was written, and why (of missing ones the first and the last)."""

    why: Mapping[int, str]
    missing: int

    @property
    def bad(self) -> tuple[int, ...]:
        return tuple(sorted(self.why))

    @property
    def first(self) -> int:
        return self.bad[0]

    @property
    def last(self) -> int:
        return self.bad[-1]


def find_damage(connection: sqlite3.Connection, lane: LaneRow) -> Damage | None:
    """Walk what the cloud has not confirmed; None if it is sound. One pass, whatever its length."""
    expected, previous = lane.freed.seq + 1, lane.freed.hash
    why: dict[int, str] = {}
    missing = 0
    table = TABLES[lane.name]
    query = f"SELECT seq, CAST(raw AS BLOB), CAST(hash AS BLOB) FROM {table} WHERE seq>? ORDER BY seq"  # noqa: S608  # names from our own table
    for seq, raw, digest in connection.execute(query, (lane.freed.seq,)):
        if seq != expected:
            missing += seq - expected
            why |= dict.fromkeys((expected, seq - 1), _GONE)
        if fault := _fault(lane, seq, raw, digest, previous, in_order=seq == expected):
            why[seq] = fault
        expected, previous = seq + 1, digest
    if expected <= lane.tail.seq:
        missing += lane.tail.seq - expected + 1
        why |= dict.fromkeys((expected, lane.tail.seq), _GONE)
    elif not why and previous != lane.tail.hash:
        why[lane.tail.seq] = _END  # the rows agree with each other, the note about the tail does not
    return Damage(why, missing) if why else None


def _fault(
    lane: LaneRow, seq: int, raw: bytes | None, digest: bytes | None, previous: bytes | None, *, in_order: bool
) -> str:
    """Why this row is not proved; "" if it is."""
    if raw is None:
        return "" if seq <= lane.dropped_seq else _GONE
    if digest is None or previous is None or not in_order:
        return BEHIND  # nothing proves it: a person may bring it back
    if next_hash(previous, raw) != digest:
        return ALTERED
    return "" if readable(raw, f"{lane.stream}:{seq}") else _OTHER


def readable(raw: bytes, name: str) -> bool:
    """Is this an event, and the one it should be?"""
    try:
        return decode_envelope(raw).id == name
    except (BadEventError, ValueError):
        return False


def heal(store: Store, stamp: Stamp, *, witness: Witness | None, lost_commits: int) -> list[LedgerDamaged]:
    """Fork every lane whose chain is broken or whose end is gone, at what is confirmed; set broken rows aside; return
    what was found. `lost_commits`: how many the write-ahead log held that SQLite could not take.
    """
    found = _heal_state(store, stamp)
    for name in LANES:
        lane = store.lanes[name]
        damage = find_damage(store.connection, lane)
        behind = _behind(lane, witness)
        if damage is None and not behind and not lost_commits:
            _mend_counter(store, lane)
            continue
        why = damage.why if damage else {}
        bad = damage.bad if damage else ()
        said = [f"{len(bad)} places broken, {damage.missing} rows missing"] if damage else []
        if behind:
            said.append(f"the last {behind} events are gone")
        if lost_commits:
            said.append(f"the log held {lost_commits} commits more, of any lane")
        last = max((*bad, lane.tail.seq + max(behind, lost_commits)) if behind or lost_commits else bad)
        event = LedgerDamaged(
            lane=name,
            first=min((*bad, lane.tail.seq + 1)),
            last=last,
            detail="; ".join((*said, "what was readable is kept aside")),
        )
        with store.transaction():
            for seq in bad:
                store.connection.execute(_QUARANTINE[name], (name, lane.stream, why[seq], seq))
                store.connection.execute(f"DELETE FROM {TABLES[name]} WHERE seq=?", (seq,))  # noqa: S608  # names from our own table
            leave(store, lane, *lane.freed)  # nothing after it is known to be in the cloud, so all of it goes again
            store.add(StreamForked(lane=name, parent=lane.stream, common=lane.freed.seq, reason="damaged"), stamp)
            store.add(event, stamp)
        found.append(event)
    return found


def _behind(lane: LaneRow, witness: Witness | None) -> int:
    """How many events the lane once had beyond its end."""
    seen = witness.lanes.get(lane.name) if witness is not None else None
    return max(0, seen.tail_seq - lane.tail.seq) if seen is not None and seen.stream == lane.stream else 0


def _mend_counter(store: Store, lane: LaneRow) -> None:
    """SQLite's own counter of sequences follows the lane; nobody's event depends on it."""
    table = TABLES[lane.name]
    found = store.connection.execute("SELECT seq FROM sqlite_sequence WHERE name=?", (table,)).fetchone()
    if (found[0] if found else 0) != lane.tail.seq:
        with store.transaction():
            store.connection.execute("DELETE FROM sqlite_sequence WHERE name=?", (table,))
            store.connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, lane.tail.seq))


def _heal_state(store: Store, stamp: Stamp) -> list[LedgerDamaged]:
    """Set aside every row of state that is not as it was written: a wrong weight is worse than an unknown one."""
    query = (
        "SELECT rowid, CAST(kind AS BLOB), CAST(key AS BLOB), CAST(value AS BLOB), crc,"
        " typeof(kind)||typeof(key)||typeof(value) FROM state"
    )
    bad = [
        (rowid, kind.decode(errors="replace"), key, value)
        for rowid, kind, key, value, crc, types in store.connection.execute(query)
        if types != "texttextblob" or checksum(_text(kind), _text(key), value) != crc
    ]
    if not bad:
        return []
    kinds = sorted({kind[:16] for _, kind, *_ in bad})[:6]
    event = LedgerDamaged(
        lane="ledger",
        first=0,
        last=0,
        detail=f"{len(bad)} rows of state broken ({', '.join(kinds)}), no event; they are kept aside"[:256],
    )
    with store.transaction():
        for rowid, kind, key, value in bad:
            values = ("state", kind, 0, value, key, "its checksum differs")
            store.connection.execute(
                "INSERT INTO quarantine (lane, stream, seq, raw, hash, reason) VALUES (?, ?, ?, ?, ?, ?)", values
            )
            store.connection.execute("DELETE FROM state WHERE rowid=?", (rowid,))
        store.add(event, stamp)
    return [event]


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
