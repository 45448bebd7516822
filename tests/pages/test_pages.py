"""The pages as the server sends them, and what a refresh sends: only what changed."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from cloud_bridge.pages import mount
from tests.pages.conftest import NOW_MS, Desk
from tests.pages.fake_server import sell_one
from tests.pages.fake_views import FakeViews, fleet_row


async def test_the_fleet_shows_counts_worst_and_one_page(desk: Desk) -> None:
    status, drawn = await desk.get("/?lang=en")
    assert status == 200
    assert drawn.count('scope="row"') == 50 + 1  # one page of stores, one counter of the bridge
    for words in ("All stores", "Stores that need you most", "Green Lake", "1–50 of 120 stores", "ingest.duplicate"):
        assert words in drawn
    assert "ingest.bad_hash" not in drawn  # stands at zero


@pytest.mark.parametrize(
    ("query", "there", "not_there"),
    [
        ("q=cuihu", "Green Lake", "s00002"),
        ("page=3", "101–120 of 120 stores", "cuihu"),
        ("state=offline&lang=zh", "离线", 'id="op-row-yn/cuihu"'),
        ("q=nothing-like-it", "No store matches", 'id="op-row-yn/cuihu"'),
        ("q=%3Cscript%3E", "&lt;script&gt;", "<script>"),  # what was asked stays text
        ("sort=revenue", 'aria-sort="descending"', "No store matches"),
        ("sort=stock", 'aria-sort="ascending"', "No store matches"),
    ],
)
async def test_the_address_decides_what_is_shown(desk: Desk, query: str, there: str, not_there: str) -> None:
    status, drawn = await desk.get("/?" + query + ("" if "lang" in query else "&lang=en"))
    assert status == 200
    assert there in drawn
    assert not_there not in drawn


async def test_a_store_without_a_capacity_has_no_gauge(desk: Desk) -> None:
    desk.views.rows = (fleet_row(capacity=0, region="", last_seen_ms=NOW_MS),)
    _, drawn = await desk.get("/?lang=en")
    assert "op-gauge" not in drawn


async def test_the_fleet_stands_without_the_counters(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.views, "counters", lambda: 1 / 0)
    status, drawn = await desk.get("/?lang=en")
    assert status == 200
    assert "Green Lake" in drawn
    assert "Nothing dropped" not in drawn  # nobody knows


async def test_no_store_yet_says_how_to_connect_one(desk: Desk) -> None:
    desk.views.rows = ()
    status, drawn = await desk.get("/?lang=zh")
    assert status == 200
    assert "还没有门店" in drawn
    assert "zhanggui edge run store.toml" in drawn


async def test_a_store_is_shown_whole(desk: Desk) -> None:
    status, drawn = await desk.get("/store/yn/cuihu?lang=en")
    assert status == 200
    for words in (
        "Green Lake",
        "Snack cabinet",
        "Cola 330 ml: enough, 9 of 12 units · ¥3.50",
        "Orange Juice: empty, 0 of 8 units",
        "Iced Tea: low, 3 of 12 units",
        "Door open",
        "Session 2c7-73",
        "Blocked",
        "Identity card reader",
        "cola ×1 sold to member …73",
        "18,422 events",
        "bus.crc",
    ):
        assert words in drawn
    assert "零食饮料柜" not in drawn


async def test_a_store_is_shown_in_chinese(desk: Desk) -> None:
    _, drawn = await desk.get("/store/yn/cuihu?lang=zh")
    for words in ("翠湖店", "零食饮料柜", "可乐 330ml：充足，9 件，满 12 件", "门开着", "已停用", "最近发生的事"):
        assert words in drawn
    assert "Snack cabinet" not in drawn


async def test_an_unknown_store_is_a_404_in_words(desk: Desk) -> None:
    status, drawn = await desk.get("/store/yn/%3Cb%3Enowhere?lang=en")
    assert status == 404
    assert "The bridge has never heard of yn/&lt;b&gt;nowhere" in drawn
    assert "<b>" not in drawn


@pytest.mark.parametrize("path", ["/", "/store/yn/cuihu"])
async def test_a_bridge_that_cannot_read_says_so(desk: Desk, path: str) -> None:
    desk.views.broken = True
    status, drawn = await desk.get(f"{path}?lang=en")
    assert status == 503
    assert "The bridge cannot read its own records" in drawn
    assert "There is nothing to show now" in drawn


async def test_nothing_is_sent_when_nothing_changed(desk: Desk) -> None:
    fleet, store = await desk.open_fleet(), await desk.open_store()
    assert fleet.refresh() == 0
    assert store.refresh() == 0


async def test_time_alone_changes_only_times(desk: Desk) -> None:
    desk.views.rows = tuple(replace(row, online=True, last_seen_ms=NOW_MS) for row in desk.views.rows)
    fleet = await desk.open_fleet()
    desk.step(2)
    assert fleet.refresh() == 0  # still "just now"
    desk.step(4)
    assert fleet.refresh() == 50  # one row a store of this page, nothing else


async def test_one_sale_sends_its_row_and_its_sums(desk: Desk) -> None:
    desk.views.rows = tuple(replace(row, online=True, last_seen_ms=NOW_MS) for row in desk.views.rows)
    fleet = await desk.open_fleet("?lang=en")
    row = desk.views.rows[0]
    desk.views.rows = (replace(row, sales_today=row.sales_today + 1), *desk.views.rows[1:])
    desk.step(1)
    assert fleet.refresh() == 2  # the row, and today's sums


async def test_one_sale_sends_the_cabinet_and_the_event(desk: Desk) -> None:
    store = await desk.open_store()
    before = desk.views.stores["yn", "cuihu"]
    after = sell_one(before, now_ms=NOW_MS)
    desk.views.stores["yn", "cuihu"] = replace(after, events=before.events)
    assert store.refresh() == 2  # health line and the one cabinet
    desk.views.stores["yn", "cuihu"] = after
    assert store.refresh() == 25  # the new sentence moves the others down by one


async def test_a_soft_link_changes_only_the_table(desk: Desk) -> None:
    fleet = await desk.open_fleet("?lang=en")
    fleet.ask({"q": "cuihu"})
    assert fleet.refresh() == 0
    pager = fleet._pager.element.content
    assert "1–1 of 1 stores" in pager
    assert "Clear filters" in pager
    fleet.ask({})
    assert "1–50 of 120" in fleet._pager.element.content


async def test_a_failure_shows_above_the_old_values_and_goes_away(desk: Desk) -> None:
    fleet, store = await desk.open_fleet("?lang=en"), await desk.open_store()
    desk.views.broken = True
    desk.step(1)
    assert fleet.refresh() >= 1
    assert store.refresh() >= 1
    for view in (fleet, store):
        assert "Below is what was known at 16:40:00" in view._banner.element.content
        assert view._body.visible
    desk.views.broken = False
    desk.step(1)
    fleet.refresh()
    store.refresh()
    assert fleet._banner.element.content == store._banner.element.content == ""


async def test_a_first_store_replaces_the_empty_page(desk: Desk) -> None:
    desk.views.rows = ()
    fleet = await desk.open_fleet("?lang=en")
    assert not fleet._body.visible
    desk.views.rows = (fleet_row(last_seen_ms=NOW_MS),)
    desk.step(1)
    assert fleet.refresh() > 1
    assert fleet._body.visible
    assert fleet._empty.element.content == ""


async def test_a_store_that_appears_fills_its_page(desk: Desk) -> None:
    store = await desk.open_store("new")
    assert store.status_code == 404
    desk.views.rows = (*desk.views.rows, fleet_row(store="new", name_en="Brand New", last_seen_ms=NOW_MS))
    store.refresh()
    assert store.status_code == 200
    assert store._frame.heading.element.content == "Brand New"
    assert store._frame.heading.element.client.title == "Brand New · Zhanggui"
    assert store._unknown.element.content == ""


async def test_a_silent_store_is_stale(desk: Desk) -> None:
    store = await desk.open_store()
    desk.step(60)
    store.refresh()
    assert store._stale.element.content == ""
    desk.step(1)
    store.refresh()
    assert "2026-05-20 16:40:00 UTC+08:00" in store._stale.element.content


async def test_mount_takes_views_or_a_function(views: FakeViews, desk: Desk) -> None:
    for given in (views, lambda: views):
        app = FastAPI()
        mount(app, given)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            assert (await client.get("/")).status_code == 200
