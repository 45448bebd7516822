"""`zhanggui models …`: what weights there are, fetch them, prove them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from zhanggui.errors import UserError

app = typer.Typer(no_args_is_help=True)


def ensure(role: str, console: Console) -> None:
    """Have the weights of a role in the cache, with progress. Raises UserError."""
    from models import ModelError, fetch, verify

    try:
        if verify(role).ok:
            return
        columns = (TextColumn("fetching {task.description}"), BarColumn(), DownloadColumn())
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task(role, total=None)
            fetch(role, lambda done, total: progress.update(bar, completed=done, total=total))
    except ModelError as error:
        raise UserError(str(error)) from error


@app.command("list", epilog="Example:  zhanggui models list")
def list_() -> None:
    """Every role, its package, licence and whether its weights are here."""
    from models import list_models

    table = Table("role", "package", "licence of weights", "here")
    for row in list_models():
        table.add_row(row.role, row.package, row.weights_licence, "yes" if row.ok else row.reason)
    Console().print(table)


@app.command("fetch", epilog="Example:  zhanggui models fetch person")
def fetch_(role: Annotated[str, typer.Argument(help="Role, see `zhanggui models list`.")]) -> None:
    """Fetch the weights of a role into the cache; afterwards no network is needed."""
    console = Console()
    ensure(role, console)
    console.print(f"{role}: here and proven")


@app.command("verify", epilog="Example:  zhanggui models verify")
def verify_(role: Annotated[str, typer.Argument(help="Role; without, all.")] = "") -> None:
    """Check hashes, licence and a numeric result of the weights that are here."""
    from models import ModelError, list_models, verify

    bad = 0
    for row in list_models():
        if role and row.role != role:
            continue
        try:
            result = verify(row.role)
        except ModelError as error:
            raise UserError(str(error)) from error
        typer.echo(f"{row.role}: {'ok' if result.ok else result.reason}")
        bad += not result.ok
    if bad:
        raise typer.Exit(1)
