"""PostgreSQL's events by month of receipt: partitions made ahead of time, and old ones dropped as a whole.

A month without a partition is no accident: its events go to `events_default`, and move when their partition is made.
"""

from __future__ import annotations

import re

from cloud_bridge.storage.months import Month
from cloud_bridge.storage.port import EVENT_COLUMNS
from cloud_bridge.storage.postgres import PgDb, scalar

_LOCK = 0x7A67_7061_7274_6974  # "zgpartit": one change of partitions at a time in a database
PRUNE_DEFAULT = """
DELETE FROM events_default WHERE ctid IN (SELECT ctid FROM events_default WHERE received_ms < ? LIMIT ?)
"""
_NAME = re.compile(r"events_y(\d{4})m(\d{2})")


def months(db: PgDb) -> list[Month]:
    """The months that have a partition, oldest first."""
    names = db.rows(
        """
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'events'::regclass
        """
    )
    found = [match for (name,) in names if (match := _NAME.fullmatch(name))]
    return sorted(Month(int(match[1]), int(match[2])) for match in found)


def make(db: PgDb, wanted: list[Month]) -> list[Month]:
    """Make the partitions that are missing, each in a transaction of its own; those made. Raises StorageError.

    Writers wait for a moment: to take a part of what `events_default` would hold, that table is locked.
    """
    made = []
    for month in wanted:
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
            if scalar(db, "SELECT to_regclass(?)", (month.table,)) is not None:
                continue
            _make(db, month)
            made.append(month)
    return made


def _make(db: PgDb, month: Month) -> None:
    table, first, end = month.table, month.start_ms, month.later(1).start_ms
    inside = f"received_ms >= {first} AND received_ms < {end}"
    # The check spares the server a look at every row when the table is attached.
    db.execute(f"CREATE TABLE {table} (LIKE events, CONSTRAINT {table}_span CHECK ({inside}))")
    db.execute(f"CREATE UNIQUE INDEX {table}_key ON {table} (stream, seq)")
    db.execute(f"CREATE INDEX {table}_dead ON {table} (stream, seq) WHERE dead IS NOT NULL")
    db.execute("LOCK TABLE events_default IN ACCESS EXCLUSIVE MODE")
    db.execute(
        f"""
        WITH moved AS (DELETE FROM events_default WHERE {inside} RETURNING {EVENT_COLUMNS})
        INSERT INTO {table} ({EVENT_COLUMNS}) SELECT {EVENT_COLUMNS} FROM moved
        """  # noqa: S608 - numbers and names of our own
    )
    db.execute(f"ALTER TABLE events ATTACH PARTITION {table} FOR VALUES FROM ({first}) TO ({end})")
    db.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_span")


def prune(db: PgDb, *, before: Month) -> list[Month]:
    """Drop the partitions of all months before `before`, with their events; those dropped. What `events_default` holds
    is for `PRUNE_DEFAULT`. Raises StorageError."""
    dropped = []
    for month in months(db):
        if month < before:
            with db.transaction():
                db.execute("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
                db.execute(f"DROP TABLE IF EXISTS {month.table}")
            dropped.append(month)
    return dropped
