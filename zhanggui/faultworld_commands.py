"""`zhanggui sim faultworld`: everything breaks, by seed, and nothing may be lost or doubled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = (
    "Example:  zhanggui sim faultworld --count 200 --jobs 2"
    "  Example:  zhanggui sim faultworld --seed 7 --trace"
    "  Example:  zhanggui sim faultworld --minutes 10 --from 100000"
    "  Example:  zhanggui sim faultworld --replay var/faultworld-7.json --trace"
)


def register(app: typer.Typer) -> None:
    """Add the command to a group."""
    app.command(epilog=EPILOG)(faultworld)


def faultworld(
    seed: Annotated[int | None, typer.Option(help="Run this seed alone.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Run the schedule in a file.")] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print every step.")] = False,
    count: Annotated[int | None, typer.Option(help="Run so many seeds.")] = None,
    first: Annotated[int, typer.Option("--from", help="The first of them.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 1,
    minutes: Annotated[float | None, typer.Option(help="Run as many as fit.")] = None,
    shrink: Annotated[bool, typer.Option("--shrink", help="Make a failing seed or file small.")] = False,
    folder: Annotated[Path, typer.Option(help="Where shrunk schedules go.")] = Path("var"),
) -> None:
    """Run real edges and bridges in virtual time while everything around them fails; check every rule."""
    from simulators.faultworld.__main__ import main

    arguments = ["--from", str(first), "--jobs", str(jobs), "--folder", str(folder)]
    for name, value in (("--seed", seed), ("--replay", replay), ("--count", count), ("--minutes", minutes)):
        if value is not None:
            arguments += [name, str(value)]
    arguments += [name for name, on in (("--trace", trace), ("--shrink", shrink)) if on]
    raise typer.Exit(main(arguments))
