"""What both ways of counting share: sums, what became of a count, and what is known to be missing."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Literal

from device_drivers.people_counter.alert import Counts

MAX_AHEAD = timedelta(hours=1)  # a count from later than this is a clock that is wrong, and would hide all true ones
MAX_GAPS = 64  # of counts that are settled; beyond them the oldest go

Outcome = Literal[
    "counted",
    "same",  # told before
    "updated",  # it takes the place of what was told before
    "late",  # told in its place, between counts that came sooner
    "older",  # something newer is known already
    "contradicts",  # would make people out of a clock that went back
    "overlaps",  # another interval holds part of it
    "ahead",
    "forgotten",  # older than what is kept
    "other_method",
    "other_camera",
    "too_many",  # lines of one camera
]
Why = Literal["reset", "outage", "midnight", "clock", "missing", "overlap"]


@dataclass(frozen=True, slots=True)
class Gap:
    """People may be missing between two moments. `reset`: the counter began anew, what came just before is lost.
    `outage`: the line was away, a restart of the counter would not show. `midnight`: it cannot be told whether the
    counter began anew. `clock`: the camera's clock stands before what it told already. `missing`: no interval was told.
    `overlap`: one was told that holds part of another."""

    start: datetime
    end: datetime
    why: Why


def plus(one: Counts, other: Counts, sign: int = 1) -> Counts:
    """Sum, or difference with `sign` -1; what neither knows stays unknown."""

    def both(name: str) -> int | None:
        a, b = getattr(one, name), getattr(other, name)
        return None if a is None and b is None else (a or 0) + sign * (b or 0)

    values = {field.name: both(field.name) for field in fields(Counts)}
    return Counts(**values)  # type: ignore[arg-type]  # entered and left are never None


def risen(before: Counts, after: Counts) -> Counts:
    """How far each counter rose, none below zero; what only one side knows is not counted."""

    def rise(name: str) -> int | None:
        a, b = getattr(before, name), getattr(after, name)
        return None if a is None or b is None else max(0, b - a)

    values = {field.name: rise(field.name) for field in fields(Counts)}
    return Counts(**values)  # type: ignore[arg-type]  # entered and left are never None
