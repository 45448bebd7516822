"""Alembic's entry: run the revisions on the connection it is handed, all of them in one transaction."""

from __future__ import annotations

from alembic import context

from cloud_bridge.storage.postgres_schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
