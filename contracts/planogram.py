"""How a store describes itself to the cloud: cabinets, compartments, shelves, products. Sent in `config.changed`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Short = Annotated[str, Meta(max_length=64)]


class Product(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stock-keeping unit. Weights in grams, price in fen."""

    sku: Short
    name_zh: Short
    name_en: Short
    price_fen: int
    unit_weight_g: float
    category: Literal["snack", "drink", "tobacco"]


class ShelfPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One shelf on one scale, the products on it and how many of each it holds when full."""

    shelf: Short
    capacity: dict[Short, int]


class CompartmentPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One door with its lock, and the shelves behind it from top to bottom."""

    compartment: Short
    shelves: tuple[ShelfPlace, ...]


class CabinetPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cabinet: Short
    name_zh: Short
    name_en: Short
    mode: Literal["self_service", "staff_release", "counter_only"]
    compartments: tuple[CompartmentPlace, ...]


class DevicePlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    device: Short
    kind: Short  # any: a bridge shows a kind that is newer than itself by its name
    model: Short


class StoreDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole store, as the operators' pages draw it."""

    name_zh: Short
    name_en: Short
    region: Short
    cabinets: tuple[CabinetPlace, ...]
    products: tuple[Product, ...]
    devices: tuple[DevicePlace, ...]
    lines: tuple[Short, ...] = ()
