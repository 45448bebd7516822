"""A store's state as the frozen values that pages and the API show."""

from __future__ import annotations

from cloud_bridge.presence import PresenceBook
from cloud_bridge.read_models.alarms import draw_alarms
from cloud_bridge.read_models.state import Compartment, Device, StoreState
from cloud_bridge.views import (
    CabinetView,
    CompartmentView,
    DeviceView,
    FleetRow,
    ShelfView,
    SlotView,
    StoreView,
)
from contracts.planogram import CompartmentPlace, ShelfPlace

MAX_DEVICES_SHOWN = 256


def fleet_row(state: StoreState, presence: PresenceBook, now_ms: int) -> FleetRow:
    """The store's line in the fleet."""
    document = state.document
    online = presence.online(state.tenant, state.store, now_ms)
    devices = devices_of(state, online=online)
    shelves = [s for c in document.cabinets for k in c.compartments for s in k.shelves] if document else []
    today = state.tallies.today(now_ms)
    return FleetRow(
        tenant=state.tenant,
        store=state.store,
        name_zh=document.name_zh if document else state.store,
        name_en=document.name_en if document else state.store,
        region=document.region if document else "",
        online=online,
        last_seen_ms=presence.last_seen_ms(state.tenant, state.store),
        devices_online=sum(device.state == "online" for device in devices),
        devices_total=len(devices),
        sales_today=today.sales,
        revenue_today_fen=today.revenue_fen,
        open_reviews=len(state.reviews),
        alarms=len(state.alarms),
        units=sum(max(0, state.units.get((shelf.shelf, sku), 0)) for shelf in shelves for sku in shelf.capacity),
        capacity=sum(sum(shelf.capacity.values()) for shelf in shelves),
        visitors_today=today.visitors,
    )


def store_view(state: StoreState, presence: PresenceBook, now_ms: int) -> StoreView:
    """Everything of one store."""
    fleet = fleet_row(state, presence, now_ms)
    cabinets = state.document.cabinets if state.document else ()
    return StoreView(
        fleet=fleet,
        cabinets=tuple(
            CabinetView(
                cabinet=cabinet.cabinet,
                name_zh=cabinet.name_zh,
                name_en=cabinet.name_en,
                mode=cabinet.mode,
                compartments=tuple(_compartment(state, place) for place in cabinet.compartments),
            )
            for cabinet in cabinets
        ),
        devices=devices_of(state, online=fleet.online),
        events=tuple(state.events),
        visitors=state.tallies.bars(now_ms),
        counters=dict(state.counters),
        watermarks=dict(state.watermarks),
        dead_letters=state.dead_letters,
        alarms=draw_alarms(state.alarms),
    )


def devices_of(state: StoreState, *, online: bool) -> tuple[DeviceView, ...]:
    """The devices described, then those only heard of. Of a store that is away nothing is known for certain."""
    described = {device.device: device for device in state.document.devices} if state.document else {}
    views = []
    for name in [*described, *(name for name in state.devices if name not in described)][:MAX_DEVICES_SHOWN]:
        heard: Device | None = state.devices.get(name)
        place = described.get(name)
        views.append(
            DeviceView(
                device=name,
                kind=place.kind if place else heard.kind if heard else "",
                model=place.model if place else "",
                state=heard.state if heard and online else "unknown",
                since_ms=heard.since_ms if heard else 0,
                detail=heard.detail if heard else "",
                values=tuple(state.readings.get(name, {}).items()),
            )
        )
    return tuple(views)


def _compartment(state: StoreState, place: CompartmentPlace) -> CompartmentView:
    known = state.compartments.get(place.compartment, Compartment())
    return CompartmentView(
        compartment=place.compartment,
        door=known.door,
        blocked=known.incident or bool(known.uncounted),
        session=known.session,
        shelves=tuple(_shelf(state, shelf) for shelf in place.shelves),
    )


def _shelf(state: StoreState, shelf: ShelfPlace) -> ShelfView:
    slots = []
    for sku, capacity in shelf.capacity.items():
        product = state.names.products.get(sku)
        slots.append(
            SlotView(
                sku=sku,
                name_zh=product.name_zh if product else sku,
                name_en=product.name_en if product else sku,
                price_fen=product.price_fen if product else 0,
                category=product.category if product else "",
                units=max(0, state.units.get((shelf.shelf, sku), 0)),
                capacity=capacity,
            )
        )
    return ShelfView(shelf.shelf, tuple(slots))
