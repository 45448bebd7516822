"""The command line `zhanggui`: thin; each command hands over to the room that does the work."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from zhanggui import __version__
from zhanggui.cloud_commands import app as cloud_app
from zhanggui.device_commands import app as device_app
from zhanggui.edge_commands import app as edge_app
from zhanggui.errors import UserError, os_error_sentence
from zhanggui.models_commands import app as models_app
from zhanggui.sim_commands import app as sim_app

app = typer.Typer(
    name="zhanggui",
    help="掌柜 Zhanggui: the runtime of a staffed smart store.\n\nStart here:  zhanggui demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(edge_app, name="edge", help="The agent that runs in a store.")
app.add_typer(cloud_app, name="cloud", help="The bridge that holds the ledgers of all stores.")
app.add_typer(sim_app, name="sim", help="Hardware that is not there: ports that speak the same bytes.")
app.add_typer(device_app, name="device", help="What hangs on a line, what is said on it, and what was said.")
app.add_typer(models_app, name="models", help="Model weights: what there is, fetch it, prove it.")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"zhanggui {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


@app.command(epilog="Example:  zhanggui demo --headless --minutes 10 --speed 5 --seed 7 --report report.json")
def demo(
    data: Annotated[Path, typer.Option(help="Folder for everything the demo writes; emptied first.")] = Path(
        "var/demo"
    ),
    port: Annotated[int, typer.Option(help="Port of the operators' pages.")] = 8300,
    store_port: Annotated[int, typer.Option(help="Port of the store's pages.")] = 8301,
    seed: Annotated[int, typer.Option(help="Same seed, same shoppers and faults.")] = 7,
    speed: Annotated[float, typer.Option(min=0.1, max=60, help="Store seconds a real second.")] = 1.0,
    headless: Annotated[bool, typer.Option("--headless", help="Run a story without people, compare, exit.")] = False,
    minutes: Annotated[float, typer.Option(min=0.5, max=1440, help="Length of the story, store minutes.")] = 10.0,
    report: Annotated[Path | None, typer.Option(help="Where the comparison goes, JSON.")] = None,
    chaos: Annotated[
        bool, typer.Option("--chaos", help="Kill the agent twice, the bridge once, the camera once.")
    ] = False,
    broker: Annotated[str, typer.Option(help="Any MQTT 5 broker; without, the embedded one is started.")] = "",
    camera: Annotated[bool, typer.Option("--camera/--no-camera", help="The simulated entrance camera.")] = True,
) -> None:
    """A whole store and a cloud on this machine: broker, bridge, agent, pages, and hardware that speaks real bytes.

    Prints two addresses; Ctrl-C stops everything. With --headless it plays a story on one scaled clock and exits 0
    only if the cloud's ledger equals what truly happened.
    """
    from zhanggui.demo.conductor import DemoOptions, run

    raise typer.Exit(
        run(
            DemoOptions(
                data=data,
                port=port,
                store_port=store_port,
                seed=seed,
                speed=speed,
                headless=headless,
                minutes=minutes,
                report=report,
                chaos=chaos,
                broker=broker,
                camera=camera,
            )
        )
    )


def main() -> None:
    """Entry point. Errors that a person can mend are one sentence and exit code 2."""
    try:
        app()
    except UserError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(str(error), style="bold red", markup=False)
        sys.exit(2)
    except OSError as error:
        sentence = os_error_sentence(error)
        if sentence is None:
            raise
        Console(stderr=True, highlight=False, soft_wrap=True).print(sentence, style="bold red", markup=False)
        sys.exit(2)


if __name__ == "__main__":
    main()
