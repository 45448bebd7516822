"""PostgreSQL as `Db`: one connection, its settings, and its errors as ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import StrDumper

from cloud_bridge.storage.errors import (
    StorageAddressError,
    StorageAwayError,
    StorageBusyError,
    StorageConflictError,
    StorageError,
    StorageFullError,
    StorageRefusedError,
)
from cloud_bridge.storage.port import EventRow, Params, Row
from cloud_bridge.storage.postgres_copy import COPY_EVENTS, packed, packed_batch, text_bytes

OLDEST_VERSION = 140000
CONNECT_WITHIN_S = 5
_SETTINGS = """
    SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s';
    SET synchronous_commit = on; SET timezone = 'UTC'; SET client_min_messages = warning;
"""
Client = psycopg.Connection[Row]
_KINDS: tuple[tuple[str, type[StorageError]], ...] = (  # by the beginning of the SQLSTATE
    ("08", StorageAwayError),
    ("57P", StorageAwayError),
    ("53300", StorageAwayError),  # too many connections
    ("53", StorageFullError),
    ("55P03", StorageBusyError),
    ("57014", StorageBusyError),
    ("40", StorageBusyError),
    ("23", StorageConflictError),
    ("28", StorageRefusedError),
    ("3D", StorageRefusedError),
)


class _Text(StrDumper):
    """Text without the character 0, which PostgreSQL does not know and a message of a store may hold."""

    def dump(self, obj: str) -> bytes:
        return text_bytes(obj)


def storage_error(error: psycopg.Error, *, lost: bool = False) -> StorageError:
    """PostgreSQL's error as ours. Only its first line is kept: the others may quote a row."""
    state = error.sqlstate or ""
    for start, kind in _KINDS:
        if state.startswith(start):
            return kind(error.diag.message_primary or state)
    if lost or (isinstance(error, psycopg.OperationalError) and not state):
        return StorageAwayError(f"PostgreSQL is away: {_reason(error)}")
    return StorageError(error.diag.message_primary or type(error).__name__)


def _reason(error: psycopg.Error) -> str:
    """The heart of what the driver says: "connection failed: … failed: Connection refused" and advice below it."""
    words = str(error).strip().split("failed: ")[-1]
    return words.splitlines()[0] if words else "no answer"


class Server:
    """Where a database is, from a `postgresql://` URL. Its text never shows the password."""

    def __init__(self, url: str) -> None:
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError:  # its message may quote the password
            raise StorageAddressError(
                "the database URL cannot be read: write postgresql://user:password@host:port/database"
            ) from None
        self._conninfo = make_conninfo(
            "", **{"connect_timeout": CONNECT_WITHIN_S, "application_name": "zhanggui", **parts}
        )
        user, host, port = (str(parts.get(name) or "") for name in ("user", "host", "port"))
        self.database = str(parts.get("dbname") or user)
        self.shown = "postgresql://" + (f"{user}@" if user else "") + host + (f":{port}" if port else "")
        self.shown += f"/{self.database}"

    def __repr__(self) -> str:
        return f"Server({self.shown})"

    def connect(self, *, read_only: bool = False) -> PgDb:
        """A new connection. Raises StorageAwayError, StorageRefusedError with a sentence for a person."""
        try:
            client: Client = psycopg.connect(self._conninfo, autocommit=True)
        except psycopg.OperationalError as error:
            raise self._why(error) from None
        try:
            self._prepare(client, read_only=read_only)
        except psycopg.Error as error:
            client.close()
            raise storage_error(error, lost=True) from error
        except BaseException:
            client.close()
            raise
        return PgDb(client)

    def _prepare(self, client: Client, *, read_only: bool) -> None:
        version = client.info.server_version
        if version < OLDEST_VERSION:
            raise StorageRefusedError(
                f"{self.shown} is PostgreSQL {version // 10000}: {OLDEST_VERSION // 10000} or later is needed"
            )
        client.adapters.register_dumper(str, _Text)
        client.execute(_SETTINGS + ("SET default_transaction_read_only = on" if read_only else ""))
        if client.execute("SHOW synchronous_commit").fetchone() != ("on",):
            raise StorageRefusedError(f"{self.shown} does not let a commit be durable (synchronous_commit)")

    def _why(self, error: psycopg.OperationalError) -> StorageError:
        """What a person can do. The driver tells a refused connection by words alone; others are shown as they are."""
        words = str(error)
        if "password" in words or "authentication failed" in words or "no pg_hba.conf entry" in words:
            return StorageRefusedError(f"{self.shown} does not let us in: check user and password")
        if "does not exist" in words and "database" in words:
            return StorageRefusedError(f"{self.shown}: there is no database {self.database}: make it with createdb")
        if "does not exist" in words and "role" in words:
            return StorageRefusedError(f"{self.shown} does not let us in: check user and password")
        return StorageAwayError(f"{self.shown} does not answer ({_reason(error)}): is PostgreSQL running there?")


@lru_cache(maxsize=512)
def translated(sql: str) -> str:
    """Our `?` as the driver's `%s`."""
    return sql.replace("?", "%s")


class PgDb:
    """A `Connection` over PostgreSQL. `before_events` is told the time of receipt of events that will be stored."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.before_events: Callable[[int], None] | None = None

    def execute(self, sql: str, params: Params = ()) -> int:
        """Run one statement; how many rows it changed."""
        try:
            return self.client.execute(translated(sql), params or None).rowcount
        except psycopg.Error as error:
            raise storage_error(error, lost=self.client.closed) from error

    def insert_batch(
        self, stream: int, first_seq: int, received_ms: int, hashes: Sequence[bytes], raws: Sequence[bytes]
    ) -> None:
        """Put consecutive events with nothing unusual about any into their table, by COPY."""
        self._copy(received_ms, packed_batch(stream, first_seq, received_ms, hashes, raws))

    def insert_events(self, events: Sequence[EventRow]) -> None:
        """Put events into their table by COPY."""
        if events:
            self._copy(events[0][2], packed(events))

    def _copy(self, received_ms: int, rows: bytes) -> None:
        if self.before_events is not None:
            self.before_events(received_ms)
        try:
            with self.client.cursor() as cursor, cursor.copy(COPY_EVENTS) as copy:
                copy.write(rows)
        except psycopg.Error as error:
            raise storage_error(error, lost=self.client.closed) from error

    def executemany(self, sql: str, rows: Iterable[Params]) -> None:
        """Run one statement for each of `rows`."""
        try:
            with self.client.cursor() as cursor:
                cursor.executemany(translated(sql), rows)
        except psycopg.Error as error:
            raise storage_error(error, lost=self.client.closed) from error

    def one(self, sql: str, params: Params = (), *, lock: bool = False) -> Row | None:
        """The first row, or None. With `lock` it stays as it is until this transaction ends."""
        return self._run(f"{sql} FOR UPDATE" if lock else sql, params).fetchone()

    def rows(self, sql: str, params: Params = ()) -> list[Row]:
        """All rows."""
        return self._run(sql, params).fetchall()

    def each(self, sql: str, params: Params = ()) -> Iterator[Row]:
        """Row by row, however many they are, by a cursor of the server."""
        try:
            with self.client.transaction(), self.client.cursor(name="each", binary=True) as cursor:
                cursor.itersize = 1000
                cursor.execute(translated(sql), params)
                yield from cursor
        except psycopg.Error as error:
            raise storage_error(error, lost=self.client.closed) from error

    def _run(self, sql: str, params: Params) -> psycopg.Cursor[Row]:
        try:
            return self.client.cursor(binary=True).execute(translated(sql), params)
        except psycopg.Error as error:
            raise storage_error(error, lost=self.client.closed) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end, or roll back and raise."""
        self.execute("BEGIN")
        with self.begun():
            yield

    @contextmanager
    def begun(self) -> Iterator[None]:
        """The same for a transaction that has begun already."""
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if not self.client.closed:
                with suppress(psycopg.Error):
                    self.client.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """End it."""
        self.client.close()

    @property
    def closed(self) -> bool:
        """Whether the server or we have ended it."""
        return bool(self.client.closed)


def scalar(db: PgDb, sql: str, params: Params = ()) -> Any:
    """The one value that a statement gives; None for no row."""
    row = db.one(sql, params)
    return row[0] if row else None
