"""Streams, events by month, gaps, parked batches, lost ranges, leases, presence, members."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

# `streams.hash` is the chain's hash at the watermark; the streams of one store are ordered by `born`.
# `events` has no key of its own: a key of a partitioned table must hold the column it is parted by. Each partition has
# a unique index on (stream, seq); across partitions the watermark of the locked stream row keeps a sequence single.
_TABLES = """
CREATE TABLE streams (
    born BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    store TEXT NOT NULL,
    lane TEXT NOT NULL,
    watermark BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    parent TEXT,
    parent_common BIGINT,
    parent_hash BYTEA
) WITH (fillfactor = 50);
CREATE INDEX streams_of_store ON streams (tenant, store, lane);
CREATE INDEX streams_of_parent ON streams (parent) WHERE parent IS NOT NULL;

CREATE TABLE events (
    stream BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    received_ms BIGINT NOT NULL,
    counted SMALLINT NOT NULL,
    type TEXT,
    dead TEXT,
    hash BYTEA NOT NULL,
    raw BYTEA NOT NULL
) PARTITION BY RANGE (received_ms);
CREATE TABLE events_default PARTITION OF events DEFAULT;
CREATE UNIQUE INDEX events_default_key ON events_default (stream, seq);
CREATE INDEX events_default_dead ON events_default (stream, seq) WHERE dead IS NOT NULL;

CREATE VIEW dead_letters AS
    SELECT s.tenant, s.store, s.lane, s.stream, e.seq, e.received_ms, e.type, e.dead AS reason, e.hash, e.raw
    FROM events e JOIN streams s ON s.born = e.stream WHERE e.dead IS NOT NULL;

CREATE TABLE origins (
    stream TEXT NOT NULL,
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (stream, seq, hash)
);

CREATE TABLE gaps (
    stream BIGINT NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    reason TEXT NOT NULL,
    declared BIGINT NOT NULL,
    last_hash BYTEA NOT NULL,
    received_ms BIGINT NOT NULL,
    PRIMARY KEY (stream, first)
);

CREATE TABLE parked (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream BIGINT NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    payload BYTEA NOT NULL,
    UNIQUE (stream, first, digest)
);

CREATE TABLE lost (
    stream TEXT NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    child TEXT NOT NULL,
    noticed_ms BIGINT NOT NULL,
    PRIMARY KEY (stream, child)
);

CREATE TABLE leases (
    tenant TEXT NOT NULL,
    store TEXT NOT NULL,
    instance TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, store)
);

CREATE TABLE presence (
    tenant TEXT NOT NULL,
    store TEXT NOT NULL,
    boot TEXT NOT NULL,
    conn BIGINT NOT NULL,
    instance TEXT,
    agent_version TEXT,
    online SMALLINT NOT NULL,
    last_seen_ms BIGINT NOT NULL,
    retired TEXT NOT NULL DEFAULT ' ',
    PRIMARY KEY (tenant, store)
);

CREATE TABLE members (
    tenant TEXT NOT NULL,
    member_ref TEXT NOT NULL,
    name TEXT NOT NULL,
    points BIGINT NOT NULL,
    PRIMARY KEY (tenant, member_ref)
)
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES.split(";"):
        op.execute(statement)


def downgrade() -> None:
    """Remove the tables with all that they hold."""
    for name in ("members", "presence", "leases", "lost", "parked", "gaps", "origins"):
        op.execute(f"DROP TABLE {name}")
    op.execute("DROP VIEW dead_letters")
    op.execute("DROP TABLE events")
    op.execute("DROP TABLE streams")
