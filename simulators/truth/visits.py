"""The truth, folded: who was where, which doors stood open when, what moved, what was broken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from simulators.truth.records import TruthRecord

FOREVER = math.inf


@dataclass(slots=True)
class Visit:
    """One person before one cabinet. `claims` are the times at which a session may have begun; `codes` are the times
    at which a member's code was shown, and the scanner."""

    name: str
    cabinet: str
    member: str
    started_s: float
    ended_s: float = FOREVER
    scans: list[float] = field(default_factory=list)
    codes: list[tuple[float, str]] = field(default_factory=list)

    @property
    def claims(self) -> list[float]:
        return self.scans or [self.started_s]


@dataclass(slots=True)
class Opening:
    """One door standing open from `opened_s` to `closed_s`."""

    compartment: str
    opened_s: float
    visit: str
    forced: bool
    closed_s: float = FOREVER


@dataclass(frozen=True, slots=True)
class Move:
    """Goods or grams that left a shelf (positive) or came onto it (negative). `sku` is '' for what is no product."""

    t: float
    compartment: str
    shelf: str
    sku: str
    qty: int
    grams: float
    visit: str


@dataclass(slots=True)
class Fault:
    """Something was broken from `began_s` to `ended_s`."""

    began_s: float
    device: str
    compartment: str
    shelf: str
    detail: str
    ended_s: float = FOREVER

    def overlaps(self, first_s: float, last_s: float) -> bool:
        return self.began_s <= last_s and first_s <= self.ended_s


@dataclass(slots=True)
class Truth:
    """All of it."""

    visits: dict[str, Visit] = field(default_factory=dict)
    openings: list[Opening] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    pulses: list[tuple[float, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    span: tuple[float, float] = (0.0, 0.0)  # first and last record

    def faults_at(self, compartment: str, first_s: float, last_s: float, *shelves: str) -> Iterator[Fault]:
        """What was broken there and then; a fault that names no compartment concerns all."""
        for fault in self.faults:
            here = fault.compartment in ("", compartment) and (not fault.shelf or not shelves or fault.shelf in shelves)
            if here and fault.overlaps(first_s, last_s):
                yield fault


SIGNS = {"taken": 1, "put_back": -1, "stocked": -1, "foreign": -1}


def fold_truth(records: Iterable[TruthRecord]) -> Truth:
    """The truth of a run, from its records in the order of time."""
    truth = Truth()
    open_doors: dict[str, Opening] = {}
    broken: dict[tuple[str, str, str, str], Fault] = {}
    ordered = sorted(records, key=lambda one: one.t)
    if ordered:
        truth.span = (ordered[0].t, ordered[-1].t)
    for record in ordered:
        match record.kind:
            case "visit_started":
                truth.visits[record.visit] = Visit(record.visit, record.cabinet, record.member, record.t)
            case "visit_ended" if record.visit in truth.visits:
                truth.visits[record.visit].ended_s = record.t
            case "scanned" if record.visit in truth.visits:
                truth.visits[record.visit].scans.append(record.t)
                if record.member:
                    truth.visits[record.visit].codes.append((record.t, record.device))
            case "pulsed":
                truth.pulses.append((record.t, record.compartment))
            case "door_opened":
                opening = Opening(record.compartment, record.t, record.visit, record.detail == "forced")
                open_doors[record.compartment] = opening
                truth.openings.append(opening)
            case "door_closed" if record.compartment in open_doors:
                open_doors.pop(record.compartment).closed_s = record.t
            case "taken" | "put_back" | "stocked" | "foreign":
                truth.moves.append(_move(record))
            case "fault":
                key = (record.device, record.compartment, record.shelf, record.detail)
                broken[key] = Fault(record.t, *key)
                truth.faults.append(broken[key])
            case "fault_cleared":
                key = (record.device, record.compartment, record.shelf, record.detail)
                if key in broken:
                    broken.pop(key).ended_s = record.t
            case "scale_restarted":
                restart = Fault(record.t, record.device, record.compartment, record.shelf, "scale_restarted", record.t)
                truth.faults.append(restart)
            case _:
                pass  # crossings, cards and latches are compared elsewhere or need no comparison
    return truth


def _move(record: TruthRecord) -> Move:
    sign = SIGNS[record.kind]
    return Move(
        t=record.t,
        compartment=record.compartment,
        shelf=record.shelf,
        sku=record.sku,
        qty=sign * record.qty,
        grams=sign * record.grams,
        visit=record.visit,
    )
