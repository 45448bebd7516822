"""A whole store, as `store.toml` describes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from contracts.planogram import (
    CabinetPlace,
    CompartmentPlace,
    DevicePlace,
    Product,
    ShelfPlace,
    StoreDocument,
)
from edge.config.bus import BusConfig
from edge.config.devices import DeviceConfig, model_of
from edge.config.goods import CabinetConfig, CompartmentConfig, ProductConfig
from edge.config.section import Id, Section
from edge.config.storage import CloudConfig, LedgerConfig


class StaffConfig(Section):
    id: Id
    name: str = Field(max_length=32)
    pin_hash: str = Field(repr=False, description="from `zhanggui edge hash-pin`")
    manager: bool = False
    adult_verified: bool = Field(default=False, description="a document that proves 18 years was seen")


class StoreConfig(Section):
    """A whole store."""

    tenant: Id
    store: Id
    name_zh: str = Field(max_length=32)
    name_en: str = Field(max_length=48)
    region: str = Field(default="", max_length=48)
    data_dir: Path
    policy: Path | None = None
    member_key_file: Path
    cloud: CloudConfig
    ledger: LedgerConfig = LedgerConfig()
    bus: tuple[BusConfig, ...] = ()
    device: tuple[DeviceConfig, ...] = ()
    product: tuple[ProductConfig, ...] = ()
    cabinet: tuple[CabinetConfig, ...] = ()
    staff: tuple[StaffConfig, ...] = ()

    def compartments(self) -> Iterator[tuple[CabinetConfig, CompartmentConfig]]:
        """Every compartment with its cabinet."""
        for cabinet in self.cabinet:
            for compartment in cabinet.compartment:
                yield cabinet, compartment

    def product_of(self, sku: str) -> ProductConfig:
        """The product of a checked configuration. Raises KeyError."""
        return next(p for p in self.product if p.sku == sku)

    def document(self) -> StoreDocument:
        """The store as the operators' pages draw it."""
        return StoreDocument(
            name_zh=self.name_zh,
            name_en=self.name_en,
            region=self.region,
            cabinets=tuple(
                CabinetPlace(
                    cabinet=c.id,
                    name_zh=c.name_zh,
                    name_en=c.name_en,
                    mode=c.mode,
                    compartments=tuple(
                        CompartmentPlace(
                            compartment=k.id,
                            shelves=tuple(
                                ShelfPlace(shelf=s.id, capacity={x.sku: x.capacity for x in s.stock}) for s in k.shelf
                            ),
                        )
                        for k in c.compartment
                    ),
                )
                for c in self.cabinet
            ),
            products=tuple(
                Product(
                    sku=p.sku,
                    name_zh=p.name_zh,
                    name_en=p.name_en,
                    price_fen=p.price_fen,
                    unit_weight_g=p.unit_weight_g,
                    category=p.category,
                )
                for p in self.product
            ),
            devices=tuple(DevicePlace(device=d.id, kind=d.kind, model=model_of(d)) for d in self.device),
            lines=tuple(d.id for d in self.device if d.kind == "camera"),
        )
