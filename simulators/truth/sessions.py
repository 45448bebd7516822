"""The ledger, folded: what it says of each session, of doors and of stock, with the store time it said it at."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts.envelope import Envelope
from contracts.event_types import (
    CabinetDoorClosed,
    CabinetDoorForced,
    CabinetDoorOpened,
    CabinetSessionEnded,
    CabinetSessionStarted,
    CabinetSettlementNeedsReview,
    CabinetSettlementResolved,
    CabinetStockUnexplained,
    CabinetUnlockCompleted,
    CabinetUnlockDenied,
    CabinetUnlockGranted,
    EventData,
    Line,
    PaymentCaptured,
    ScanBarcode,
    ShelfDelta,
)

Event = tuple[Envelope, EventData | None]
PEOPLE_MODES = frozenset({"self_service", "staff_release"})
NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Conclusion:
    """`lines` is None for a review."""

    t: float
    boot: str
    lines: tuple[Line, ...] | None
    shelves: tuple[ShelfDelta, ...]
    by_staff: bool


@dataclass(slots=True)
class Session:
    """All the ledger says of one session."""

    id: str
    starts: list[tuple[float, str, CabinetSessionStarted]] = field(default_factory=list)
    grants: list[tuple[float, CabinetUnlockGranted]] = field(default_factory=list)
    outcomes: list[CabinetUnlockCompleted] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    closed: list[float] = field(default_factory=list)
    conclusions: list[Conclusion] = field(default_factory=list)
    captured: list[int] = field(default_factory=list)
    ends: list[tuple[float, str]] = field(default_factory=list)

    @property
    def start(self) -> CabinetSessionStarted | None:
        return self.starts[0][2] if self.starts else None

    @property
    def compartment(self) -> str:
        return self.start.compartment if self.start else ""

    @property
    def started_s(self) -> float:
        return self.starts[0][0] if self.starts else NEVER

    @property
    def first(self) -> Conclusion | None:
        """The conclusion of the physical half."""
        return self.conclusions[0] if self.conclusions else None

    @property
    def concluded_s(self) -> float:
        """When the physical half was over."""
        if self.first is not None:
            return self.first.t
        return self.ends[0][0] if self.ends else NEVER

    @property
    def claim(self) -> tuple[float, float]:
        """From the first intent to the conclusion: what moves in between is this session's."""
        return (self.grants[0][0] if self.grants else NEVER), self.concluded_s

    @property
    def reviewed(self) -> bool:
        return self.first is not None and self.first.lines is None

    @property
    def sold(self) -> tuple[Line, ...]:
        """What was charged in the end."""
        resolved = [one.lines for one in self.conclusions if one.lines is not None]
        return resolved[-1] if resolved else ()


@dataclass(frozen=True, slots=True)
class DoorSaid:
    """`cabinet.door.opened` or `.forced`."""

    t: float
    compartment: str
    session: str
    forced: bool
    blind: bool


@dataclass(slots=True)
class Ledger:
    """All of it. `boots` are (boot, first and last store time at which it spoke), in order."""

    sessions: dict[str, Session] = field(default_factory=dict)
    doors: list[DoorSaid] = field(default_factory=list)
    closings: list[tuple[float, str, str]] = field(default_factory=list)
    unexplained: list[tuple[float, str, ShelfDelta]] = field(default_factory=list)
    unexplained_events: int = 0
    refusals: list[tuple[float, str]] = field(default_factory=list)  # when, and at which cabinet or scanner
    boots: dict[str, tuple[float, float]] = field(default_factory=dict)

    def session(self, name: str) -> Session:
        return self.sessions.setdefault(name, Session(name))


def store_s(envelope: Envelope) -> float:
    """Store seconds at which an event was written: the agent stamps `Clock.now_s()` on it."""
    return envelope.monotonicns / 1e9


def fold_events(events: Iterable[Event]) -> Ledger:
    """The ledger of a run. An event that a fork wrote again counts once, at its first place."""
    ledger = Ledger()
    seen: set[tuple[str, int]] = set()
    for envelope, data in events:
        origin = envelope.origin
        identity = (origin.stream, origin.seq) if origin else (envelope.id.rpartition(":")[0], envelope.sequence)
        if origin is not None and identity in seen:
            continue
        seen.add(identity)
        t = store_s(envelope)
        first_s, last_s = ledger.boots.get(envelope.boot, (t, t))
        ledger.boots[envelope.boot] = (min(first_s, t), max(last_s, t))
        _fold(ledger, envelope.boot, t, data)
    return ledger


def _fold(ledger: Ledger, boot: str, t: float, data: EventData | None) -> None:
    match data:
        case CabinetSessionStarted():
            ledger.session(data.session).starts.append((t, boot, data))
        case CabinetUnlockGranted():
            ledger.session(data.session).grants.append((t, data))
        case CabinetUnlockCompleted():
            ledger.session(data.session).outcomes.append(data)
        case CabinetDoorOpened():
            ledger.doors.append(DoorSaid(t, data.compartment, data.session, forced=False, blind=data.blind))
            if data.session:
                ledger.session(data.session).opened.append(t)
        case CabinetDoorClosed():
            ledger.closings.append((t, data.compartment, data.session))
            if data.session:
                ledger.session(data.session).closed.append(t)
        case CabinetDoorForced():
            ledger.doors.append(DoorSaid(t, data.compartment, "", forced=True, blind=False))
        case CabinetSettlementResolved():
            staff = data.decided_by == "staff"
            ledger.session(data.session).conclusions.append(Conclusion(t, boot, data.lines, data.shelves, staff))
        case CabinetSettlementNeedsReview():
            ledger.session(data.session).conclusions.append(Conclusion(t, boot, None, data.shelves, by_staff=False))
        case CabinetStockUnexplained():
            ledger.unexplained_events += 1
            ledger.unexplained += [(t, data.compartment, shelf) for shelf in data.shelves]
        case PaymentCaptured():
            ledger.session(data.session).captured.append(data.amount_fen)
        case CabinetUnlockDenied():
            ledger.refusals.append((t, data.cabinet))
        case ScanBarcode(accepted=False):
            ledger.refusals.append((t, data.scanner))
        case CabinetSessionEnded():
            ledger.session(data.session).ends.append((t, data.outcome))
        case _:
            pass  # the other events are no part of this comparison
