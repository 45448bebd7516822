"""`zhanggui cloud …`: run the bridge, import members."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contracts.clock import clock_from_env
from contracts.ids import BadIdError, check_id
from zhanggui.database_commands import DEFAULT_DATABASE, Database, dead_letters
from zhanggui.database_commands import app as database_app
from zhanggui.errors import UserError
from zhanggui.lease_commands import app as lease_app
from zhanggui.order_commands import app as order_app

MQTT_ENV = "ZHANGGUI_MQTT"  # every user of a machine may read the arguments of its processes

app = typer.Typer(no_args_is_help=True)
members_app = typer.Typer(no_args_is_help=True)
app.add_typer(order_app, name="command", help="Orders to stores, and what became of them.")
app.add_typer(members_app, name="members", help="Members of the tenant.")
app.add_typer(database_app, name="database", help="The bridge's database: up to date, how it fares, old months.")
app.command("dead-letters", epilog="Example:  zhanggui cloud dead-letters --database var/cloud.db --store shop1")(
    dead_letters
)
app.add_typer(lease_app, name="lease", help="Which box speaks for a store.")


@app.command(epilog="Example:  zhanggui cloud run --database cloud.db --mqtt mqtt://127.0.0.1:1883 --port 8300")
def run(
    database: Database = DEFAULT_DATABASE,
    mqtt: Annotated[
        str,
        typer.Option(
            envvar=MQTT_ENV, help="Broker, mqtt:// or mqtts://; one with a password belongs into the variable."
        ),
    ] = "mqtt://127.0.0.1:1883",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            help="Port of API and pages; 8300. With --role ingest, of /healthz alone; none.", show_default=False
        ),
    ] = None,
    role: Annotated[
        str,
        typer.Option(
            help="all; or ingest (only takes in what stores say: several may share a database and a broker that knows "
            "shared subscriptions, such as Mosquitto); or pages (only API, pages and answers)."
        ),
    ] = "all",
    members: Annotated[Path | None, typer.Option(help="CSV of members to import at start.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose members they are.")] = "demo",
) -> None:
    """Run the bridge: ingest over MQTT, the API, and the operators' pages."""
    from cloud_bridge.run import CloudError, serve
    from cloud_bridge.settings import ROLES, Settings

    _check_tenant(tenant)
    if role not in ROLES:
        raise UserError(f"role {role!r}: one of {', '.join(ROLES)}")
    settings = Settings(
        database=database,
        mqtt_url=mqtt,
        host=host,
        port=8300 if port is None and role != "ingest" else port,
        members_file=members,
        members_tenant=tenant,
        role=ROLES[role],
    )
    try:
        serve(settings, clock=clock_from_env())
    except CloudError as error:
        raise UserError(str(error)) from error


@app.command(epilog="Example:  zhanggui cloud restored --database var/cloud.db")
def restored(database: Database = DEFAULT_DATABASE) -> None:
    """Say that this database was restored from a backup: open orders become unknown, and are never sent again."""
    from cloud_bridge.commands import mark_restored
    from cloud_bridge.run import CloudError, check_database

    if "://" not in database and not Path(database).exists():
        raise UserError(f"{database}: there is no such file; name the database that was restored")
    try:
        check_database(database)
        count = mark_restored(database, clock=clock_from_env())
    except CloudError as error:
        raise UserError(str(error)) from error
    typer.echo(f"{count} open orders are unknown from now on")


@members_app.command("import", epilog="Example:  zhanggui cloud members import members.csv --database var/cloud.db")
def import_(
    members: Annotated[Path, typer.Argument(help="CSV: member_ref,name,points; or JSON lines with the same names.")],
    database: Database = DEFAULT_DATABASE,
    tenant: Annotated[str, typer.Option(help="Whose members they are.")] = "demo",
) -> None:
    """Import members; a bad line is refused with its number and reason, and nothing of the file is taken."""
    from cloud_bridge.members import MembersFileError, import_members
    from cloud_bridge.run import CloudError, check_database
    from cloud_bridge.storage.address import shown

    _check_tenant(tenant)
    try:
        check_database(database)
        count = import_members(database, members, tenant=tenant)
    except (MembersFileError, CloudError) as error:
        raise UserError(str(error)) from error
    typer.echo(f"{count} members of {tenant} imported into {shown(database)}")


def _check_tenant(tenant: str) -> None:
    try:
        check_id(tenant, "tenant")
    except BadIdError as error:
        raise UserError(str(error)) from error
