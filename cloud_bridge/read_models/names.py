"""Names of things in both languages, from the store's own description; ids where it says nothing."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.event_types import Line
from contracts.planogram import Product, StoreDocument

Both = tuple[str, str]  # Chinese, English


class Names:
    """Looks names up in one store document; None when the store has not described itself yet."""

    def __init__(self, document: StoreDocument | None) -> None:
        self.products: dict[str, Product] = {}
        self.compartment_of_shelf: dict[str, str] = {}
        self._cabinets: dict[str, Both] = {}
        self._compartments: dict[str, Both] = {}
        if document is None:
            return
        self.products = {product.sku: product for product in document.products}
        for cabinet in document.cabinets:
            self._cabinets[cabinet.cabinet] = (cabinet.name_zh, cabinet.name_en)
            for place in cabinet.compartments:
                self._compartments[place.compartment] = (
                    f"{cabinet.name_zh} {place.compartment}",
                    f"{cabinet.name_en} {place.compartment}",
                )
                for shelf in place.shelves:
                    self.compartment_of_shelf[shelf.shelf] = place.compartment

    def product(self, sku: str) -> Both:
        known = self.products.get(sku)
        return (known.name_zh, known.name_en) if known else (sku, sku)

    def cabinet(self, cabinet: str) -> Both:
        return self._cabinets.get(cabinet, (cabinet, cabinet))

    def compartment(self, compartment: str) -> Both:
        return self._compartments.get(compartment, (compartment, compartment))

    def shelf(self, shelf: str) -> Both:
        """The compartment of a shelf, and the shelf."""
        zh, en = self.compartment(self.compartment_of_shelf.get(shelf, ""))
        return f"{zh} {shelf}".strip(), f"{en} {shelf}".strip()

    def basket(self, lines: Iterable[Line]) -> Both:
        """`cola ×2, crisps ×1`."""
        named = [(self.product(line.sku), line.qty) for line in lines]
        return "、".join(f"{zh} ×{qty}" for (zh, _), qty in named), ", ".join(f"{en} ×{qty}" for (_, en), qty in named)


def yuan(fen: int) -> str:
    """An amount as people read it."""
    return f"¥{fen / 100:.2f}"


def masked(member_ref: str) -> str:
    """A member's reference of which only the end can be read."""
    return f"…{member_ref[-2:]}"
