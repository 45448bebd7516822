"""One way to print figures."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: what, how much, of what unit, and against what."""

    what: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0..1) of all lie; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show(title: str, figures: Sequence[Figure], *, as_json: bool) -> None:
    """Print all figures as a table, or as JSON."""
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    if as_json:
        rows = [{k: getattr(f, k) for k in ("what", "value", "unit", "ratio", "against")} for f in figures]
        print(json.dumps({"title": title, "machine": machine, "figures": rows}, indent=1))
        return
    table = Table("what", "value", "unit", "ratio", "against", title=f"{title} ({machine})")
    for f in figures:
        ratio = "" if f.ratio is None else f"{f.ratio:.2f}"
        table.add_row(f.what, f"{f.value:,.2f}", f.unit, ratio, f.against)
    Console().print(table)
