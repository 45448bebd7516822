"""The address of the fleet page, and the rows that answer it."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_bridge.pages.fleet_query import (
    PAGE_ROWS,
    SORTS,
    STATES,
    WORST_ROWS,
    FleetIndex,
    FleetQuery,
    Totals,
    state_of,
)
from tests.pages.fake_views import fleet_row, make_fleet

NOW_MS = 1_780_000_000_000
FLEET = make_fleet(1234, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ({}, FleetQuery()),
        ({"q": "  cuihu ", "state": "alarm", "sort": "stock", "page": "3"}, FleetQuery("cuihu", "alarm", "stock", 3)),
        ({"state": "burning", "sort": "price"}, FleetQuery()),  # words nobody knows
        ({"page": "0"}, FleetQuery()),
        ({"page": "-1"}, FleetQuery()),
        ({"page": "²"}, FleetQuery()),  # a digit to Python, not a number
        ({"page": "9999999"}, FleetQuery()),  # no fleet is that long
        ({"q": "x" * 500}, FleetQuery("x" * 64)),  # capped
    ],
)
def test_parse(query: dict[str, str], meant: FleetQuery) -> None:
    assert FleetQuery.parse(query) == meant


queries = st.builds(
    FleetQuery,
    search=st.text(max_size=64).map(str.strip),
    state=st.sampled_from((None, *STATES)),
    sort=st.sampled_from(SORTS),
    page=st.integers(1, 999_999),
)


@given(queries)
@settings(max_examples=200, deadline=None)
def test_an_address_brings_back_its_query(query: FleetQuery) -> None:
    href = query.href(page=query.page)
    assert FleetQuery.parse(dict(parse_qsl(href[1:]))) == query


def test_another_filter_starts_at_the_first_page() -> None:
    assert FleetQuery("a", "ok", "seen", 7).href(state="offline") == "?q=a&state=offline&sort=seen"
    assert FleetQuery("a", page=7).href(page=8) == "?q=a&page=8"
    assert FleetQuery().href() == "?"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "ok"),
        ({"online": False, "alarms": 2}, "offline"),  # the worst wins
        ({"alarms": 1, "open_reviews": 1}, "alarm"),
        ({"open_reviews": 1}, "attention"),
        ({"devices_online": 5}, "attention"),
        ({"units": 24, "capacity": 160}, "attention"),  # 15 %
        ({"units": 25, "capacity": 160}, "ok"),
        ({"units": 0, "capacity": 0}, "ok"),  # it has not said what it holds
    ],
)
def test_state_of(changes: dict[str, object], state: str) -> None:
    assert state_of(fleet_row(**changes)) == state


def test_counts_add_up() -> None:
    index = FleetIndex(FLEET)
    assert sum(index.counts.values()) == len(index) == 1234
    assert all(index.counts.values())  # the made-up fleet has them all
    assert index.totals == Totals(
        sum(row.sales_today for row in FLEET),
        sum(row.revenue_today_fen for row in FLEET),
        sum(row.visitors_today for row in FLEET),
    )


def test_the_worst_come_first_and_healthy_stores_never() -> None:
    rows = [
        fleet_row(store="ok"),
        fleet_row(store="review", open_reviews=1),
        fleet_row(store="alarm", alarms=1),
        fleet_row(store="alarms", alarms=3),
        fleet_row(store="silent-1h", online=False, last_seen_ms=NOW_MS - 3_600_000),
        fleet_row(store="silent-2h", online=False, last_seen_ms=NOW_MS - 7_200_000),
        fleet_row(store="device", devices_online=5),
        fleet_row(store="devices", devices_online=2),
    ]
    worst = [row.store for row, _ in FleetIndex(tuple(rows)).worst]
    assert worst == ["silent-2h", "silent-1h", "alarms", "alarm", "devices"]
    assert len(worst) == WORST_ROWS


@given(queries)
@settings(max_examples=150, deadline=None)
def test_a_page_is_small_and_true(query: FleetQuery) -> None:
    page = INDEX.page(query)
    assert len(page.rows) <= PAGE_ROWS
    assert page.total <= len(FLEET)
    assert 1 <= page.page <= page.pages
    assert all(query.state in (None, state) for _, state in page.rows)
    assert (page.first == 0) == (not page.rows)


INDEX = FleetIndex(FLEET)


@pytest.mark.parametrize("sort", SORTS)
def test_the_pages_together_hold_every_store_once(sort: str) -> None:
    first = INDEX.page(FleetQuery(sort=sort))
    seen = [row.store for n in range(1, first.pages + 1) for row, _ in INDEX.page(FleetQuery(sort=sort, page=n)).rows]
    assert len(seen) == len(set(seen)) == len(FLEET)


@pytest.mark.parametrize(
    ("sort", "values", "key"),
    [
        ("revenue", [1, 3, 2], "revenue_today_fen"),  # best first
        ("sales", [1, 3, 2], "sales_today"),
        ("visitors", [1, 3, 2], "visitors_today"),
    ],
)
def test_more_is_first(sort: str, values: list[int], key: str) -> None:
    rows = tuple(fleet_row(store=str(n), **{key: value}) for n, value in enumerate(values))
    assert [getattr(row, key) for row, _ in FleetIndex(rows).page(FleetQuery(sort=sort)).rows] == [3, 2, 1]


def test_emptiest_and_longest_silent_are_first() -> None:
    rows = (
        fleet_row(store="a", units=80, last_seen_ms=3),
        fleet_row(store="b", units=8, last_seen_ms=1),
        fleet_row(store="c", capacity=0, last_seen_ms=2),  # unknown capacity stands last
    )
    index = FleetIndex(rows)
    assert [row.store for row, _ in index.page(FleetQuery(sort="stock")).rows] == ["b", "a", "c"]
    assert [row.store for row, _ in index.page(FleetQuery(sort="seen")).rows] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("cuihu", ["cuihu"]),  # by id
        ("CUIHU", ["cuihu"]),
        ("翠湖", ["cuihu"]),  # by name
        ("green hangzhou", []),  # all words must occur
        ("昆明 lake", ["cuihu"]),  # each anywhere: here in region and name
        ("", ["bund", "cuihu"]),
    ],
)
def test_search(search: str, found: list[str]) -> None:
    other = fleet_row(store="bund", name_zh="外滩店", name_en="The Bund", region="上海")
    index = FleetIndex((fleet_row(store="cuihu"), other))
    assert [row.store for row, _ in index.page(FleetQuery(search)).rows] == found


def test_a_page_past_the_end_is_the_last_one() -> None:
    page = INDEX.page(FleetQuery(page=999))
    assert page.page == page.pages == 25
    assert page.first == 1201
    assert len(page.rows) == 34
