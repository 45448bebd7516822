"""A cabinet session from request to end, its doors and weights."""

from __future__ import annotations

from typing import Literal

from contracts.event_base import Count, EventData, Line, ShelfDelta, ShelfWeight, Short, event


@event("cabinet.session.started", privacy="pseudonymous")
class CabinetSessionStarted(EventData, frozen=True, kw_only=True):
    """Someone asked for a compartment."""

    session: Short
    cabinet: Short
    compartment: Short
    mode: Literal["self_service", "staff_release", "counter_only", "restock", "maintenance"]
    actor_ref: Short = ""
    declared: tuple[Line, ...] = ()


@event("cabinet.session.declared")
class CabinetSessionDeclared(EventData, frozen=True, kw_only=True):
    """What a proven adult wants of tobacco; nothing can be released before it."""

    session: Short
    lines: tuple[Line, ...]


@event("cabinet.session.ended")
class CabinetSessionEnded(EventData, frozen=True, kw_only=True):
    """The one end of a session, money included."""

    session: Short
    outcome: Literal[
        "settled",
        "settled_unpaid",
        "nothing_taken",
        "not_opened",
        "review_charged",
        "review_dropped",
        "voided",
        "cancelled",
        "declined",
        "restocked",
    ]
    reason: Short = ""


@event("cabinet.unlock.granted", privacy="pseudonymous")
class CabinetUnlockGranted(EventData, frozen=True, kw_only=True):
    """The intent: durable before any unlock frame is encoded."""

    session: Short
    intent: Short
    attempt: Literal[1, 2]
    board: int
    channel: int
    weights: tuple[ShelfWeight, ...]
    rule_ids: tuple[Short, ...] = ()
    policy_version: Short = ""
    release: Short = ""
    staff_id: Short = ""


@event("cabinet.unlock.denied")
class CabinetUnlockDenied(EventData, frozen=True, kw_only=True):
    """A request that led to no session."""

    cabinet: Short
    compartment: Short
    reason: Short
    session: Short = ""
    rule_ids: tuple[Short, ...] = ()


@event("cabinet.unlock.completed")
class CabinetUnlockCompleted(EventData, frozen=True, kw_only=True):
    """What became of an intent."""

    session: Short
    intent: Short
    result: Literal["opened", "refused", "no_reply", "not_sent", "unknown"]
    latency_ms: float | None = None


@event("cabinet.door.opened")
class CabinetDoorOpened(EventData, frozen=True, kw_only=True):
    """A door was seen open that a session answers for."""

    compartment: Short
    session: Short = ""
    blind: bool = False


@event("cabinet.door.closed")
class CabinetDoorClosed(EventData, frozen=True, kw_only=True):
    """The door of a session was seen closed again."""

    compartment: Short
    session: Short = ""
    open_s: float | None = None
    blind: bool = False


@event("cabinet.door.reading", lane="telemetry")
class CabinetDoorReading(EventData, frozen=True, kw_only=True):
    """A door between sessions; evidence stands in the ledger lane instead."""

    compartment: Short
    open: bool


@event("cabinet.door.forced")
class CabinetDoorForced(EventData, frozen=True, kw_only=True):
    """A door was seen open that no session answers for."""

    compartment: Short
    hint: Literal["", "late_pulse", "recent_pulse"] = ""
    last_pulse_s: float | None = None  # seconds since the last unlock frame, if at most 600


@event("cabinet.door.held_open")
class CabinetDoorHeldOpen(EventData, frozen=True, kw_only=True):
    """A door stands open too long; the sound is on."""

    compartment: Short
    session: Short = ""
    open_s: float = 0.0


@event("cabinet.stock.changed")
class CabinetStockChanged(EventData, frozen=True, kw_only=True):
    """Units that came to a shelf (positive) or left it (negative)."""

    shelf: Short
    sku: Short
    delta_units: int
    evidence: Literal["weight", "rfid", "vision", "staff"]
    session: Short = ""


@event("cabinet.stock.unexplained")
class CabinetStockUnexplained(EventData, frozen=True, kw_only=True):
    """A weight changed without a session; the book follows, the units wait for a count."""

    compartment: Short
    shelves: tuple[ShelfDelta, ...]
    reason: Short = ""


@event("cabinet.settlement.resolved")
class CabinetSettlementResolved(EventData, frozen=True, kw_only=True):
    """The conclusion `settled` (with lines) or `nothing` (without)."""

    session: Short
    lines: tuple[Line, ...]
    shelves: tuple[ShelfDelta, ...]
    decided_by: Literal["weight", "staff"] = "weight"
    staff_id: Short = ""
    blind: bool = False


@event("cabinet.settlement.needs_review")
class CabinetSettlementNeedsReview(EventData, frozen=True, kw_only=True):
    """The evidence has no unique explanation; staff decide, nobody is charged until then."""

    session: Short
    reason: Short
    shelves: tuple[ShelfDelta, ...]
    proposal: tuple[Line, ...] = ()
    candidates: Count = 0
    blind: bool = False


@event("weight.reading", lane="telemetry")
class WeightReading(EventData, frozen=True, kw_only=True):
    """A weight between sessions; evidence stands in the ledger lane instead."""

    shelf: Short
    gross_g: float
    stable: bool


@event("scan.barcode", lane="ledger")
class ScanBarcode(EventData, frozen=True, kw_only=True):
    """A code was read; never the code itself when it may name a person."""

    scanner: Short
    symbology: Short
    accepted: bool
    reason: Short = ""
