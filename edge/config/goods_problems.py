"""What is wrong with cabinets, shelves and goods, although each value alone is right."""

from __future__ import annotations

from collections.abc import Iterator

from device_drivers.lock_boards import LOCK_BOARDS
from edge.config.device import LockBoardConfig, ScaleConfig
from edge.config.goods import MAX_GOODS
from edge.config.store import StoreConfig


def goods_problems(config: StoreConfig) -> Iterator[tuple[str, str]]:
    """(key, what is wrong and how to mend it) of compartments, their locks and scales, and what lies on them."""
    devices = {d.id: d for d in config.device}
    products = {p.sku: p for p in config.product}
    channels: dict[tuple[str, int], str] = {}
    shelves: dict[str, str] = {}
    scales: dict[str, str] = {}
    compartments: dict[str, str] = {}
    for cabinet, compartment in config.compartments():
        where = f"cabinet.{cabinet.id}.compartment.{compartment.id}"
        if compartment.id in compartments:
            yield f"{where}.id", f"cabinet {compartments[compartment.id]!r} has a compartment of that id already"
        compartments[compartment.id] = cabinet.id
        goods = {stock.sku for shelf in compartment.shelf for stock in shelf.stock}
        if len(goods) > MAX_GOODS:
            yield f"{where}.shelf", f"{len(goods)} different products; staff count at most {MAX_GOODS} behind one door"
        lock = devices.get(compartment.lock)
        if not isinstance(lock, LockBoardConfig):
            yield f"{where}.lock", f"no lock_board is called {compartment.lock!r}"
        elif compartment.channel > (most := LOCK_BOARDS[lock.family].channels_of(lock.dialect)):
            yield f"{where}.channel", f"{compartment.lock!r} has {most} channels; name one of them"
        channel = (compartment.lock, compartment.channel)
        if channel in channels:
            yield (
                f"{where}.channel",
                f"{channels[channel]!r} uses channel {compartment.channel} of {compartment.lock!r} already",
            )
        channels[channel] = compartment.id
        for shelf in compartment.shelf:
            if shelf.id in shelves:
                yield f"{where}.shelf.{shelf.id}.id", f"compartment {shelves[shelf.id]!r} has that shelf already"
            shelves[shelf.id] = compartment.id
            if not isinstance(devices.get(shelf.scale), ScaleConfig):
                yield f"{where}.shelf.{shelf.id}.scale", f"no scale is called {shelf.scale!r}"
            if shelf.scale in scales:
                yield (
                    f"{where}.shelf.{shelf.id}.scale",
                    f"{scales[shelf.scale]!r} stands on {shelf.scale!r} already; a shelf needs its own scale",
                )
            scales[shelf.scale] = shelf.id
            on_shelf = [stock.sku for stock in shelf.stock]
            for sku in sorted({sku for sku in on_shelf if on_shelf.count(sku) > 1}):
                yield f"{where}.shelf.{shelf.id}.stock.{sku}", "stands there twice; add up its units in one entry"
            for stock in shelf.stock:
                product = products.get(stock.sku)
                if product is None:
                    yield f"{where}.shelf.{shelf.id}.stock.{stock.sku}", "no such product; add it as [[product]]"
                elif product.category == "tobacco" and cabinet.mode == "self_service":
                    yield (
                        f"cabinet.{cabinet.id}.mode",
                        f"tobacco ({stock.sku}) in a self_service cabinet (T11); set mode to staff_release or move it",
                    )
                elif product.category != "tobacco" and cabinet.mode == "staff_release":
                    yield (
                        f"{where}.shelf.{shelf.id}.stock.{stock.sku}",
                        f"a {product.category} stands in a tobacco cabinet; move it to a self_service cabinet",
                    )
