"""From `store.toml` to what the machine knows of a cabinet."""

from __future__ import annotations

from edge.config import CabinetConfig, CompartmentConfig, LockBoardConfig, ScaleConfig, StoreConfig
from edge.sessions.core.inputs import CabinetSpec, CompartmentSpec, ShelfSpec
from edge.sessions.core.settlement import Sku


def cabinet_spec(cabinet: CabinetConfig, store: StoreConfig) -> CabinetSpec:
    """The cabinet as built, from a checked configuration."""
    return CabinetSpec(
        cabinet=cabinet.id,
        mode=cabinet.mode,
        compartments={c.id: _compartment(c, store) for c in cabinet.compartment},
    )


def _compartment(place: CompartmentConfig, store: StoreConfig) -> CompartmentSpec:
    address = next((d.address for d in store.device if isinstance(d, LockBoardConfig) and d.id == place.lock), 0)
    sigma = {d.id: d.sigma_g for d in store.device if isinstance(d, ScaleConfig)}
    products = {p.sku: p for p in store.product}
    shelves: list[ShelfSpec] = []
    for shelf in place.shelf:
        goods = [products[s.sku] for s in shelf.stock]
        skus = tuple(Sku(p.sku, p.unit_weight_g, p.sigma_g, p.price_fen) for p in goods)
        stock = {s.sku: s.units for s in shelf.stock}
        shelves.append(ShelfSpec(shelf.id, sigma[shelf.scale], skus, stock))
    tobacco = any(products[s.sku].category == "tobacco" for shelf in place.shelf for s in shelf.stock)
    return CompartmentSpec(place.id, place.lock, address, place.channel, tuple(shelves), tobacco)
