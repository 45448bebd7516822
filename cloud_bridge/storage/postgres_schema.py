"""Bringing PostgreSQL's tables up to date: Alembic's revisions, under a lock that every bridge asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from cloud_bridge.storage.errors import StorageNewerError
from cloud_bridge.storage.postgres import PgDb, Server, scalar, storage_error

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "zhanggui_version"
REVISIONS = ("0001", "0002")
"""All of them, oldest first: a start that finds the last one asks Alembic nothing."""
_LOCK = 0x7A67_6D69_6772_6174  # "zgmigrat": one migration at a time in a database


def version(db: PgDb) -> str | None:
    """The revision that the tables have; None where there are none of ours."""
    if scalar(db, "SELECT to_regclass(?)", (VERSION_TABLE,)) is None:
        return None
    found = scalar(db, f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - our own name
    return None if found is None else str(found)


def migrate(server: Server) -> str:
    """Bring the tables up to date and say their revision; bridges that start together do it once.

    Raises StorageNewerError when a newer release has made them, StorageError.
    """
    db = server.connect()
    try:
        if _is_current(db, server):
            return REVISIONS[-1]
        db.execute("SET lock_timeout = '10min'; SET statement_timeout = 0")
        db.execute("SELECT pg_advisory_lock(?)", (_LOCK,))  # given back when the connection ends
        if not _is_current(db, server):
            _upgrade(db)
        return REVISIONS[-1]
    finally:
        db.close()


def _is_current(db: PgDb, server: Server) -> bool:
    found = version(db)
    if found is not None and found not in REVISIONS:
        raise StorageNewerError(f"{server.shown} was made by a newer release: install that one, or name another")
    return found == REVISIONS[-1]


def script() -> Config:
    """Alembic's settings for our revisions."""
    from alembic.config import Config  # noqa: PLC0415 - slow to load, and most starts find nothing to do

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations").replace("%", "%%"))
    return config


def _upgrade(db: PgDb) -> None:
    from alembic import command  # noqa: PLC0415 - as above
    from sqlalchemy import create_engine  # noqa: PLC0415 - as above
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - as above
    from sqlalchemy.pool import StaticPool  # noqa: PLC0415 - as above

    db.client.autocommit = False
    engine = create_engine("postgresql+psycopg://", creator=lambda: db.client, poolclass=StaticPool)
    config = script()
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise storage_error(error.orig, lost=db.closed) from error
        raise
