"""The plan of a storm: what is killed, paused, filled or cut, when and for how long. Pure: a seed gives one plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, get_args

from simulators.chaos_proxy import KINDS, Fault

What = Literal[
    "kill_store",
    "kill_broker",
    "kill_bridge",
    "stop_bridge",  # told to end, as in an update
    "add_bridge",
    "pause_store",
    "pause_broker",
    "pause_bridge",
    "store_line",
    "bridge_line",
    "fill_disk",
    "restart_database",
    "kill_pages",
]
WEIGHTS: dict[What, int] = {
    "kill_store": 5,
    "kill_broker": 2,
    "kill_bridge": 4,
    "stop_bridge": 1,
    "add_bridge": 2,
    "pause_store": 2,
    "pause_broker": 1,
    "pause_bridge": 2,
    "store_line": 8,
    "bridge_line": 4,
    "fill_disk": 2,
}
FULL_FOR_S = 5.0  # else it writes where it wrote before, and needs no room
assert WEIGHTS.keys() | {"restart_database", "kill_pages"} == set(get_args(What))


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens: `for_s` is how long it lasts, or how long the dead stay dead."""

    at_s: float
    what: What
    whom: int = 0
    for_s: float = 0.0
    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What there is to break."""

    stores: int
    bridges: int  # at most so many at once; the storm begins with two of them, or the only one
    can_fill: bool
    can_restart_database: bool
    pages: bool = False


def plan(rng: Random, stage: Stage, *, seconds: float, mean_gap_s: float = 1.0, longest_s: float = 1.5) -> list[Act]:
    """The acts of one storm, by time, with calm between them: what never works cannot lose what it did.

    Each kind comes at least once; the database is restarted once.
    """
    kinds = [w for w in WEIGHTS if _possible(w, stage)]
    chosen: list[What] = [*kinds, *rng.choices(kinds, [WEIGHTS[k] for k in kinds], k=int(seconds / mean_gap_s))]
    if stage.can_restart_database:
        chosen.append("restart_database")
    if stage.pages:
        chosen += ["kill_pages"] * max(1, int(seconds / 60))
    rng.shuffle(chosen)
    each_s = seconds / len(chosen)
    acts = [_act(rng, what, stage, (n + rng.random()) * each_s, longest_s) for n, what in enumerate(chosen)]
    return sorted((replace(a, at_s=a.at_s / 2) if a.what == "fill_disk" else a for a in acts), key=lambda a: a.at_s)


def _possible(what: What, stage: Stage) -> bool:
    if what == "fill_disk":
        return stage.can_fill
    return what not in ("add_bridge", "stop_bridge") or stage.bridges > 1


def _act(rng: Random, what: What, stage: Stage, at_s: float, longest_s: float) -> Act:
    for_s = round(rng.uniform(0.0, longest_s), 3)
    count = {"store": stage.stores, "bridge": stage.bridges}.get(what.removesuffix("_line").rpartition("_")[2], 1)
    fault = None
    if what == "fill_disk":  # long enough to need room that is not there: what was written before is used again first
        for_s = round(for_s + FULL_FOR_S, 3)
    if what.endswith("_line"):
        fault = Fault(
            kind=rng.choice(KINDS),
            duration_s=for_s,
            delay_ms=round(rng.uniform(20.0, 500.0), 1),
            bytes_s=rng.choice((2_000, 20_000, 100_000)),
        )
    return Act(round(at_s, 3), what, rng.randrange(count), for_s, fault)


def told(acts: Sequence[Act]) -> str:
    """The plan as a person reads it, one line an act."""
    return "\n".join(
        f"{a.at_s:8.3f} s  {a.what} {a.whom} for {a.for_s:.2f} s{f' {a.fault.kind}' if a.fault else ''}" for a in acts
    )
