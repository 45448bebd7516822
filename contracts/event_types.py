"""The event vocabulary: one frozen class a type, with its lane and its privacy class.

Amounts are integer fen, weights grams (float, as the scale gives them), `_dc` tenths of a degree, durations carry
their unit. A class refuses unknown fields: what a store may say is an allow-list, so no image, biometric or
identity number can ride along unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta

Lane = Literal["ledger", "telemetry"]
Privacy = Literal["none", "pseudonymous", "personal"]
LANES: tuple[Lane, ...] = ("ledger", "telemetry")

Text = Annotated[str, Meta(max_length=256)]
Short = Annotated[str, Meta(max_length=64)]
Count = Annotated[int, Meta(ge=0)]


class EventData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an event says. The envelope around it says who, when and in which order."""

    TYPE: ClassVar[str] = ""
    LANE: ClassVar[Lane] = "ledger"
    PRIVACY: ClassVar[Privacy] = "none"


EVENT_TYPES: dict[str, type[EventData]] = {}
D = TypeVar("D", bound=EventData)


def event(name: str, *, lane: Lane = "ledger", privacy: Privacy = "none") -> Callable[[type[D]], type[D]]:
    """Register a class as the data of event type `name`."""

    def register(cls: type[D]) -> type[D]:
        if name in EVENT_TYPES:
            raise ValueError(f"event type {name} is defined twice")
        cls.TYPE, cls.LANE, cls.PRIVACY = name, lane, privacy
        EVENT_TYPES[name] = cls
        return cls

    return register


# ------------------------------------------------------------------ parts


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a basket."""

    sku: Short
    qty: int
    price_fen: int
    shelf: Short


class ShelfWeight(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A weight that is evidence: what the ledger held of a shelf and what the scale said."""

    shelf: Short
    book_g: float
    fresh_g: float
    epoch: int


class ShelfDelta(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What left (positive) or came (negative) on one shelf, and the book after it."""

    shelf: Short
    delta_g: float | None  # None: the weights are no evidence
    book_g: float
    epoch: int


# ------------------------------------------------------------------ store, staff, devices


@event("store.opened")
class StoreOpened(EventData, frozen=True, kw_only=True):
    """The store opens for business."""

    staff_id: Short
    reason: Text = ""


@event("store.closed")
class StoreClosed(EventData, frozen=True, kw_only=True):
    """The store closes; tobacco is blocked from here on."""

    staff_id: Short
    reason: Text = ""


@event("staff.signed_in", privacy="pseudonymous")
class StaffSignedIn(EventData, frozen=True, kw_only=True):
    """A member of staff is on duty from here on."""

    staff_id: Short
    method: Literal["badge", "pin", "nfc"]
    terminal: Short


@event("staff.signed_out", privacy="pseudonymous")
class StaffSignedOut(EventData, frozen=True, kw_only=True):
    """A member of staff leaves by their own act."""

    staff_id: Short
    terminal: Short


@event("staff.presence_lost", privacy="pseudonymous")
class StaffPresenceLost(EventData, frozen=True, kw_only=True):
    """A heartbeat stayed away too long: on duty no more."""

    staff_id: Short
    terminal: Short
    last_seen_s: float


@event("device.online", lane="telemetry")
class DeviceOnline(EventData, frozen=True, kw_only=True):
    """A device answers."""

    device: Short
    kind: Short
    model: Text = ""
    since_s: float = 0.0


@event("device.offline", lane="telemetry")
class DeviceOffline(EventData, frozen=True, kw_only=True):
    """A device has not answered for some seconds."""

    device: Short
    kind: Short
    detail: Text = ""
    retries: Count = 0


@event("device.fault")
class DeviceFault(EventData, frozen=True, kw_only=True):
    """A device answers, but what it says cannot be true."""

    device: Short
    kind: Short
    code: Short
    detail: Text = ""


@event("device.recovered")
class DeviceRecovered(EventData, frozen=True, kw_only=True):
    """A fault is over."""

    device: Short
    kind: Short
    code: Short
    down_s: float = 0.0


@event("bus.error", lane="telemetry")
class BusError(EventData, frozen=True, kw_only=True):
    """Bytes on a serial line that made no sense, counted since the last report."""

    bus: Short
    protocol: Short
    kind: Literal["crc", "timeout", "framing", "unexpected"]
    count: Count


@event("config.changed")
class ConfigChanged(EventData, frozen=True, kw_only=True):
    """The store described: sent whenever its description differs from the last one in the ledger."""

    source: Short
    digest: Short
    document: msgspec.Raw  # contracts.planogram.StoreDocument


@event("inventory.counted")
class InventoryCounted(EventData, frozen=True, kw_only=True):
    """Units on a shelf as counted, from which the stock goes on."""

    shelf: Short
    sku: Short
    units: int
    reason: Text = ""
    staff_id: Short = ""


# ------------------------------------------------------------------ cabinet sessions


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


# ------------------------------------------------------------------ interlocks


@event("age.check.passed")
class AgeCheckPassed(EventData, frozen=True, kw_only=True):
    """A document proved the age asked for, in this session."""

    session: Short
    method: Literal["id_card", "member_document", "staff_document", "network_id"]
    min_age: int
    staff_id: Short = ""


@event("age.check.failed")
class AgeCheckFailed(EventData, frozen=True, kw_only=True):
    """A document did not prove the age asked for."""

    session: Short
    method: Short
    min_age: int
    reason: Short = ""
    staff_id: Short = ""


@event("age.check.expired")
class AgeCheckExpired(EventData, frozen=True, kw_only=True):
    """A proof grew too old before it was used."""

    session: Short


@event("gate.decision", privacy="pseudonymous")
class GateDecision(EventData, frozen=True, kw_only=True):
    """Audit of one asking of table G. Carries rule ids and a summary, never anything of the buyer."""

    session: Short
    stage: Literal["g1", "g2", "g3", "g4", "lapse", "revoke"]
    outcome: Literal["allowed", "denied", "lapsed_after_unlock", "revoked", "lifted"]
    failed: tuple[Short, ...] = ()
    inputs: dict[Short, Short | int | float | bool | None] = {}
    policy_version: Short = ""
    staff_id: Short = ""


@event("licence.expiring")
class LicenceExpiring(EventData, frozen=True, kw_only=True):
    """The tobacco licence ends soon."""

    scope: Short
    days_left: int


@event("licence.expired")
class LicenceExpired(EventData, frozen=True, kw_only=True):
    """The tobacco licence has ended; tobacco is blocked."""

    scope: Short


# ------------------------------------------------------------------ money


@event("payment.requested")
class PaymentRequested(EventData, frozen=True, kw_only=True):
    """The next act with the money, durable before it is sent."""

    session: Short
    kind: Literal["authorise", "capture", "void"]
    key: Short
    amount_fen: Count


@event("payment.authorised")
class PaymentAuthorised(EventData, frozen=True, kw_only=True):
    """The provider holds the amount."""

    session: Short
    key: Short
    amount_fen: Count
    txn: Short = ""


@event("payment.captured")
class PaymentCaptured(EventData, frozen=True, kw_only=True):
    """The provider took the amount."""

    session: Short
    key: Short
    amount_fen: Count
    txn: Short = ""


@event("payment.failed")
class PaymentFailed(EventData, frozen=True, kw_only=True):
    """A final no of the provider."""

    session: Short
    key: Short
    code: Short
    amount_fen: Count = 0


@event("payment.voided")
class PaymentVoided(EventData, frozen=True, kw_only=True):
    """The hold is given back."""

    session: Short
    key: Short


# ------------------------------------------------------------------ people, members


@event("people.crossing", lane="telemetry")
class PeopleCrossing(EventData, frozen=True, kw_only=True):
    """Someone crossed a counting line."""

    line: Short
    direction: Literal["in", "out"]
    count: int = 1
    method: Short = "vision"


@event("people.count.interval", lane="telemetry")
class PeopleCountInterval(EventData, frozen=True, kw_only=True):
    """`in` and `out` of the vocabulary are spelled `entered` and `left` here: `in` is a word of the language."""

    line: Short
    start: Short
    end: Short
    entered: Count
    left: Count
    quality: float
    frames: Count = 0
    skipped: Count = 0


@event("people.occupancy", lane="telemetry")
class PeopleOccupancy(EventData, frozen=True, kw_only=True):
    """How many are inside, by the counts."""

    value: int
    line: Short = ""


@event("member.recognised", privacy="pseudonymous")
class MemberRecognised(EventData, frozen=True, kw_only=True):
    """The cloud knew the member who began this session."""

    session: Short
    member_ref: Short
    method: Literal["qr", "nfc", "phone", "face"]


@event("recommendation.shown")
class RecommendationShown(EventData, frozen=True, kw_only=True):
    """What was offered, and why."""

    session: Short
    slot: Short
    items: tuple[Short, ...]
    reason_codes: tuple[Short, ...]


# ------------------------------------------------------------------ the agent about itself


@event("telemetry.dropped")
class TelemetryDropped(EventData, frozen=True, kw_only=True):
    """A run of telemetry that was dropped before the cloud had it."""

    stream: Short
    first: Count
    last: Count
    count: Count
    reason: Short


@event("clock.estimated")
class ClockEstimated(EventData, frozen=True, kw_only=True):
    """How far this box's clock is from the cloud's."""

    boot: Short
    offset_ms: float
    rtt_ms: float


@event("command.accepted")
class CommandAccepted(EventData, frozen=True, kw_only=True):
    """The intent of a command, durable before its effect."""

    command: Short
    kind: Short


@event("command.refused")
class CommandRefused(EventData, frozen=True, kw_only=True):
    """A command that was not carried out, and why."""

    command: Short
    kind: Short
    reason: Short


@event("command.completed")
class CommandCompleted(EventData, frozen=True, kw_only=True):
    """What became of an accepted command."""

    command: Short
    kind: Short
    outcome: Literal["done", "failed", "unknown"]
    detail: Text = ""


@event("stream.forked")
class StreamForked(EventData, frozen=True, kw_only=True):
    """This lane goes on in a new stream after its disk was restored or the cloud lost data."""

    lane: Lane
    parent: Short
    common: Count
    reason: Short


@event("ledger.damaged")
class LedgerDamaged(EventData, frozen=True, kw_only=True):
    """A range that could not be read from disk."""

    lane: Lane
    first: Count
    last: Count
    detail: Text = ""


@event("agent.health", lane="telemetry")
class AgentHealth(EventData, frozen=True, kw_only=True):
    """Counters of everything that was dropped or refused, by name."""

    boot: Short
    counters: dict[Short, int]
    ledger_rows: Count = 0
    rss_bytes: Count = 0


def lane_of(name: str) -> Lane:
    """The lane of an event type; a type that is missing here is `ledger`."""
    cls = EVENT_TYPES.get(name)
    return cls.LANE if cls else "ledger"
