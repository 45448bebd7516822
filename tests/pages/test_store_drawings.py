"""Drawings of one store at their edges: nothing known, too much known, strange words from a store."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from cloud_bridge.pages import store_drawings as draw
from cloud_bridge.pages.naming import local_name, reasons, store_href, store_name
from cloud_bridge.pages.shared_drawings import counters
from cloud_bridge.views import AlarmView, CabinetView, CompartmentView, DeviceView, EventView, ShelfView, VisitorBar
from tests.pages.conftest import NOW_MS
from tests.pages.fake_views import fleet_row, make_store, slot


@pytest.mark.parametrize(
    ("online", "age_s", "stale"),
    [(True, 60, False), (True, 61, True), (False, 1, True)],  # one minute; an offline store at once
)
def test_stale(online: bool, age_s: int, stale: bool) -> None:
    row = fleet_row(online=online, last_seen_ms=NOW_MS - age_s * 1000)
    assert bool(draw.stale_banner(row, now_ms=NOW_MS, lang="en")) == stale


def test_a_store_that_never_spoke_is_said_so() -> None:
    row = fleet_row(online=False, last_seen_ms=0)
    assert "has never sent a message" in draw.stale_banner(row, now_ms=NOW_MS, lang="en")
    assert reasons(row, now_ms=NOW_MS, lang="en") == ["never heard of"]
    assert ">never<" in draw.health(row, now_ms=NOW_MS, lang="en")


def test_alarms_are_listed_in_the_readers_language_and_nothing_is_drawn_without_one() -> None:
    alarm = AlarmView("cloud loss ledger 3–4", NOW_MS - 60_000, "云端丢失", "The cloud lost events: ledger 3–4")
    drawn = draw.alarms((alarm,), now_ms=NOW_MS, lang="en")
    assert "The cloud lost events: ledger 3–4" in drawn
    assert "云端丢失" in draw.alarms((alarm,), now_ms=NOW_MS, lang="zh")
    assert draw.alarms((), now_ms=NOW_MS, lang="en") == ""


def test_reasons_name_all_that_is_wrong() -> None:
    row = fleet_row(online=True, alarms=2, devices_online=4, open_reviews=1, units=8)
    said = ["alarms: 2", "devices down: 2", "reviews open: 1", "stock down to 5%"]
    assert reasons(row, now_ms=NOW_MS, lang="en") == said


@pytest.mark.parametrize(
    ("zh", "en", "lang", "name"),
    [("店", "Shop", "zh", "店"), ("店", "Shop", "en", "Shop"), ("店", "", "en", "店"), ("", "", "zh", "s1")],
)
def test_a_store_always_has_a_name(zh: str, en: str, lang: str, name: str) -> None:
    assert local_name(zh, en, "s1", lang) == store_name(fleet_row(name_zh=zh, name_en=en), lang) == name


def test_addresses_are_quoted() -> None:
    assert store_href(fleet_row(tenant="a/b", store="c d")) == "/store/a%2Fb/c%20d"


def test_a_store_without_capacity_shows_no_percent() -> None:
    assert "%" not in draw.health(fleet_row(capacity=0, last_seen_ms=NOW_MS), now_ms=NOW_MS, lang="en")


def test_visitors_of_more_than_a_day_carry_the_date() -> None:
    bars = [VisitorBar(NOW_MS - n * 7_200_000, n, n) for n in range(13)]
    assert "05-19 16:40" in draw.visitors(bars, now_ms=NOW_MS, lang="en")


def test_visitors_are_the_last_ones_in_order() -> None:
    bars = [VisitorBar(NOW_MS - n * 60_000, 1, 0) for n in range(100)]
    drawn = draw.visitors(bars, now_ms=NOW_MS, lang="en")
    assert f"From 15:53 to 16:40, {draw.MAX_BARS} came in and 0 went out" in drawn


def test_no_visitors_no_devices_no_marks() -> None:
    assert "No data yet" in draw.visitors((), now_ms=NOW_MS, lang="en")
    assert "No device has reported yet" in draw.devices((), now_ms=NOW_MS, lang="en")
    assert "–" in draw.watermarks({}, "en")
    assert "not described its cabinets" in draw.no_cabinet("en")


def test_words_from_a_store_stay_text() -> None:
    evil = "<img src=x onerror=alert(1)>"
    shelf = ShelfView(evil, (replace(slot("cola", 1, 2), name_en=evil, name_zh=evil),))
    empty = ShelfView(evil, ())
    door = CompartmentView(evil, "closed", blocked=False, session=evil, shelves=(shelf, empty))
    drawn = draw.cabinet(CabinetView("c", evil, evil, evil, (door,)), "en")
    drawn += draw.devices((DeviceView(evil, evil, evil, "unknown", 0, evil),), now_ms=NOW_MS, lang="en")
    told = DeviceView(evil, evil, evil, "online", 0, evil, ((evil, 1.0), ("state", evil)))
    drawn += draw.devices((told,), now_ms=NOW_MS, lang="en")
    drawn += draw.event(EventView(1, NOW_MS, "x", evil, evil, "info"), now_ms=NOW_MS, lang="zh")
    drawn += draw.unknown(evil, evil, "zh") + draw.watermarks({evil: 1}, "zh") + counters({evil: 1}, "zh", id_="c")
    assert "<img" not in drawn
    assert "&lt;img" in drawn


@pytest.mark.parametrize(
    ("values", "lang", "said"),
    [
        ((("temperature_c", 4.25),), "en", "temperature 4.25 °C"),
        ((("temperature_c", 4.25), ("humidity_rh", 60.0)), "zh", "温度 4.25 °C · 湿度 60 %"),
        ((("door_open", 1.0), ("compressor_on", 0.0)), "en", "door open<"),  # a flag that is off is no news
        ((("state", "idle"), ("eels", 3.0)), "en", "state idle · eels 3<"),  # a name that is newer than this page
    ],
)
def test_what_a_device_shows_stands_beside_it(
    values: tuple[tuple[str, float | str], ...], lang: Literal["zh", "en"], said: str
) -> None:
    view = DeviceView("d", "hovercraft", "m", "online", 0, "", values)
    drawn = draw.devices((view,), now_ms=NOW_MS, lang=lang)
    assert said in drawn
    assert "hovercraft" in drawn  # and so is a kind
    gone = draw.devices((replace(view, state="offline"),), now_ms=NOW_MS, lang=lang)
    assert said not in gone  # it is not so warm any more


def test_a_shelf_without_goods_is_said_so() -> None:
    door = CompartmentView("A", "unknown", blocked=False, session="", shelves=(ShelfView("A1", ()),))
    drawn = draw.cabinet(CabinetView("c", "", "", "vending", (door,)), "en")
    assert "Shelf A1 · No goods" in drawn
    assert "Door unknown" in drawn
    assert "vending" in drawn  # a mode we do not know is shown as it is


def test_dead_letters_stand_out() -> None:
    view = replace(make_store(fleet_row(), now_ms=NOW_MS), dead_letters=4)
    assert "set aside: 4" in draw.store_counters(view, "en")


def test_many_counters_fold() -> None:
    drawn = counters({f"c{n:02d}": n for n in range(20)}, "en", id_="x")
    assert drawn.index("c19") < drawn.index("<details") < drawn.index("c05")
    assert "All counters (19)" in drawn
    assert "c00" not in drawn
    assert "Nothing dropped" in counters({"a": 0}, "en", id_="x")
