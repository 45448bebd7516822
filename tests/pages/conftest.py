"""The operators' pages on an application of their own, asked without a browser."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI, Request
from nicegui import ui
from nicegui.client import Client
from nicegui.testing.general import nicegui_reset_globals

from cloud_bridge.pages import mount
from cloud_bridge.pages.fleet import FleetPageView, fleet_page
from cloud_bridge.pages.reading import Source
from cloud_bridge.pages.store import StorePageView, store_page
from contracts.clock import ManualClock, unix_ms
from tests.pages.fake_views import FakeViews, fleet_row, make_fleet, make_store

START = datetime(2026, 5, 20, 8, 40, tzinfo=UTC)  # 16:40 in the stores
NOW_MS = unix_ms(START)


@dataclass
class Desk:
    """An operator's place: the pages, what they read, and the clock."""

    client: httpx.AsyncClient
    views: FakeViews
    clock: ManualClock
    source: Source
    opened: list[FleetPageView | StorePageView]

    async def get(self, path: str) -> tuple[int, str]:
        """Status, and what the page library will draw as text."""
        response = await self.client.get(path)
        raw = re.search(r"parseElements\(String\.raw`(.*?)`\)", response.text, re.DOTALL)[1]
        drawn = json.dumps(json.loads(html.unescape(raw)), ensure_ascii=False).replace('\\"', '"')
        return response.status_code, drawn

    async def open_fleet(self, query: str = "") -> FleetPageView:
        """A fleet page whose refresh the test calls by hand."""
        await self.client.get(f"/hand/fleet{query}")
        view = self.opened[-1]
        assert isinstance(view, FleetPageView)
        return view

    async def open_store(self, store: str = "cuihu") -> StorePageView:
        await self.client.get(f"/hand/store/yn/{store}?lang=en")
        view = self.opened[-1]
        assert isinstance(view, StorePageView)
        return view

    def step(self, duration_s: float) -> None:
        """Let store time and the time between two readings pass."""
        self.clock.step(duration_s)


@pytest.fixture
def views() -> FakeViews:
    """120 stores; the first one in full."""
    first = fleet_row(store="cuihu", last_seen_ms=NOW_MS)
    made = FakeViews((first, *make_fleet(120, now_ms=NOW_MS)[1:]), now_ms=NOW_MS)
    made.stores = {("yn", "cuihu"): make_store(first, now_ms=NOW_MS)}
    return made


@pytest.fixture
async def desk(views: FakeViews) -> AsyncIterator[Desk]:
    clock = ManualClock(START)
    source = Source(views=lambda: views, clock=clock, real_ms=lambda: clock.now_s() * 1000)
    opened: list[FleetPageView | StorePageView] = []

    def by_hand_fleet(request: Request) -> None:
        opened.append(fleet_page(request, source))

    def by_hand_store(request: Request, tenant: str, store: str) -> None:
        opened.append(store_page(request, source, tenant=tenant, store=store))

    with nicegui_reset_globals():
        app = FastAPI()
        ui.page("/hand/fleet")(by_hand_fleet)
        ui.page("/hand/store/{tenant}/{store}")(by_hand_store)
        mount(app, views, clock=clock)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):
            yield Desk(client, views, clock, source, opened)
        Client.page_routes.clear()  # or the reset would forget the rooms these functions come from
