"""A database of either kind, and an ingest over it. The PostgreSQL server is started once, its tables emptied a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest
from cloud_bridge.storage import Connection, SqliteStorage, Storage, open_storage, open_writer
from cloud_bridge.storage.postgres import Server
from cloud_bridge.storage.postgres_schema import migrate
from contracts.clock import ManualClock
from simulators.postgres_server import PostgresServer, PostgresServerError
from tests.cloud_bridge.postgres import Emptied


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real server. Only a machine without any PostgreSQL and without the pip package skips."""
    try:
        server = PostgresServer()
    except PostgresServerError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture(scope="session")
def emptied(postgres_server: PostgresServer) -> Iterator[Emptied]:
    """The one database that most tests share, one after the other."""
    migrate(Server(postgres_server.url()))
    with closing(Emptied(postgres_server.url())) as shared:
        yield shared


@pytest.fixture
def postgres_url(emptied: Emptied) -> str:
    """A PostgreSQL database with all tables and no rows."""
    return emptied.url()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a database is or may be made: a file, or an empty PostgreSQL database."""
    if request.param == "sqlite":
        return tmp_path / "cloud.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def connection(database: Path | str) -> Iterator[Connection]:
    """A connection of one's own that writes."""
    with closing(open_writer(database)) as opened:
        yield opened


@pytest.fixture
def storage(database: Path | str) -> Iterator[Storage]:
    opened = open_storage(database)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def sqlite_storage(tmp_path: Path) -> Iterator[SqliteStorage]:
    opened = SqliteStorage(tmp_path / "cloud.db")
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def ingest(storage: Storage, clock: ManualClock, counters: Counters) -> Ingest:
    return Ingest(storage=storage, clock=clock, counters=counters)
