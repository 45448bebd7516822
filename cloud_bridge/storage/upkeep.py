"""How a database fares: what an operator sees of it beside the bridge."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cloud_bridge.storage.address import is_postgres, open_reader, postgres_server, shown, sqlite_path
from cloud_bridge.storage.port import Connection
from cloud_bridge.storage.schema import applied


@dataclass(frozen=True, slots=True)
class Status:
    """How a database fares. `events` of PostgreSQL is the server's estimate; `months` are its partitions."""

    database: str
    version: str
    revision: str
    current: bool
    size_bytes: int
    streams: int
    events: int
    dead_letters: int
    months: tuple[tuple[str, int], ...]
    """Name and size in bytes of each month, and of what no month holds."""
    warnings: tuple[str, ...]


def status(address: Path | str) -> Status:
    """How the database at `address` fares; nothing is changed. Raises StorageError."""
    return _postgres_status(str(address)) if is_postgres(address) else _sqlite_status(sqlite_path(address))


def _asker(db: Connection) -> Callable[[str], int]:
    def ask(sql: str) -> int:
        row = db.one(sql)
        return int(row[0] or 0) if row else 0

    return ask


def _sqlite_status(path: Path) -> Status:
    with closing(open_reader(path)) as db:
        ask = _asker(db)
        done, wanted = applied(db)
        version = db.one("SELECT sqlite_version()")
        return Status(
            database=str(path),
            version=f"SQLite {version[0] if version else ''}",
            revision=done[-1] if done else "none",
            current=done == wanted,
            size_bytes=ask("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"),
            streams=ask("SELECT count(*) FROM streams"),
            events=ask("SELECT count(*) FROM events"),
            dead_letters=ask("SELECT count(*) FROM events WHERE dead IS NOT NULL") if done == wanted else 0,
            months=(),
            warnings=(),
        )


def _postgres_status(url: str) -> Status:
    from cloud_bridge.storage.postgres_schema import REVISIONS, version  # noqa: PLC0415 - its driver is an extra

    server = postgres_server(url)
    with closing(server.connect(read_only=True)) as db:
        ask = _asker(db)
        revision = version(db)
        said = db.one("SHOW server_version")
        off = [name for name in ("fsync", "full_page_writes") if db.one(f"SHOW {name}") == ("off",)]
        made = revision is not None
        months = (
            db.rows(
                """
                SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'events'::regclass ORDER BY c.relname
                """
            )
            if made
            else []
        )
        rows = """
            SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'events'::regclass
        """
        return Status(
            database=shown(url),
            version=f"PostgreSQL {said[0] if said else ''}",
            revision=revision or "none",
            current=revision == REVISIONS[-1],
            size_bytes=ask("SELECT pg_database_size(current_database())"),
            streams=ask("SELECT count(*) FROM streams") if made else 0,
            events=ask(rows) if made else 0,
            dead_letters=ask("SELECT count(*) FROM events WHERE dead IS NOT NULL") if made else 0,
            months=tuple((str(name), int(size)) for name, size in months),
            warnings=tuple(f"{name} is off: a power cut may lose what was confirmed" for name in off),
        )
