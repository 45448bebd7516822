"""`zhanggui edge …`: run the agent and the store's pages, check a store, look into its ledger."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from contracts.clock import clock_from_env
from zhanggui.errors import UserError

app = typer.Typer(no_args_is_help=True)
ledger_app = typer.Typer(no_args_is_help=True)
app.add_typer(ledger_app, name="ledger", help="Look into a store's ledger; safe while the agent runs.")
StoreFile = Annotated[Path, typer.Argument(help="The store description.")]


@app.command(epilog="Example:  zhanggui edge run var/demo/store.toml")
def run(store: StoreFile) -> None:
    """Run the agent of one store until SIGTERM or Ctrl-C."""
    from edge.agent import AgentError, run_agent

    try:
        asyncio.run(run_agent(store, clock=clock_from_env()))
    except AgentError as error:
        raise UserError(str(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command(epilog="Example:  zhanggui edge check var/demo/store.toml")
def check(store: StoreFile) -> None:
    """Say what is missing before this store can open; exit code 1 if anything is."""
    from edge.check import check_store

    console = Console()
    table = Table("", "what", "found")
    missing = 0
    for finding in check_store(store):
        table.add_row("[green]ok[/green]" if finding.ok else "[red]fix[/red]", finding.what, finding.found)
        missing += not finding.ok
    console.print(table)
    if missing:
        raise typer.Exit(1)


@app.command(epilog="Example:  zhanggui edge pages var/demo/store.toml --port 8301")
def pages(
    store: StoreFile,
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8301,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Run the store's pages: customer kiosk and staff tablet. A page requests; only the agent decides."""
    from edge.config import ConfigError, load_store
    from edge.pages import PortInUseError
    from edge.pages import run as run_pages

    try:
        config = load_store(store)
        run_pages(config.data_dir / "desk.sock", host, port, config.name_zh)
    except (ConfigError, PortInUseError) as error:
        raise UserError(str(error)) from error


@app.command("hash-pin", epilog="Example:  zhanggui edge hash-pin")
def hash_pin_(
    pin: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="4 to 12 digits.")],
) -> None:
    """Make the `pin_hash` of a member of staff; the PIN itself is kept nowhere."""
    from edge.sessions import hash_pin

    if not (pin.isdigit() and 4 <= len(pin) <= 12):
        raise UserError("pin: 4 to 12 digits")
    typer.echo(hash_pin(pin))


def _ledger_of(place: Path) -> Path:
    """The ledger's file, whether the store description or the file itself is named."""
    if place.suffix != ".toml":
        return place
    from edge.config import ConfigError, load_store

    try:
        return load_store(place).data_dir / "ledger.db"
    except ConfigError as error:
        raise UserError(str(error)) from error


@ledger_app.command(epilog="Example:  zhanggui edge ledger show var/demo/store.toml --limit 20")
def show(
    store: Annotated[Path, typer.Argument(help="Store description, or the ledger's file.")],
    lane: Annotated[str, typer.Option(help="ledger or telemetry.")] = "ledger",
    after: Annotated[int, typer.Option(help="Show what comes after this sequence.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
) -> None:
    """Events that the cloud has not confirmed yet, oldest first."""
    from contracts.envelope import BadEventError, decode_envelope
    from contracts.messages import BadMessageError, check_lane
    from edge.ledger import LedgerOpenError
    from edge.ledger import show as show_events

    table = Table("seq", "time", "type", "from", "data")
    try:
        for event in show_events(_ledger_of(store), check_lane(lane), after, limit):
            if event.raw is None:
                table.add_row(str(event.seq), "", "dropped", "", "")
                continue
            try:
                envelope = decode_envelope(event.raw)
            except BadEventError as error:
                table.add_row(str(event.seq), "", "unreadable", "", str(error))
                continue
            data = bytes(envelope.data).decode(errors="replace")
            table.add_row(str(event.seq), envelope.time, envelope.name, envelope.source, data)
    except (LedgerOpenError, BadMessageError) as error:
        raise UserError(str(error)) from error
    Console().print(table)


@ledger_app.command(epilog="Example:  zhanggui edge ledger verify var/demo/store.toml")
def verify(store: Annotated[Path, typer.Argument(help="Store description, or the ledger's file.")]) -> None:
    """Walk both chains from end to end; exit code 1 if a link does not hold."""
    from edge.ledger import LedgerOpenError
    from edge.ledger import verify as verify_ledger

    try:
        report = verify_ledger(_ledger_of(store))
    except LedgerOpenError as error:
        raise UserError(str(error)) from error
    for row in report.lanes:
        typer.echo(
            f"{row.lane}: stream {row.stream}, confirmed to {row.freed_seq}, written to {row.tail_seq}, "
            f"{row.kept} kept, {row.dropped} dropped"
        )
    for problem in report.problems:
        typer.echo(f"broken: {problem}", err=True)
    typer.echo("broken" if report.problems else "whole")
    if report.problems:
        raise typer.Exit(1)
