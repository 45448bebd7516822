"""Table W: every compartment that no session claims. A gram that moves there is an incident, never a sale."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from contracts.event_types import CabinetDoorForced, CabinetStockUnexplained, InventoryCounted, ShelfDelta
from edge.sessions.core.asking import House, claimed, device_facts, differs, view
from edge.sessions.core.draft import Draft
from edge.sessions.core.inputs import Alarm, CompartmentSpec, ShelfSpec, Weight
from edge.sessions.core.records import Book, Incident

HINT_S = 600.0


def fence(d: Draft, compartment: str) -> None:
    """A status query sent after the last frame has been answered: the frame will not act any more."""
    if compartment in d.unfenced and view(d, compartment).fenced:
        d.unfenced -= {compartment}
        if compartment in d.pulses:
            d.pulses[compartment] = d.now_s  # the latch may be free from here on
        if d.slot is not None and d.slot.compartment == compartment:
            d.keep(fenced_s=d.now_s)


def look(house: House, d: Draft, compartment: str) -> None:
    """One look at one compartment."""
    if claimed(d, compartment):
        return
    seen = view(d, compartment)
    incident: Incident | None = d.kind("incident").get(compartment)
    if seen.open and not (incident and incident.forced):
        _forced(d, compartment)
        return
    if seen.open is not False or seen.weights is None:
        return
    place = house.place(compartment)
    _first_books(d, place.shelves, seen.weights)
    ready = device_facts(house, d, compartment)
    if not (ready.closed and ready.fenced and ready.latch_over):
        return
    if incident or differs(place, d.kind("book"), seen.weights):
        _unexplained(d, place, incident, seen.weights)


def _forced(d: Draft, compartment: str) -> None:
    pulse_s = d.pulses.get(compartment)
    since_s = None if pulse_s is None else d.now_s - pulse_s
    recent = since_s is not None and since_s <= HINT_S
    d.say(
        CabinetDoorForced(
            compartment=compartment,
            hint="late_pulse" if compartment in d.unfenced and recent else "recent_pulse" if recent else "",
            last_pulse_s=since_s if recent else None,
        )
    )
    d.incident(compartment, forced=True)
    d.do(Alarm("door_forced", compartment))


def _first_books(d: Draft, shelves: tuple[ShelfSpec, ...], weights: Mapping[str, Weight]) -> None:
    """First start: what the scale shows is what there is, and the description says how many pieces."""
    for shelf in shelves:
        if shelf.shelf in d.kind("book"):
            continue
        now = weights[shelf.shelf]
        d.kind("book")[shelf.shelf] = Book(g=now.g, epoch=now.epoch, units=dict(shelf.stock))
        for sku, units in shelf.stock.items():
            d.say(InventoryCounted(shelf=shelf.shelf, sku=sku, units=units, reason="first start"))


def _unexplained(d: Draft, place: CompartmentSpec, incident: Incident | None, weights: Mapping[str, Weight]) -> None:
    book = d.kind("book")
    restarted = any(book[s.shelf].epoch != weights[s.shelf].epoch for s in place.shelves)
    lost = restarted or (incident is not None and incident.unknown)
    deltas: list[ShelfDelta] = []
    for shelf in place.shelves:
        held, now = book[shelf.shelf], weights[shelf.shelf]
        book[shelf.shelf] = msgspec.structs.replace(held, g=now.g, epoch=now.epoch)
        delta_g = None if lost else round(held.g - now.g, 3)
        deltas.append(ShelfDelta(shelf=shelf.shelf, delta_g=delta_g, book_g=now.g, epoch=now.epoch))
    forced = incident is not None and incident.forced
    reason = "scale_restarted" if restarted else "blocked" if lost else "forced" if forced else "unclaimed"
    d.say(CabinetStockUnexplained(compartment=place.compartment, shelves=tuple(deltas), reason=reason))
    d.kind("incident").pop(place.compartment, None)
    if lost:
        d.flag("count_due", place.compartment)
    d.do(Alarm("unexplained", place.compartment))
