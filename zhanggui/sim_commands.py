"""`zhanggui sim …`: run simulated hardware on real pseudo-terminals, and play with it."""

from __future__ import annotations

import asyncio
import csv
import json
import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from contracts.clock import clock_from_env
from zhanggui import chaos_commands, faultworld_commands
from zhanggui.errors import UserError

app = typer.Typer(no_args_is_help=True)
chaos_commands.register(app)
faultworld_commands.register(app)
DEFAULT_CONTROL = Path("var/demo/sim.sock")
Control = Annotated[Path, typer.Option(help="Control socket of the running hardware.")]


def read_codes(path: Path) -> list[tuple[str, str]]:
    """Pairs of member reference and code from a CSV file without heading."""
    try:
        with path.open(newline="") as file:
            return [(row[0], row[1]) for row in csv.reader(file) if len(row) == 2]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name the file of member codes with --codes") from error


@app.command(epilog="Example:  zhanggui sim run var/demo/store.toml --seed 7 --truth truth.jsonl --codes codes.csv")
def run(
    store: Annotated[Path, typer.Argument(help="The store description.")],
    truth: Annotated[Path, typer.Option(help="Where the truth is written, JSON lines.")],
    codes: Annotated[Path, typer.Option(help="Member codes that shoppers carry.")],
    control: Control = DEFAULT_CONTROL,
    seed: Annotated[int, typer.Option(help="Same seed, same shoppers.")] = 7,
    minutes: Annotated[float | None, typer.Option(help="Story of so many store minutes; without, run on.")] = None,
    pins: Annotated[
        Path | None, typer.Option(help="CSV of staff id and PIN: staff sign in, tobacco is bought.")
    ] = None,
    done: Annotated[Path | None, typer.Option(help="File to make when the story is over; the ports stay.")] = None,
    gap: Annotated[float, typer.Option(help="Mean store seconds between two visits.")] = 30.0,
) -> None:
    """Make the serial ports that a store description names and be the devices behind them."""
    from edge.config import ConfigError, load_store
    from simulators.hardware.run import run_store
    from simulators.hardware.shoppers import Habits

    try:
        config = load_store(store)
    except ConfigError as error:
        raise UserError(str(error)) from error

    async def until_told() -> None:
        """SIGTERM pulls all plugs: no link may be left that leads to a stranger's terminal."""
        running = asyncio.current_task()
        assert running is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        await run_store(
            config,
            clock=clock_from_env(),
            seed=seed,
            truth_path=truth,
            member_codes=read_codes(codes),
            duration_s=minutes * 60 if minutes is not None else None,
            control=control,
            habits=Habits(mean_gap_s=gap),
            pins=dict(read_codes(pins)) if pins else None,
            on_quiet=done.touch if done else None,
        )

    with suppress(asyncio.CancelledError):
        asyncio.run(until_told())


def _send(control: Path, command: str, **fields: str | float | bool | None) -> None:
    from simulators.hardware.control import SimControl, SimRefusedError

    async def once() -> object:
        async with SimControl(control) as sim:
            return await sim.call(command, **fields)

    try:
        answer = asyncio.run(once())
    except OSError as error:
        raise UserError(f"{control}: no hardware runs there; start it with: zhanggui demo") from error
    except SimRefusedError as error:
        raise UserError(str(error)) from error
    typer.echo(json.dumps(answer, ensure_ascii=False) if answer else "done")


@app.command(epilog="Example:  zhanggui sim scan scanner-S1 --member m0003")
def scan(
    scanner: Annotated[str, typer.Argument(help="Device id of the scanner.")],
    member: Annotated[str, typer.Option(help="Whose code.")] = "m0001",
    codes: Annotated[Path, typer.Option(help="Member codes.")] = Path("var/demo/codes.csv"),
    control: Control = DEFAULT_CONTROL,
) -> None:
    """Hold a member's code before a scanner."""
    code = dict(read_codes(codes)).get(member)
    if code is None:
        raise UserError(f"{codes}: no code for member {member!r}")
    _send(control, "scan", scanner=scanner, code=code)


@app.command(epilog="Example:  zhanggui sim open S1-door")
def open(  # noqa: A001 - the word a person types
    compartment: Annotated[str, typer.Argument(help="Whose door to pull.")], control: Control = DEFAULT_CONTROL
) -> None:
    """Pull a door; it opens only while its latch is free."""
    _send(control, "open", compartment=compartment)


@app.command(epilog="Example:  zhanggui sim close S1-door")
def close(
    compartment: Annotated[str, typer.Argument(help="Whose door to shut.")], control: Control = DEFAULT_CONTROL
) -> None:
    """Shut a door."""
    _send(control, "close", compartment=compartment)


@app.command(epilog="Example:  zhanggui sim take S1-a 690001 2")
def take(
    shelf: Annotated[str, typer.Argument(help="Shelf id.")],
    sku: Annotated[str, typer.Argument(help="Product.")],
    qty: Annotated[int, typer.Argument(help="Pieces.")] = 1,
    control: Control = DEFAULT_CONTROL,
) -> None:
    """Take goods; only while their door is open."""
    _send(control, "take", shelf=shelf, sku=sku, qty=qty)


@app.command(epilog="Example:  zhanggui sim card 000000199001010018")
def card(
    number: Annotated[str, typer.Argument(help="An invented number of area 000000; '-' takes the card away.")],
    reader: Annotated[str, typer.Option(help="Device id of the reader.")] = "id-T1",
    control: Control = DEFAULT_CONTROL,
) -> None:
    """Lay an (invented) identity card on the reader, or take it away."""
    _send(control, "card", device=reader, number=None if number == "-" else number)


@app.command(epilog="Example:  zhanggui sim unplug locks")
def unplug(bus: Annotated[str, typer.Argument(help="Bus id.")], control: Control = DEFAULT_CONTROL) -> None:
    """Pull the plug of a serial adapter."""
    _send(control, "unplug", bus=bus)


@app.command(epilog="Example:  zhanggui sim replug locks")
def replug(bus: Annotated[str, typer.Argument(help="Bus id.")], control: Control = DEFAULT_CONTROL) -> None:
    """Put the plug back."""
    _send(control, "replug", bus=bus)


@app.command("put-back", epilog="Example:  zhanggui sim put-back S1-a 690001")
def put_back(
    shelf: Annotated[str, typer.Argument(help="Shelf id.")],
    sku: Annotated[str, typer.Argument(help="Product.")],
    qty: Annotated[int, typer.Argument(help="Pieces.")] = 1,
    control: Control = DEFAULT_CONTROL,
) -> None:
    """Put goods back; only while their door is open."""
    _send(control, "put_back", shelf=shelf, sku=sku, qty=qty)


@app.command(epilog="Example:  zhanggui sim foreign S1-a --grams 120")
def foreign(
    shelf: Annotated[str, typer.Argument(help="Shelf id.")],
    grams: Annotated[float, typer.Option(help="What lies there that is no product; below 0 it goes away.")] = 100.0,
    control: Control = DEFAULT_CONTROL,
) -> None:
    """Leave something on a shelf that is no product."""
    _send(control, "foreign", shelf=shelf, grams=grams)


@app.command("force-door", epilog="Example:  zhanggui sim force-door T1-1")
def force_door(
    compartment: Annotated[str, typer.Argument(help="Whose door to force.")], control: Control = DEFAULT_CONTROL
) -> None:
    """Break a door open; the store should notice."""
    _send(control, "force_door", compartment=compartment)


@app.command(epilog="Example:  zhanggui sim faults locks --drop 0.2 --delay-ms 50")
def faults(
    bus: Annotated[str, typer.Argument(help="Bus id.")],
    drop: Annotated[float, typer.Option(min=0, max=1, help="Share of frames that are lost.")] = 0.0,
    corrupt: Annotated[float, typer.Option(min=0, max=1, help="Share of frames with a wrong byte.")] = 0.0,
    delay_ms: Annotated[float, typer.Option(min=0, max=10_000, help="Each reply comes so much later.")] = 0.0,
    control: Control = DEFAULT_CONTROL,
) -> None:
    """Spoil a line; without options it is a good line again."""
    _send(control, "faults", bus=bus, drop_p=drop, corrupt_p=corrupt, delay_ms=delay_ms)


@app.command("stuck-door", epilog="Example:  zhanggui sim stuck-door S1-door --at open")
def stuck_door(
    compartment: Annotated[str, typer.Argument(help="Whose door sensor.")],
    at: Annotated[str, typer.Option(help="What it always says: open or closed; '-' lets it go.")] = "closed",
    control: Control = DEFAULT_CONTROL,
) -> None:
    """Make a door sensor say always the same."""
    _send(control, "stuck", compartment=compartment, to=None if at == "-" else at)


@app.command("stuck-scale", epilog="Example:  zhanggui sim stuck-scale S1-a")
def stuck_scale(
    shelf: Annotated[str, typer.Argument(help="Shelf id.")],
    free: Annotated[bool, typer.Option("--free", help="Let it go again.")] = False,
    control: Control = DEFAULT_CONTROL,
) -> None:
    """Make a scale hang at what it shows."""
    _send(control, "stuck", shelf=shelf, on=not free)


@app.command(epilog="Example:  zhanggui sim reboot scale-S1-a")
def reboot(
    device: Annotated[str, typer.Argument(help="Device id of a scale.")], control: Control = DEFAULT_CONTROL
) -> None:
    """Cut a device's power for a moment: a scale then zeroes itself with all that lies on it."""
    _send(control, "reboot", device=device)


@app.command(epilog="Example:  zhanggui sim status")
def status(control: Control = DEFAULT_CONTROL) -> None:
    """Doors, shelves and faults as they truly are."""
    _send(control, "status")
