"""Where a database is: a path or a URL, and what opens it."""

from __future__ import annotations

from pathlib import Path

from cloud_bridge.storage.errors import StorageRefusedError
from cloud_bridge.storage.port import Connection, Storage
from cloud_bridge.storage.sqlite import open_sqlite_reader, open_sqlite_writer
from cloud_bridge.storage.sqlite_storage import SqliteStorage

SQLITE = "sqlite:///"


def sqlite_path(address: Path | str) -> Path:
    """The file that a path or a `sqlite:///` URL names. Raises StorageRefusedError for any other URL."""
    if isinstance(address, Path):
        return address
    if address.startswith(SQLITE):
        return Path(address.removeprefix(SQLITE))
    if "://" in address:
        scheme = address.partition("://")[0]
        raise StorageRefusedError(f"no database is reached by {scheme}:// : give a path or sqlite:///path")
    return Path(address)


def open_storage(address: Path | str) -> Storage:
    """The storage of a bridge at `address`, not opened yet. Raises StorageRefusedError for an address of no kind."""
    return SqliteStorage(sqlite_path(address))


def open_writer(address: Path | str) -> Connection:
    """A connection that writes, its tables made or brought up to date. Raises StorageError."""
    return open_sqlite_writer(sqlite_path(address))


def open_reader(address: Path | str) -> Connection:
    """A connection that cannot write. Raises StorageError when there is no database at `address`."""
    return open_sqlite_reader(sqlite_path(address))
