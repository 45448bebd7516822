"""What to offer a member: what this store sells most, in stock, never tobacco (rule T12). Nothing beats a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from contracts.planogram import Product

MAX_OFFERS = 3
MOST_BOUGHT_HERE = "most_bought_here"
NO_SALES_YET = "no_sales_yet"


@dataclass(frozen=True, slots=True)
class Offers:
    """SKU ids, best first, and why."""

    skus: tuple[str, ...] = ()
    reason_codes: tuple[str, ...] = (NO_SALES_YET,)


class StoreFacts(Protocol):
    """What the read models know, as requests need it."""

    def offers(self, tenant: str, store: str) -> Offers:
        """What to offer in this store now."""

    def points_earned(self, tenant: str, member_ref: str) -> int:
        """Points earned since the import."""


def recommend(bought: Mapping[str, int], products: Mapping[str, Product], stock: Mapping[str, int]) -> Offers:
    """At most three SKUs by units bought; a product that is unknown, tobacco or sold out is never among them."""
    fit = [
        (-units, sku)
        for sku, units in bought.items()
        if units > 0 and stock.get(sku, 0) > 0 and sku in products and products[sku].category != "tobacco"
    ]
    skus = tuple(sku for _, sku in sorted(fit)[:MAX_OFFERS])
    return Offers(skus, (MOST_BOUGHT_HERE,)) if skus else Offers()
