"""What the operators' pages and the API show: frozen values, made by the read models, drawn by the pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One store in the fleet list. Times are ms since 1970; 0 = never."""

    tenant: str
    store: str
    name_zh: str
    name_en: str
    region: str
    online: bool  # heard of within two heartbeats, never a retained word
    last_seen_ms: int
    devices_online: int
    devices_total: int
    sales_today: int
    revenue_today_fen: int
    open_reviews: int
    alarms: int
    units: int
    capacity: int
    visitors_today: int


@dataclass(frozen=True, slots=True)
class DeviceView:
    device: str
    kind: str
    model: str
    state: Literal["online", "degraded", "offline", "unknown"]
    since_ms: int
    detail: str
    values: tuple[tuple[str, float | str], ...] = ()  # what it showed last, by name with its unit


@dataclass(frozen=True, slots=True)
class SlotView:
    """One product on one shelf."""

    sku: str
    name_zh: str
    name_en: str
    price_fen: int
    category: str
    units: int
    capacity: int


@dataclass(frozen=True, slots=True)
class ShelfView:
    shelf: str
    slots: tuple[SlotView, ...]


@dataclass(frozen=True, slots=True)
class CompartmentView:
    compartment: str
    door: Literal["open", "closed", "unknown"]
    blocked: bool
    session: str  # open session, "" without
    shelves: tuple[ShelfView, ...]


@dataclass(frozen=True, slots=True)
class CabinetView:
    cabinet: str
    name_zh: str
    name_en: str
    mode: str
    compartments: tuple[CompartmentView, ...]


@dataclass(frozen=True, slots=True)
class EventView:
    """One event as a sentence a person reads."""

    row: int
    time_ms: int
    type: str
    zh: str
    en: str
    level: Literal["info", "ok", "attention", "fault"]


@dataclass(frozen=True, slots=True)
class AlarmView:
    """One thing that is wrong until somebody has mended it; `what` is its name for programs."""

    what: str
    since_ms: int
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class VisitorBar:
    """Crossings in one interval."""

    start_ms: int
    entered: int
    left: int


@dataclass(frozen=True, slots=True)
class StoreView:
    fleet: FleetRow
    cabinets: tuple[CabinetView, ...]
    devices: tuple[DeviceView, ...]
    events: tuple[EventView, ...]  # newest first, at most 50
    visitors: tuple[VisitorBar, ...]
    counters: dict[str, int]  # drops and refusals the store reported, by name
    watermarks: dict[str, int]  # by lane
    dead_letters: int
    alarms: tuple[AlarmView, ...] = ()  # oldest first


class Views(Protocol):
    """The read models. All calls are quick reads of memory; none touches the network."""

    def fleet(self) -> tuple[FleetRow, ...]: ...

    def store(self, tenant: str, store: str) -> StoreView | None: ...

    def counters(self) -> dict[str, int]:
        """What the bridge itself dropped or refused, by name."""
