"""Commands, the stream that a command to a store must name, and every word of a store about one."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

# What became of a command is no column: it follows from the words. `lost_ms`: this cloud was restored meanwhile.
_TABLES = """
CREATE TABLE commands (
    tenant TEXT NOT NULL,
    store TEXT NOT NULL,
    id TEXT NOT NULL,
    stream TEXT NOT NULL,
    type TEXT NOT NULL,
    args TEXT NOT NULL,
    issued_by TEXT NOT NULL,
    issued_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    published_ms BIGINT NOT NULL,
    lost_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, store, id)
);
CREATE INDEX commands_of_store ON commands (tenant, store, issued_ms);
CREATE INDEX commands_unpublished ON commands (expires_ms) WHERE published_ms = 0;

CREATE TABLE command_targets (
    tenant TEXT NOT NULL,
    store TEXT NOT NULL,
    stream TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, store)
);

CREATE TABLE command_words (
    tenant TEXT NOT NULL,
    store TEXT NOT NULL,
    command TEXT NOT NULL,
    stream TEXT NOT NULL,
    seq BIGINT NOT NULL,
    said TEXT NOT NULL,
    detail TEXT NOT NULL,
    result TEXT NOT NULL,
    received_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, store, command, stream, seq)
)
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES.split(";"):
        op.execute(statement)


def downgrade() -> None:
    """Remove the tables with all that they hold."""
    for name in ("command_words", "command_targets", "commands"):
        op.execute(f"DROP TABLE {name}")
