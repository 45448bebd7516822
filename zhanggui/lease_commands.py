"""`zhanggui cloud lease …`: which box speaks for a store, and letting another do so."""

from __future__ import annotations

import getpass
import re
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
import typer

from contracts.ids import BadIdError, check_id
from zhanggui.errors import UserError

WITHIN_S = 10.0
app = typer.Typer(no_args_is_help=True)
Tenant = Annotated[str, typer.Argument(help="Whose store it is.")]
Store = Annotated[str, typer.Argument(help="The store.")]
Cloud = Annotated[str, typer.Option("--url", envvar="ZHANGGUI_CLOUD", help="Address of the bridge's API.")]
HERE = "http://127.0.0.1:8300"


@app.command(epilog="Example:  zhanggui cloud lease show demo shop1")
def show(tenant: Tenant, store: Store, url: Cloud = HERE) -> None:
    """Say which instance speaks for the store."""
    _say(_ask("GET", url, tenant, store))


@app.command(epilog="Example:  zhanggui cloud lease move demo shop1 i-52ac0f")
def move(
    tenant: Tenant,
    store: Store,
    instance: Annotated[str, typer.Argument(help="The instance that is to speak for the store.")],
    url: Cloud = HERE,
    by: Annotated[str, typer.Option(help="Who moves it; your login when missing.")] = "",
    anyway: Annotated[bool, typer.Option("--anyway", help="Also to an instance that nobody has heard of.")] = False,
) -> None:
    """Let another instance speak for the store; the one before stands by and keeps what it has not sent."""
    by = by or re.sub(r"[^A-Za-z0-9_-]", "-", getpass.getuser())[:64]
    for value, what in ((instance, "instance"), (by, "by")):
        _checked(value, what)
    _say(_ask("POST", url, tenant, store, {"instance": instance, "moved_by": by, "anyway": anyway}))


def _ask(method: str, url: str, tenant: str, store: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    for value, what in ((tenant, "tenant"), (store, "store")):
        _checked(value, what)
    address = f"{url.rstrip('/')}/api/v1/stores/{tenant}/{store}/lease"
    try:
        answer = httpx.request(method, address, json=body, timeout=WITHIN_S)
        said = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise UserError(f"{url} does not answer as a bridge does ({error}): name its API with --url") from error
    if answer.status_code == httpx.codes.CONFLICT:
        raise UserError(f"{said['detail']}; look at its name again, or add --anyway")
    if answer.is_error:
        raise UserError(str(said.get("detail", said)))
    found: dict[str, Any] = said
    return found


def _say(lease: dict[str, Any]) -> None:
    since = datetime.fromtimestamp(lease["since_ms"] / 1000, UTC)
    typer.echo(f"{lease['tenant']}/{lease['store']}: instance {lease['instance']} since {since:%Y-%m-%d %H:%M:%S} UTC")
    if lease["heard"] and lease["heard"] != lease["instance"]:
        typer.echo(f"instance {lease['heard']} was heard last and stands by")


def _checked(value: str, what: str) -> None:
    try:
        check_id(value, what)
    except BadIdError as error:
        raise UserError(str(error)) from error
