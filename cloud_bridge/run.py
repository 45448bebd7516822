"""Serving the bridge on a port; what a person can mend is said in one sentence before anything starts."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cloud_bridge.members import MembersFileError, read_members
from cloud_bridge.settings import Settings
from cloud_bridge.storage import (
    StorageAddressError,
    StorageAwayError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    StorageNewerError,
    StorageRefusedError,
    StorageShortError,
    open_writer,
)
from cloud_bridge.storage.address import is_postgres, shown, sqlite_path
from contracts.clock import Clock, SystemClock


class CloudError(Exception):
    """The bridge cannot start; the message says what a person can do."""


def serve(settings: Settings, *, clock: Clock | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises CloudError when it cannot start."""
    check_database(settings.database)
    if settings.members_file is not None:
        try:
            read_members(settings.members_file)
        except MembersFileError as error:
            raise CloudError(f"members were not imported: {error}") from error
    listener = None if settings.port is None else listen(settings.host, settings.port)
    try:
        if settings.role == "ingest":
            _work(settings, clock or SystemClock(), listener)
        elif listener is None:
            raise CloudError(f"role {settings.role} serves an API: give it a port")
        else:
            _show(settings, clock or SystemClock(), listener)
    except ValueError as error:  # the address of the broker
        raise CloudError(str(error)) from error
    finally:
        if listener is not None:
            listener.close()


def _work(settings: Settings, clock: Clock, listener: socket.socket | None) -> None:
    from cloud_bridge.worker import work  # noqa: PLC0415 - neither half needs what the other loads

    try:
        asyncio.run(work(settings, clock=clock, listener=listener))
    except (StorageError, OSError) as error:
        raise CloudError(f"the database does not serve: {error}") from error


def _show(settings: Settings, clock: Clock, listener: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415 - the same

    from cloud_bridge.app import create_app  # noqa: PLC0415 - the same

    app = create_app(settings, clock=clock)
    config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=3)
    uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on `host:port`. Raises CloudError."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CloudError(f"port {port} is in use: stop what listens there, or choose another port") from error
        raise CloudError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def check_database(address: Path | str) -> None:
    """Make the database, or see that it can be written; its tables are up to date afterwards. Raises CloudError."""
    try:
        with _alone(address), closing(open_writer(address)) as db, db.transaction():
            pass
    except (StorageError, OSError) as error:
        raise CloudError(sentence(address, error)) from error


@contextmanager
def _alone(address: Path | str) -> Iterator[None]:
    """One process at a time makes a file and its tables; a server keeps others off by itself. Raises OSError."""
    if is_postgres(address):
        yield
        return
    path = sqlite_path(address)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("ab") as beside:
        fcntl.flock(beside, fcntl.LOCK_EX)
        yield


def sentence(address: Path | str, error: StorageError | OSError) -> str:
    """What a person can do about a database that does not serve; never a password."""
    if isinstance(error, StorageAwayError | StorageNewerError | StorageShortError | StorageAddressError):
        return str(error)
    if is_postgres(address):
        refused = isinstance(error, StorageRefusedError)
        return str(error) if refused else f"the database {shown(address)} does not serve: {error}"
    path = sqlite_path(address)
    if isinstance(error, StorageFullError) or getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}:
        return f"the disk is full: free some room for {path} and start again"
    if isinstance(error, StorageRefusedError):
        return f"{path} is no database of the bridge: move it away, or name another file"
    if isinstance(error, StorageBusyError):
        return f"{path} is in use by another bridge: stop it, or name another file"
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return f"the database {path} cannot be written ({reason}): choose a folder that you may write to"
