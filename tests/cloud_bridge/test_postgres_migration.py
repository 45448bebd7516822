"""Alembic's revisions: run once however many bridges start together, equal to SQLite's tables, never over a newer release."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from alembic.script import ScriptDirectory

from cloud_bridge.run import CloudError, check_database
from cloud_bridge.storage import StorageNewerError, open_writer
from cloud_bridge.storage.postgres import Server
from cloud_bridge.storage.postgres_schema import REVISIONS, VERSION_TABLE, migrate, script, version
from simulators.postgres_server import PostgresServer


@pytest.fixture
def empty(postgres_server: PostgresServer) -> Iterator[str]:
    """A database of its own without a table."""
    with closing(Server(postgres_server.url()).connect()) as admin:
        admin.execute("DROP DATABASE IF EXISTS fresh WITH (FORCE)")
        admin.execute("CREATE DATABASE fresh")
        yield postgres_server.url("fresh")
        admin.execute("DROP DATABASE fresh WITH (FORCE)")


def test_the_list_of_revisions_is_alembics() -> None:
    walked = [found.revision for found in ScriptDirectory.from_config(script()).walk_revisions()]
    assert tuple(reversed(walked)) == REVISIONS


def test_bridges_that_start_together_migrate_once(empty: str) -> None:
    with ThreadPoolExecutor(6) as together:
        assert set(together.map(lambda _: migrate(Server(empty)), range(6))) == {REVISIONS[-1]}
    with closing(Server(empty).connect()) as db:
        assert db.rows(f"SELECT version_num FROM {VERSION_TABLE}") == [(REVISIONS[-1],)]


def test_a_start_that_finds_nothing_to_do_does_not_ask_alembic(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(Server(empty))
    monkeypatch.setattr("cloud_bridge.storage.postgres_schema._upgrade", None)
    assert migrate(Server(empty)) == REVISIONS[-1]


def test_a_migration_that_fails_leaves_nothing(empty: str) -> None:
    server = Server(empty)
    with closing(server.connect()) as db:
        db.execute("CREATE TABLE members (mine int)")  # in the way of the last table
        with pytest.raises(CloudError, match="already exists"):
            check_database(empty)
        assert version(db) is None
        assert db.one("SELECT to_regclass('streams')") == (None,)
        db.execute("DROP TABLE members")
    assert migrate(server) == REVISIONS[-1]


def test_tables_of_a_newer_release_are_refused(empty: str) -> None:
    migrate(Server(empty))
    with closing(Server(empty).connect()) as db:
        db.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StorageNewerError, match=r"^postgresql://.* was made by a newer release"):
        migrate(Server(empty))


def test_both_databases_have_the_same_tables_and_columns(empty: str) -> None:
    migrate(Server(empty))
    with closing(Server(empty).connect()) as postgres, closing(open_writer(":memory:")) as sqlite:
        ours = postgres.rows(
            """
            SELECT c.relname, a.attname, a.attnotnull, c.relkind = 'v' FROM pg_attribute a
            JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'public' AND a.attnum > 0 AND NOT a.attisdropped
                AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
            """
        )
        theirs = sqlite.rows(
            """
            SELECT m.name, c.name, c."notnull" OR c.pk > 0, m.type = 'view' FROM sqlite_master m, pragma_table_info(m.name) c
            WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
            """
        )
    own = {VERSION_TABLE, "_sqlite_migrations"}
    mine, other = ({(t, c, bool(n) or bool(v)) for t, c, n, v in rows if t not in own} for rows in (ours, theirs))
    assert mine == other
    assert {"streams", "events", "parked", "members", "dead_letters"} <= {table for table, _, _ in mine}
