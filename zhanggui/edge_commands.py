"""`zhanggui edge …`: run the agent and the store's pages, check a store, look into its ledger."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from contracts.clock import clock_from_env
from zhanggui import ledger_commands
from zhanggui.errors import UserError

app = typer.Typer(no_args_is_help=True)
app.add_typer(ledger_commands.app, name="ledger", help="Look into a store's ledger; safe while the agent runs.")
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
