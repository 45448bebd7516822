"""What a count by staff means for the shelves: people count products behind a door, the book holds them by shelf."""

from __future__ import annotations

from collections.abc import Mapping

from edge.config import CompartmentConfig


def split(compartment: CompartmentConfig, units: Mapping[str, int]) -> dict[str, dict[str, int]] | None:
    """Pieces of each product as pieces by shelf. A product that stands on several shelves fills them in their order, up
    to what each can hold, and the last one has the rest. None: these are not the products of the compartment."""
    places = [(shelf.id, stock) for shelf in compartment.shelf for stock in shelf.stock]
    last = {stock.sku: shelf for shelf, stock in places}
    if units.keys() != last.keys():
        return None
    left = dict(units)
    shelves: dict[str, dict[str, int]] = {shelf.id: {} for shelf in compartment.shelf}
    for shelf, stock in places:
        n = left[stock.sku] if last[stock.sku] == shelf else min(left[stock.sku], stock.capacity)
        shelves[shelf][stock.sku] = n
        left[stock.sku] -= n
    return shelves
