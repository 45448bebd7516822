"""SQLite's tables and how they came to be: one migration function a change, never edited after a release.

PostgreSQL's stand in `cloud_bridge/migrations`; a test holds the two equal.
"""

from __future__ import annotations

from functools import cache

from sqlite_utils import Database, Migrations

from cloud_bridge.storage.port import Db

migrations = Migrations("cloud_bridge")


@migrations()
def m001_streams_and_events(db: Database) -> None:
    """Streams, events, gaps, parked batches, lost ranges."""
    # `streams.hash` is the chain's hash at the watermark; the streams of one store are ordered by `born`.
    db.execute(
        """
        CREATE TABLE streams (
            born INTEGER PRIMARY KEY AUTOINCREMENT,
            stream TEXT NOT NULL UNIQUE,
            tenant TEXT NOT NULL,
            store TEXT NOT NULL,
            lane TEXT NOT NULL,
            watermark INTEGER NOT NULL,
            hash BLOB NOT NULL,
            parent TEXT,
            parent_common INTEGER,
            parent_hash BLOB,
            forked INTEGER NOT NULL DEFAULT 0
        )
        """
    )
    db.execute("CREATE INDEX streams_of_store ON streams (tenant, store, lane)")
    # `dead` is the reason of a dead letter. `raw` is empty where the bytes may hold personal data; the hash stays.
    # `counted` is 0 for an event that stands in the database already under its origin.
    db.execute(
        """
        CREATE TABLE events (
            row INTEGER PRIMARY KEY AUTOINCREMENT,
            stream TEXT NOT NULL,
            seq INTEGER NOT NULL,
            tenant TEXT NOT NULL,
            store TEXT NOT NULL,
            lane TEXT NOT NULL,
            type TEXT NOT NULL,
            source TEXT NOT NULL,
            time TEXT NOT NULL,
            boot TEXT NOT NULL,
            received_ms INTEGER NOT NULL,
            raw BLOB NOT NULL,
            hash BLOB NOT NULL,
            dead TEXT,
            counted INTEGER NOT NULL DEFAULT 1,
            UNIQUE (stream, seq)
        )
        """
    )
    db.execute("CREATE INDEX events_of_store ON events (tenant, store, row)")
    db.execute(
        """
        CREATE TABLE origins (
            stream TEXT NOT NULL,
            seq INTEGER NOT NULL,
            hash BLOB NOT NULL,
            PRIMARY KEY (stream, seq, hash)
        ) WITHOUT ROWID
        """
    )
    db.execute(
        """
        CREATE TABLE gaps (
            stream TEXT NOT NULL,
            first INTEGER NOT NULL,
            last INTEGER NOT NULL,
            reason TEXT NOT NULL,
            declared INTEGER NOT NULL,
            last_hash BLOB NOT NULL,
            received_ms INTEGER NOT NULL,
            PRIMARY KEY (stream, first)
        ) WITHOUT ROWID
        """
    )
    db.execute(
        """
        CREATE TABLE parked (
            stream TEXT NOT NULL,
            first INTEGER NOT NULL,
            last INTEGER NOT NULL,
            digest BLOB NOT NULL,
            payload BLOB NOT NULL,
            PRIMARY KEY (stream, first, digest)
        )
        """
    )
    db.execute(
        """
        CREATE TABLE lost (
            stream TEXT NOT NULL,
            first INTEGER NOT NULL,
            last INTEGER NOT NULL,
            child TEXT NOT NULL,
            noticed_ms INTEGER NOT NULL,
            PRIMARY KEY (stream, child)
        ) WITHOUT ROWID
        """
    )


@migrations()
def m002_leases_presence_members(db: Database) -> None:
    """Who may speak for a store, who was heard of when, who is a member."""
    db.table("leases").create(
        {"tenant": str, "store": str, "instance": str, "since_ms": int},
        pk=("tenant", "store"),
        not_null={"instance", "since_ms"},
    )
    db.table("presence").create(
        {
            "tenant": str,
            "store": str,
            "boot": str,
            "conn": int,
            "instance": str,
            "agent_version": str,
            "online": int,
            "last_seen_ms": int,
        },
        pk=("tenant", "store"),
        not_null={"boot", "conn", "online", "last_seen_ms"},
    )
    db.table("members").create(
        {"tenant": str, "member_ref": str, "name": str, "points": int},
        pk=("tenant", "member_ref"),
        not_null={"name", "points"},
    )


@migrations()
def m003_narrow_events(db: Database) -> None:
    """Rows a third narrower: a stream is a number, and what stands in the bytes of an event stands nowhere else."""
    # `type` is kept of dead letters only: whoever looks at one has nothing else to go by.
    db.execute(
        """
        CREATE TABLE narrow (
            stream INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            received_ms INTEGER NOT NULL,
            counted INTEGER NOT NULL,
            type TEXT,
            dead TEXT,
            hash BLOB NOT NULL,
            raw BLOB NOT NULL,
            UNIQUE (stream, seq)
        )
        """
    )
    db.execute(
        """
        INSERT INTO narrow (stream, seq, received_ms, counted, type, dead, hash, raw)
        SELECT s.born, e.seq, e.received_ms, e.counted, CASE WHEN e.dead IS NULL THEN NULL ELSE e.type END,
            e.dead, e.hash, e.raw
        FROM events e JOIN streams s ON s.stream = e.stream ORDER BY e.row
        """
    )
    db.execute("DROP TABLE events")
    db.execute("ALTER TABLE narrow RENAME TO events")
    db.execute("CREATE INDEX events_dead ON events (stream, seq) WHERE dead IS NOT NULL")
    db.execute(
        """
        CREATE VIEW dead_letters AS
        SELECT s.tenant, s.store, s.lane, s.stream, e.seq, e.received_ms, e.type, e.dead AS reason, e.hash, e.raw
        FROM events e JOIN streams s ON s.born = e.stream WHERE e.dead IS NOT NULL
        """
    )
    db.execute(
        """
        CREATE TABLE narrow (
            stream INTEGER NOT NULL,
            first INTEGER NOT NULL,
            last INTEGER NOT NULL,
            reason TEXT NOT NULL,
            declared INTEGER NOT NULL,
            last_hash BLOB NOT NULL,
            received_ms INTEGER NOT NULL,
            PRIMARY KEY (stream, first)
        ) WITHOUT ROWID
        """
    )
    db.execute(
        """
        INSERT INTO narrow
        SELECT s.born, g.first, g.last, g.reason, g.declared, g.last_hash, g.received_ms
        FROM gaps g JOIN streams s ON s.stream = g.stream
        """
    )
    db.execute("DROP TABLE gaps")
    db.execute("ALTER TABLE narrow RENAME TO gaps")
    db.execute(
        """
        CREATE TABLE narrow (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            stream INTEGER NOT NULL,
            first INTEGER NOT NULL,
            last INTEGER NOT NULL,
            digest BLOB NOT NULL,
            payload BLOB NOT NULL,
            UNIQUE (stream, first, digest)
        )
        """
    )
    db.execute(
        """
        INSERT INTO narrow (stream, first, last, digest, payload)
        SELECT s.born, p.first, p.last, p.digest, p.payload
        FROM parked p JOIN streams s ON s.stream = p.stream ORDER BY p.rowid
        """
    )
    db.execute("DROP TABLE parked")
    db.execute("ALTER TABLE narrow RENAME TO parked")
    # Whether a stream is forked is asked of its children: no row of another stream needs to be locked for it.
    db.execute("ALTER TABLE streams DROP COLUMN forked")
    db.execute("CREATE INDEX streams_of_parent ON streams (parent) WHERE parent IS NOT NULL")


@migrations()
def m004_retired_boots(db: Database) -> None:
    """Boots that were replaced, so that the last words of one are not taken for news; ` b2 b1 `, the latest first."""
    db.execute("ALTER TABLE presence ADD COLUMN retired TEXT NOT NULL DEFAULT ' '")


@migrations()
def m005_commands(db: Database) -> None:
    """Commands, the stream that a command to a store must name, and every word of a store about one."""
    # What became of a command is no column: it follows from the words. `lost_ms`: this cloud was restored meanwhile.
    db.execute(
        """
        CREATE TABLE commands (
            tenant TEXT NOT NULL,
            store TEXT NOT NULL,
            id TEXT NOT NULL,
            stream TEXT NOT NULL,
            type TEXT NOT NULL,
            args TEXT NOT NULL,
            issued_by TEXT NOT NULL,
            issued_ms INTEGER NOT NULL,
            expires_ms INTEGER NOT NULL,
            published_ms INTEGER NOT NULL,
            lost_ms INTEGER NOT NULL,
            PRIMARY KEY (tenant, store, id)
        ) WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX commands_of_store ON commands (tenant, store, issued_ms)")
    db.execute("CREATE INDEX commands_unpublished ON commands (expires_ms) WHERE published_ms = 0")
    db.execute(
        """
        CREATE TABLE command_targets (
            tenant TEXT NOT NULL,
            store TEXT NOT NULL,
            stream TEXT NOT NULL,
            since_ms INTEGER NOT NULL,
            PRIMARY KEY (tenant, store)
        ) WITHOUT ROWID
        """
    )
    db.execute(
        """
        CREATE TABLE command_words (
            tenant TEXT NOT NULL,
            store TEXT NOT NULL,
            command TEXT NOT NULL,
            stream TEXT NOT NULL,
            seq INTEGER NOT NULL,
            said TEXT NOT NULL,
            detail TEXT NOT NULL,
            result TEXT NOT NULL,
            received_ms INTEGER NOT NULL,
            PRIMARY KEY (tenant, store, command, stream, seq)
        ) WITHOUT ROWID
        """
    )


WIDE = frozenset({"m001_streams_and_events", "m002_leases_presence_members"})
"""What a file has had done to it whose events `m003` writes anew."""


def applied(db: Db) -> tuple[list[str], list[str]]:
    """What a file has had done to it, and all there is, in order. Raises StorageError where there are no tables."""
    done = db.rows("SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY id", (migrations.name,))
    return [name for (name,) in done], list(names())


@cache
def names() -> tuple[str, ...]:
    """All changes there are, in order: what an empty database would have done to it."""
    return tuple(change.name for change in migrations.pending(Database(memory=True)))
