"""`zhanggui cloud database …` and `zhanggui cloud dead-letters`: what an operator does beside a running bridge."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from contracts.clock import SystemClock, unix_ms
from zhanggui.errors import UserError

DATABASE_ENV = "ZHANGGUI_DATABASE"  # every user of a machine may read the arguments of its processes
DEFAULT_DATABASE = "var/cloud.db"
Database = Annotated[
    str,
    typer.Option(
        envvar=DATABASE_ENV,
        help="SQLite file (made when missing), or postgresql://user@host/database; a URL with a password belongs "
        "into the variable.",
    ),
]
app = typer.Typer(no_args_is_help=True)


@app.command(epilog="Example:  zhanggui cloud database migrate --database postgresql://zhanggui@db.example/zhanggui")
def migrate(database: Database = DEFAULT_DATABASE) -> None:
    """Make the tables, or bring them up to date; `cloud run` does the same when it starts."""
    from cloud_bridge.run import CloudError, check_database
    from cloud_bridge.storage.address import shown

    try:
        check_database(database)
    except CloudError as error:
        raise UserError(str(error)) from error
    typer.echo(f"{shown(database)} is up to date")


@app.command(epilog="Example:  zhanggui cloud database status --database var/cloud.db")
def status(database: Database = DEFAULT_DATABASE) -> None:
    """Say which revision the tables have, how large they are, and what is set unwisely. Changes nothing."""
    from cloud_bridge.full_lanes import full_lanes
    from cloud_bridge.storage import StorageError, open_reader
    from cloud_bridge.storage.upkeep import status as look

    try:
        found = look(database)
        with closing(open_reader(database)) as db:
            full = full_lanes(db) if found.current else []
    except StorageError as error:
        raise UserError(_sentence(database, error)) from error
    typer.echo(f"{found.database}: {found.version}, {_size(found.size_bytes)}")
    typer.echo(f"tables: {found.revision}, {'up to date' if found.current else 'not up to date: run migrate'}")
    typer.echo(f"{found.streams} streams, {found.events} events, {found.dead_letters} dead letters")
    for name, size_bytes in found.months:
        typer.echo(f"  {name}: {_size(size_bytes)}")
    for warning in (*found.warnings, *full):
        typer.echo(f"warning: {warning}")


@app.command(epilog="Example:  zhanggui cloud database prune --keep-months 24 --database var/cloud.db")
def prune(
    keep_months: Annotated[int, typer.Option(help="Whole months to keep beside the current one.")],
    database: Database = DEFAULT_DATABASE,
) -> None:
    """Let go of what was received in older months, in pieces: the bridge goes on meanwhile. Read models are made of
    events: they forget what those told."""
    from cloud_bridge.storage import StorageError
    from cloud_bridge.storage.months import Month
    from cloud_bridge.storage.pruning import LEAST_MONTHS
    from cloud_bridge.storage.pruning import prune as let_go

    if keep_months < LEAST_MONTHS:
        raise UserError(f"--keep-months: at least {LEAST_MONTHS}, for a store may bring back what it kept so long")
    before = Month.of(unix_ms(SystemClock().wall())).later(-keep_months)
    try:
        gone = let_go(database, before=before)
    except StorageError as error:
        raise UserError(_sentence(database, error)) from error
    typer.echo(f"received before {before}: {', '.join(gone.events) or 'no events'}")
    for count, what in (
        (gone.gaps, "gaps"),
        (gone.origins, "origins of copies"),
        (gone.commands, "commands that are over"),
        (gone.words, "words about commands that are gone"),
        (gone.parked, "batches parked in streams that stores have left"),
    ):
        if count:
            typer.echo(f"{count} {what}")


def dead_letters(
    database: Database = DEFAULT_DATABASE,
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
    store: Annotated[str | None, typer.Option(help="Only of this store.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line each, with the bytes in Base64.")] = False,
) -> None:
    """List events that could not be understood, with the reason; what may be personal is kept as a hash alone."""
    from cloud_bridge.storage import StorageError, open_reader
    from cloud_bridge.storage.letters import dead_letters as look

    try:
        with closing(open_reader(database)) as db:
            found = look(db, tenant=tenant, store=store, limit=limit)
    except StorageError as error:
        raise UserError(_sentence(database, error)) from error
    for letter in found:
        received = datetime.fromtimestamp(letter.received_ms / 1000, UTC).isoformat(timespec="milliseconds")
        if as_json:
            line = {
                "received": received,
                "tenant": letter.tenant,
                "store": letter.store,
                "lane": letter.lane,
                "stream": letter.stream,
                "seq": letter.seq,
                "type": letter.type,
                "reason": letter.reason,
                "hash": letter.hash.hex(),
                "raw": base64.b64encode(letter.raw).decode(),
            }
            typer.echo(json.dumps(line, ensure_ascii=False))
            continue
        size = f"{len(letter.raw)} bytes" if letter.raw else "withheld"
        where = f"{letter.tenant}/{letter.store} {letter.lane} {letter.seq}"
        typer.echo(f"{received}  {where}  {letter.type or '?'}  {size}  {letter.reason!a}")
    if not found:
        typer.echo("no dead letters", err=True)


def _sentence(database: str, error: Exception) -> str:
    from cloud_bridge.run import sentence
    from cloud_bridge.storage import StorageError
    from cloud_bridge.storage.address import is_postgres, sqlite_path

    assert isinstance(error, StorageError)
    if "://" not in database and not is_postgres(database) and not sqlite_path(database).exists():
        return f"there is no database {database}: name it with --database"
    return sentence(database, error)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:.1f} MB"
