"""`zhanggui cloud command …`: give a store an order over the bridge's API, and see what became of it."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from contracts.command_types import COMMAND_TYPES, MAX_TTL_MS
from contracts.ids import BadIdError, check_id
from zhanggui.errors import UserError

API_ENV = "ZHANGGUI_API"
TIMEOUT_S = 10.0
POLL_S = 0.3
EXITS = {"done": 0, "failed": 1, "refused": 3, "unknown": 4, "expired": 5}
STILL_OPEN = 6
SAID = {
    "done": "done",
    "failed": "failed: the store tried, and it did not work",
    "refused": "refused: nothing was done",
    "unknown": "unknown: it may have been done; look at the store",
    "expired": "expired: the store did not answer in time",
}

app = typer.Typer(
    no_args_is_help=True,
    epilog="Example:  zhanggui cloud command issue demo/s001 session.revoke cabinet=T1 --as amy",
)
Url = Annotated[str, typer.Option(envvar=API_ENV, help="The bridge's API.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Store = Annotated[str, typer.Argument(help="Tenant and store: demo/s001.")]
LOCAL = "http://127.0.0.1:8300"


@app.command(
    epilog="Example:  zhanggui cloud command issue demo/s001 session.revoke cabinet=T1 --as amy --ttl 3600\n\n"
    "Exit code: 0 done, 1 failed, 3 refused, 4 unknown, 5 expired, 6 still open."
)
def issue(
    store: Store,
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="See: zhanggui cloud command types")],
    args: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="What the type takes.")] = None,
    *,
    issued_by: Annotated[str, typer.Option("--as", help="Who orders it, for the record.")],
    ttl: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_TTL_MS // 1000, help="Seconds until it is too late; each type has its own."),
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Real seconds to wait for the outcome; 0: do not wait.")] = 60.0,
    id_: Annotated[str | None, typer.Option("--id", help="An id of your own: a repeat orders nothing new.")] = None,
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """Order something, and wait for what becomes of it. No type of order can open a compartment."""
    tenant, name = _store(store)
    _check(issued_by, "--as", fix="; write: --as amy")
    if id_ is not None:
        _check(id_, "--id", fix="; write: --id order-1")
    body: dict[str, Any] = {"type": kind, "args": _args(args or []), "issued_by": issued_by, "ttl_s": ttl, "id": id_}
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    with _client(url) as api:
        order = _ask(api, "POST", f"/api/v1/stores/{tenant}/{name}/commands", {k: v for k, v in body.items() if v})
        notes.print(f"{order['id']}: {kind} to {store}", markup=False)
        until_s, state = time.monotonic() + wait, order["state"]
        while not order["final"] and time.monotonic() < until_s:
            time.sleep(POLL_S)
            order = _ask(api, "GET", f"/api/v1/stores/{tenant}/{name}/commands/{order['id']}")
            if order["state"] != state and not order["final"]:
                notes.print(f"  {order['state']}", markup=False)
            state = order["state"]
    if as_json:
        typer.echo(json.dumps(order, ensure_ascii=False, indent=2))
    else:
        typer.echo(_sentence(order))
    if wait and not order["final"]:
        raise typer.Exit(STILL_OPEN)
    raise typer.Exit(EXITS.get(order["state"], 0))


@app.command("list", epilog="Example:  zhanggui cloud command list demo/s001 --limit 50")
def list_(
    store: Store,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, newest first.")] = 20,
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """The last orders to a store and what became of them."""
    tenant, name = _store(store)
    with _client(url) as api:
        orders = _ask(api, "GET", f"/api/v1/stores/{tenant}/{name}/commands?limit={limit}")
    if as_json:
        typer.echo(json.dumps(orders, ensure_ascii=False, indent=2))
        return
    for order in orders:  # a line each, the id whole: to be copied, cut and searched
        words = [order["type"], *(f"{key}={value}" for key, value in order["args"].items()), f"by {order['issued_by']}"]
        detail = _detail(order)
        typer.echo(f"{order['id']}  {order['state']:<8}  {' '.join(words)}" + (f"  ({detail})" if detail else ""))
    if not orders:
        typer.echo(f"no orders to {store} yet")


@app.command(epilog="Example:  zhanggui cloud command show demo/s001 0f7c1a52-6d0e-4c43-9d0d-3d8a4d6b7a10")
def show(
    store: Store, command: Annotated[str, typer.Argument(help="Its id.")], url: Url = LOCAL, as_json: Json = False
) -> None:
    """One order: its state, its outcome, its times."""
    tenant, name = _store(store)
    _check(command, "id")
    with _client(url) as api:
        order = _ask(api, "GET", f"/api/v1/stores/{tenant}/{name}/commands/{command}")
    typer.echo(json.dumps(order, ensure_ascii=False, indent=2) if as_json else _sentence(order))


@app.command(epilog="Example:  zhanggui cloud command types")
def types() -> None:
    """What can be ordered."""
    table = Table("type", "takes", "lives", "what it does")
    for row in COMMAND_TYPES.values():
        table.add_row(row.name, " ".join(row.args.__struct_fields__), f"{row.ttl_s} s", row.says)
    Console().print(table)


def _sentence(order: dict[str, Any]) -> str:
    said = SAID.get(order["state"], f"{order['state']}: the store has not answered yet")
    detail = _detail(order)
    return f"{order['id']}  {order['type']}  {said}" + (f" ({detail})" if detail else "")


def _detail(order: dict[str, Any]) -> str:
    found = " ".join(f"{key}={value}" for key, value in order["result"].items())
    return " ".join(part for part in (order["detail"], found) if part)


def _args(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UserError(f"{word!r}: write an argument as name=value, such as cabinet=T1")
        found[name] = value
    return found


def _store(text: str) -> tuple[str, str]:
    tenant, slash, store = text.partition("/")
    if not slash:
        raise UserError(f"{text!r}: name tenant and store, such as demo/s001")
    return _check(tenant, "tenant"), _check(store, "store")


def _check(text: str, what: str, *, fix: str = "") -> str:
    """Checked here as the bridge would: it names a field of its own, this what was typed."""
    try:
        return check_id(text, what)
    except BadIdError as error:
        raise UserError(f"{error}{fix}") from error


def _client(url: str) -> httpx.Client:
    try:
        return httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)
    except (httpx.InvalidURL, ValueError) as error:
        raise UserError(f"--url: {error}; write http://127.0.0.1:8300") from error


def _ask(api: httpx.Client, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """What the API answers. Raises UserError."""
    try:
        answer = api.request(method, path, json=body)
        said = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UserError(f"no bridge answers at {api.base_url} ({error}); is it running, and is --url right?") from error
    except ValueError as error:
        raise UserError(f"{api.base_url} is no bridge: it does not answer in JSON") from error
    if answer.is_error:
        raise UserError(said.get("detail", answer.text) if isinstance(said, dict) else answer.text)
    return said
