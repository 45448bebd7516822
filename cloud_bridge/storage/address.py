"""Where a database is: a path or a URL, and what opens it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cloud_bridge.storage.errors import StorageAddressError
from cloud_bridge.storage.port import Connection, Storage
from cloud_bridge.storage.sqlite import open_sqlite_reader, open_sqlite_writer
from cloud_bridge.storage.sqlite_storage import SqliteStorage

if TYPE_CHECKING:
    from cloud_bridge.storage.postgres import Server

SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")


def is_postgres(address: Path | str) -> bool:
    """Whether `address` is the URL of a PostgreSQL database. Raises StorageAddressError when its driver is missing."""
    if isinstance(address, Path) or not address.startswith(POSTGRES):
        return False
    try:
        import psycopg  # noqa: F401, PLC0415 - an extra, and slow to load
    except ImportError as error:
        raise StorageAddressError("PostgreSQL needs one thing more: pip install 'zhanggui[postgres]'") from error
    return True


def sqlite_path(address: Path | str) -> Path:
    """The file that a path or a `sqlite:///` URL names. Raises StorageAddressError for any other URL."""
    if isinstance(address, Path):
        return address
    if address.startswith(SQLITE):
        return Path(address.removeprefix(SQLITE))
    if "://" in address:
        scheme = address.partition("://")[0]
        raise StorageAddressError(f"no database is reached by {scheme}://: give a path, sqlite:/// or postgresql://")
    return Path(address)


def shown(address: Path | str) -> str:
    """What may be said of `address` in a text or a log: never a password."""
    return postgres_server(str(address)).shown if is_postgres(address) else str(sqlite_path(address))


def postgres_server(url: str) -> Server:
    """The server and database of a `postgresql://` URL. Raises StorageAddressError."""
    from cloud_bridge.storage.postgres import Server  # noqa: PLC0415 - an extra, and slow to load

    return Server(url)


def open_storage(address: Path | str) -> Storage:
    """The storage of a bridge at `address`, not opened yet. Raises StorageAddressError for an address of no kind."""
    if is_postgres(address):
        from cloud_bridge.storage.postgres_storage import PostgresStorage  # noqa: PLC0415 - as above

        return PostgresStorage(str(address))
    return SqliteStorage(sqlite_path(address))


def open_writer(address: Path | str) -> Connection:
    """A connection that writes, its tables made or brought up to date. Raises StorageError."""
    if is_postgres(address):
        from cloud_bridge.storage.postgres_schema import migrate  # noqa: PLC0415 - as above

        server = postgres_server(str(address))
        migrate(server)
        return server.connect()
    return open_sqlite_writer(sqlite_path(address))


def open_reader(address: Path | str) -> Connection:
    """A connection that cannot write. Raises StorageError when there is no database at `address`."""
    if is_postgres(address):
        return postgres_server(str(address)).connect(read_only=True)
    return open_sqlite_reader(sqlite_path(address))
