"""One way to print figures: a table for people, JSON for machines, and always where they were seen."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from rich.console import Console
from rich.table import Table

PIPE_COLUMNS = 170


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: what, how much, of what unit; `ratio` is the value over that of `against`.

    `target` is what is wanted, `met` whether this run, on this machine, came up to it: said, never judged.
    """

    what: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""
    target: str = ""
    met: bool | None = None

    def aims_at(self, target: str, *, met: bool) -> Figure:
        """The same row with its target."""
        return replace(self, target=target, met=met)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0..1) of all do not exceed: nearest rank. Raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def machine() -> str:
    """Where this runs, and how busy it is: the load of the last minute tells how far to trust an absolute figure."""
    cores = os.cpu_count() or 1
    return f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"


def show(title: str, figures: Sequence[Figure], *, as_json: bool) -> None:
    """Print all figures as a table, or as JSON."""
    if as_json:
        print(json.dumps({"title": title, "machine": machine(), "figures": [asdict(f) for f in figures]}, indent=1))
        return
    table = Table()
    columns = {"what": False, "value": True, "unit": False, "ratio": True, "against": False}
    if any(f.target for f in figures):
        columns |= {"target": False, "met": False}
    for name, right in columns.items():
        table.add_column(name, justify="right" if right else "left")
    for f in figures:
        met = "" if f.met is None else "yes" if f.met else "no"
        ratio = "" if f.ratio is None else f"{f.ratio:.2f}"
        cells = (f.what, _number(f.value), f.unit, ratio, f.against, f.target, met)
        table.add_row(*cells[: len(columns)])
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=PIPE_COLUMNS, highlight=False)
    console.print(f"{title} ({machine()})", markup=False)
    console.print(table)


def _number(value: float) -> str:
    """Three figures that mean something, and no more."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
