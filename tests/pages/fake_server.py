"""The pages with made-up read models, to be looked at: `python -m tests.pages.fake_server --port 8300 --stores 2000`.

`POST /test/sell` sells one cola in the first store, `/test/break` and `/test/mend` stop and start the read models.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import uvicorn
from fastapi import FastAPI

from cloud_bridge.pages import mount
from cloud_bridge.views import EventView, StoreView
from tests.pages.fake_views import FakeViews, fleet_row, make_fleet, make_store


def sell_one(view: StoreView, *, now_ms: int) -> StoreView:
    """The store after one more can of cola."""
    cabinet = view.cabinets[0]
    door = cabinet.compartments[0]
    shelf = door.shelves[0]
    slots = (replace(shelf.slots[0], units=shelf.slots[0].units - 1), *shelf.slots[1:])
    door = replace(door, shelves=(replace(shelf, slots=slots), *door.shelves[1:]))
    cabinet = replace(cabinet, compartments=(door, *cabinet.compartments[1:]))
    row = replace(view.fleet, sales_today=view.fleet.sales_today + 1, units=view.fleet.units - 1, last_seen_ms=now_ms)
    event = EventView(view.events[0].row + 1, now_ms, "x", "刚卖出一罐可乐", "One cola just sold", "ok")
    return replace(view, fleet=row, cabinets=(cabinet, *view.cabinets[1:]), events=(event, *view.events[:49]))


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--stores", type=int, default=2000)
    options = arguments.parse_args()
    now_ms = int(time.time() * 1000)
    views = FakeViews(make_fleet(options.stores, now_ms=now_ms), now_ms=now_ms)
    if options.stores:
        first = fleet_row(store="cuihu", last_seen_ms=now_ms, devices_online=4, open_reviews=1, units=115)
        views.rows = (first, *views.rows[1:])
        views.stores = {("yn", "cuihu"): make_store(first, now_ms=now_ms)}
    app = FastAPI()

    @app.post("/test/{what}")
    def change(what: str) -> dict[str, bool]:
        if what == "sell":
            key = ("yn", "cuihu")
            views.stores[key] = sell_one(views.stores[key], now_ms=int(time.time() * 1000))
            views.rows = (views.stores[key].fleet, *views.rows[1:])
        views.broken = what == "break"
        return {"ok": True}

    mount(app, views)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
