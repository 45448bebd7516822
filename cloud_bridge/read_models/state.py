"""One store as its events tell it. Applied in order of rows; every table is bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from cloud_bridge.read_models.alarms import loss_alarm
from cloud_bridge.read_models.names import Names
from cloud_bridge.read_models.sentences import Sentence, sentence
from cloud_bridge.read_models.tallies import Tallies, keep, parse_ms
from cloud_bridge.views import EventView
from contracts import event_types as e
from contracts.envelope import Envelope
from contracts.known_events import KnownEvent
from contracts.planogram import StoreDocument

EVENTS_SHOWN = 50
# What comes many times a minute would push everything else out of the list of latest events.
_NOT_LISTED = (
    e.WeightReading,
    e.CabinetDoorReading,
    e.DeviceReading,
    e.AgentHealth,
    e.PeopleCountInterval,
    e.PeopleOccupancy,
)
DeviceState = Literal["online", "degraded", "offline"]
Unsaid = tuple[int, int, str, e.EventData | Sentence]  # row, time, name, and what is to be put into words or is


class UnreadableDocumentError(ValueError):
    """A store described itself in a way this version does not understand; the older description stays."""


@dataclass(slots=True)
class Device:
    kind: str
    state: DeviceState
    since_ms: int
    detail: str = ""


@dataclass(slots=True)
class Compartment:
    """`incident`: opened without a session, or weights unknown. `uncounted`: shelves that staff must count before the
    next sale."""

    door: Literal["open", "closed", "unknown"] = "unknown"
    session: str = ""
    incident: bool = False
    uncounted: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Session:
    compartment: str
    mode: str
    member_ref: str = ""


@dataclass(slots=True)
class StoreState:
    """What the events of one store came to."""

    tenant: str
    store: str
    document: StoreDocument | None = None
    names: Names = field(default_factory=lambda: Names(None))
    units: dict[tuple[str, str], int] = field(default_factory=dict)  # (shelf, sku)
    compartments: dict[str, Compartment] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    reviews: dict[str, None] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    readings: dict[str, dict[str, float | str]] = field(default_factory=dict)  # the latest of each device
    alarms: dict[str, int] = field(default_factory=dict)  # what: since ms
    tallies: Tallies = field(default_factory=Tallies)
    bought: dict[str, int] = field(default_factory=dict)  # units by sku
    earned: dict[str, int] = field(default_factory=dict)  # points by member
    events: deque[EventView] = field(default_factory=lambda: deque(maxlen=EVENTS_SHOWN))
    offsets: dict[str, float] = field(default_factory=dict)  # ms from the box's clock to ours, by boot
    counters: dict[str, int] = field(default_factory=dict)
    watermarks: dict[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    revision: int = 0  # grows with every event, so that what was drawn of it can be kept
    _unsaid: list[Unsaid] = field(default_factory=list)

    def show(self, event: Unsaid) -> None:
        """Put an event into the list of the latest; its words follow with `say`."""
        self._unsaid.append(event)
        self.revision += 1

    def say(self) -> None:
        """Find the words of what was shown, in the names of now: of many only for those that stay in the list."""
        for row, time_ms, name, said in self._unsaid[-EVENTS_SHOWN:]:
            words = sentence(said, self.names) if isinstance(said, e.EventData) else said
            self.events.appendleft(EventView(row, time_ms, name, *words))
        self._unsaid.clear()

    def place(self, compartment: str) -> Compartment:
        """The compartment, known from now on."""
        if compartment not in self.compartments:
            keep(self.compartments, compartment, Compartment())
        return self.compartments[compartment]

    def listed(self, data: e.EventData | None) -> bool:
        """Whether an event belongs into the list of the latest."""
        return not isinstance(data, _NOT_LISTED)

    def stock(self) -> dict[str, int]:
        """Units of each product in the whole store."""
        total: dict[str, int] = {}
        for (_, sku), units in self.units.items():
            total[sku] = total.get(sku, 0) + units
        return total

    def when(self, envelope: Envelope | KnownEvent, received_ms: int) -> int:
        """When the event was, by the cloud's clock, in ms since 1970: what was written is corrected here, beside it.

        A clock of which nothing is known, neither then nor by its boot since, is not believed at all.
        """
        offset_ms = self.offsets.get(envelope.boot)
        if envelope.clockquality == "unknown" and offset_ms is None:
            return received_ms
        said_ms = parse_ms(envelope.time)
        if said_ms is None:
            return received_ms
        return said_ms if envelope.clockquality == "synced" else said_ms + round(offset_ms or 0)

    def apply(self, data: e.EventData, time_ms: int) -> None:
        """One event. Raises UnreadableDocumentError."""
        self.revision += 1
        for part in _PARTS[type(data)]:
            part(self, data, time_ms)

    def _goods(self, data: e.EventData, _time_ms: int) -> None:
        match data:
            case e.ConfigChanged(document=raw):
                self.say()  # what was before it is told in the names of before
                try:
                    self.document = msgspec.json.decode(raw, type=StoreDocument)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    raise UnreadableDocumentError(str(error)) from error
                self.names = Names(self.document)
            case e.InventoryCounted(shelf=shelf, sku=sku, units=units):
                keep(self.units, (shelf, sku), units)
                if (compartment := self.names.compartment_of_shelf.get(shelf)) is not None:
                    place = self.place(compartment)
                    place.uncounted.discard(shelf)
                    if not place.uncounted:
                        self.alarms.pop(f"unexplained {compartment}", None)
            case e.CabinetStockChanged(shelf=shelf, sku=sku, delta_units=delta):
                keep(self.units, (shelf, sku), self.units.get((shelf, sku), 0) + delta)
            case _:
                pass

    def _cabinet(self, data: e.EventData, time_ms: int) -> None:
        match data:
            case e.CabinetSessionStarted(session=session, compartment=compartment, mode=mode):
                keep(self.sessions, session, Session(compartment, mode))
                self.place(compartment).session = session
            case e.CabinetSessionEnded(session=session, outcome=outcome):
                known = self._free(session)
                if known is not None and outcome == "restocked":
                    self.place(known.compartment).uncounted.clear()
                self.sessions.pop(session, None)
                self.reviews.pop(session, None)
            case e.CabinetDoorReading(compartment=compartment, open=is_open):
                if (place := self.place(compartment)).door == "unknown":  # the other lane may be ahead of this one
                    place.door = "open" if is_open else "closed"
            case e.CabinetDoorOpened(compartment=compartment):
                self.place(compartment).door = "open"
            case e.CabinetDoorClosed(compartment=compartment):
                self._closed(compartment)
            case e.CabinetDoorForced(compartment=compartment):
                place = self.place(compartment)
                place.door, place.incident = "open", True
                self.alarm(f"forced {compartment}", time_ms)
            case e.CabinetDoorHeldOpen(compartment=compartment):
                self.place(compartment).door = "open"
                self.alarm(f"held open {compartment}", time_ms)
            case e.CabinetStockUnexplained(compartment=compartment, shelves=shelves):
                self._closed(compartment)  # the store looks at weights only behind a closed door
                place = self.place(compartment)
                place.incident = False
                place.uncounted |= {shelf.shelf for shelf in shelves if shelf.delta_g is None}
                self.alarm(f"unexplained {compartment}", time_ms)  # until somebody has counted
            case e.CabinetSettlementNeedsReview(session=session, shelves=shelves):
                keep(self.reviews, session, None)
                known = self._free(session)
                if known is not None:
                    place = self.place(known.compartment)
                    place.incident = place.incident or any(shelf.delta_g is None for shelf in shelves)
                    if known.mode == "restock":
                        place.uncounted |= {shelf.shelf for shelf in shelves}
            case e.CabinetSettlementResolved(session=session):
                self.reviews.pop(session, None)
                self._free(session)
            case _:
                pass

    def _sale(self, data: e.EventData, time_ms: int) -> None:
        match data:
            case e.MemberRecognised(session=session, member_ref=member_ref):
                if session in self.sessions:
                    self.sessions[session].member_ref = member_ref
            case e.CabinetSettlementResolved(session=session, lines=lines) if lines:
                self.tallies.day(time_ms).sales += 1
                points_fen = 0
                for line in lines:
                    keep(self.bought, line.sku, self.bought.get(line.sku, 0) + max(0, line.qty))
                    product = self.names.products.get(line.sku)
                    if product is not None and product.category != "tobacco":  # rule T13
                        points_fen += max(0, line.qty * line.price_fen)
                known = self.sessions.get(session)
                if known is not None and known.member_ref:
                    keep(self.earned, known.member_ref, self.earned.get(known.member_ref, 0) + points_fen // 100)
            case e.PaymentCaptured(amount_fen=amount_fen):
                self.tallies.day(time_ms).revenue_fen += amount_fen
            case e.PeopleCrossing(direction=direction, count=count):
                entered = count if direction == "in" else 0
                self.tallies.crossing(time_ms, max(0, entered), max(0, count - entered))
            case e.PeopleCountInterval(start=start, entered=entered, left=left):
                start_ms = parse_ms(start)
                self.tallies.interval(time_ms if start_ms is None else start_ms, entered, left)
            case _:
                pass

    def _house(self, data: e.EventData, time_ms: int) -> None:
        match data:
            case e.DeviceOnline(device=device, kind=kind):
                self._device(device, kind, "online", time_ms)
            case e.DeviceOffline(device=device, kind=kind, detail=detail):
                self._device(device, kind, "offline", time_ms, detail)
            case e.DeviceReading(device=device, values=values):
                keep(self.readings, device, dict(values))
            case e.DeviceFault(device=device, kind=kind, code=code, detail=detail):
                self._device(device, kind, "degraded", time_ms, f"{code}: {detail}" if detail else code)
                self.alarm(f"fault {device} {code}", time_ms)
            case e.DeviceRecovered(device=device, kind=kind, code=code):
                self.alarms.pop(f"fault {device} {code}", None)
                if not any(alarm.startswith(f"fault {device} ") for alarm in self.alarms):
                    self._device(device, kind, "online", time_ms)
            case e.LicenceExpired(scope=scope):
                self.alarm(f"licence {scope}", time_ms)
            case e.LedgerDisk(level="full"):
                self.alarm("disk full", time_ms)
            case e.LedgerDisk():
                self.alarms.pop("disk full", None)
            case e.LedgerDamaged(lane=lane):
                self.alarm(f"damaged {lane}", time_ms)
            case e.StreamForked(lane=lane, reason="cloud_loss", lost_first=first, lost_last=last):
                self.alarm(loss_alarm(lane, first, last), time_ms)
            case e.ClockEstimated(boot=boot, offset_ms=offset_ms):
                keep(self.offsets, boot, offset_ms)
            case e.AgentHealth(counters=counters):
                self.counters = dict(counters)
            case _:
                pass

    def _free(self, session: str) -> Session | None:
        """The session does not hold its compartment any more."""
        known = self.sessions.get(session)
        if known is not None and self.place(known.compartment).session == session:
            self.place(known.compartment).session = ""
        return known

    def _closed(self, compartment: str) -> None:
        self.place(compartment).door = "closed"
        self.alarms.pop(f"forced {compartment}", None)
        self.alarms.pop(f"held open {compartment}", None)

    def alarm(self, what: str, time_ms: int) -> None:
        """Something is wrong since then, or since earlier."""
        if what not in self.alarms:
            self.revision += 1
            keep(self.alarms, what, time_ms)

    def _device(self, device: str, kind: str, state: DeviceState, time_ms: int, detail: str = "") -> None:
        before = self.devices.get(device)
        since_ms = before.since_ms if before is not None and before.state == state else time_ms
        keep(self.devices, device, Device(kind, state, since_ms, detail))


def _parts(name: str) -> tuple[Callable[[StoreState, e.EventData, int], None], ...]:
    """The parts of the state that speak of a class of this name: their own code names it."""
    parts = (StoreState._goods, StoreState._cabinet, StoreState._sale, StoreState._house)  # noqa: SLF001 - its own file
    return tuple(part for part in parts if name in part.__code__.co_names)


_PARTS = {cls: _parts(cls.__name__) for cls in e.EVENT_TYPES.values()}
