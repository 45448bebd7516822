"""What is sold, and where it stands: products, shelves, compartments, cabinets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edge.config.section import Id, Section

MAX_GOODS = 60  # different products behind one door: as many as one count by staff takes


class ProductConfig(Section):
    sku: Id
    name_zh: str = Field(max_length=32)
    name_en: str = Field(max_length=48)
    price_fen: int = Field(gt=0)
    unit_weight_g: float = Field(gt=0)
    sigma_g: float = Field(default=0.3, ge=0, description="standard deviation between two pieces, grams")
    category: Literal["snack", "drink", "tobacco"]


class StockConfig(Section):
    sku: Id
    units: int = Field(ge=0, le=500)
    capacity: int = Field(ge=1, le=500)


class ShelfConfig(Section):
    id: Id
    scale: Id
    stock: tuple[StockConfig, ...] = Field(min_length=1, max_length=60)


class CompartmentConfig(Section):
    id: Id
    lock: Id
    channel: int = Field(ge=1, le=48)
    shelf: tuple[ShelfConfig, ...] = Field(min_length=1)


class CabinetConfig(Section):
    id: Id
    name_zh: str = Field(max_length=32)
    name_en: str = Field(max_length=48)
    mode: Literal["self_service", "staff_release", "counter_only"]
    compartment: tuple[CompartmentConfig, ...] = Field(min_length=1)
