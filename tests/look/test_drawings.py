"""Drawings are values: what comes from outside is escaped, states carry icon and word, numbers carry units."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from look import chart, icons, planogram, widgets
from look.markup import Markup, join, tag

NOW_MS = 1_780_000_000_000


class Tree(HTMLParser):
    """Collects element names and text, and complains about elements that do not close."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.text = ""
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(name)
        self.names.append(name)

    def handle_startendtag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(), st.text())
@settings(max_examples=100, deadline=None)
def test_text_from_outside_stays_text(inside: str, attribute: str) -> None:
    tree = Tree(tag("p", inside, title=attribute).replace("\r", ""))
    assert tree.names == ["p"]
    assert tree.text == inside.replace("\r", "")


@pytest.mark.parametrize(
    ("drawing", "html"),
    [
        (tag("p", "a<b"), "<p>a&lt;b</p>"),  # text is escaped
        (tag("p", Markup("<b>x</b>")), "<p><b>x</b></p>"),  # markup is not
        (tag("p", ["a", None, [1, False]]), "<p>a1</p>"),  # lists open, nothing is nothing
        (tag("a", "x", class_="k", aria_label='"'), '<a class="k" aria-label="&quot;">x</a>'),
        (tag("button", hidden=True, disabled=False, title=None), "<button hidden></button>"),
        (tag("rect", x=1), '<rect x="1"/>'),  # SVG does not close by itself
        (join("<", tag("br")), "&lt;<br/>"),
    ],
)
def test_markup(drawing: Markup, html: str) -> None:
    assert drawing == html


def test_markup_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(TypeError, match="float"):
        tag("p", 1.5)


@pytest.mark.parametrize("name", sorted(icons.NAMES))
def test_icons_are_hidden_from_screen_readers(name: str) -> None:
    assert 'aria-hidden="true"' in icons.icon(name)


def test_the_four_states_differ_in_outline() -> None:
    drawings = {widgets.chip(state, "word") for state in widgets.STATE_ICON}
    assert len({re.search(r'd="([^"]+)"', drawing)[1] for drawing in drawings}) == 4
    assert all("<span>word</span>" in drawing for drawing in drawings)


@pytest.mark.parametrize(
    ("age_s", "zh", "en"),
    [
        (-60, "时间在未来", "in the future"),  # a clock that runs ahead shows
        (-2, "刚刚", "just now"),  # a little ahead does not
        (4.9, "刚刚", "just now"),
        (5, "5 秒前", "5 s ago"),
        (59, "55 秒前", "55 s ago"),  # coarse: changes every five seconds
        (60, "1 分钟前", "1 min ago"),
        (3599, "59 分钟前", "59 min ago"),
        (3600, "1 小时前", "1 h ago"),
        (86_400 * 3, "3 天前", "3 d ago"),
    ],
)
def test_relative_time(age_s: float, zh: str, en: str) -> None:
    assert widgets.age_text(age_s, "zh") == zh
    drawing = widgets.relative_time(NOW_MS - int(age_s * 1000), now_ms=NOW_MS, lang="en")
    assert f">{en}</time>" in drawing
    assert "UTC+08:00" in drawing  # the absolute time on hover


def test_never_is_a_word() -> None:
    assert "never" in widgets.relative_time(0, now_ms=NOW_MS, lang="en")


def test_clock_time_names_the_day_when_it_was_another() -> None:
    assert widgets.clock_time(NOW_MS, now_ms=NOW_MS) == "04:26:40"
    assert widgets.clock_time(NOW_MS - 86_400_000, now_ms=NOW_MS) == "05-28 04:26"
    assert widgets.absolute_time(NOW_MS) == "2026-05-29 04:26:40 UTC+08:00"


@pytest.mark.parametrize(
    ("amount_fen", "text"), [(0, "¥0.00"), (350, "¥3.50"), (5, "¥0.05"), (-5, "−¥0.05"), (123_456_789, "¥1,234,567.89")]
)
def test_money(amount_fen: int, text: str) -> None:
    assert Tree(widgets.money(amount_fen)).text == text


def test_numbers_carry_units() -> None:
    assert Tree(widgets.number(12345, "g")).text == "12,345 g"
    assert Tree(widgets.number(7)).text == "7"


@pytest.mark.parametrize(
    ("drawing", "role", "word"),
    [
        (widgets.empty_block("Nothing", "Do this"), None, "Do this"),
        (widgets.loading_block("en"), "status", "Loading"),
        (widgets.stale_block("Old", "12 s"), "status", "Old"),
        (widgets.error_block("Broken", tag("p", "why")), "alert", "why"),
    ],
)
def test_blocks(drawing: Markup, role: str | None, word: str) -> None:
    assert word in Tree(drawing).text
    assert (f'role="{role}"' in drawing) == (role is not None)


def test_card_and_facts() -> None:
    tree = Tree(widgets.card("Title", widgets.facts(("Label", widgets.number(1))), widgets.hidden_text("spoken")))
    assert tree.text == "TitleLabel1spoken"
    assert {"h2", "dl", "dt", "dd"} <= set(tree.names)


@pytest.mark.parametrize(
    ("units", "capacity", "state"),
    [
        (12, 12, "ok"),
        (4, 12, "ok"),
        (3, 12, "attention"),  # a quarter
        (1, 12, "attention"),
        (0, 12, "fault"),
        (-1, 12, "fault"),  # a wrong book
        (2, 0, "ok"),  # a capacity nobody gave
    ],
)
def test_stock_state(units: int, capacity: int, state: str) -> None:
    assert planogram.stock_state(units, capacity)[0] == state


@given(units=st.integers(-100, 1000), capacity=st.integers(-1, 100))
@settings(max_examples=100, deadline=None)
def test_a_slot_is_never_fuller_than_full(units: int, capacity: int) -> None:
    drawing = planogram.slot(planogram.StockSlot("Cola", units, capacity, 350), "en")
    share = int(re.search(r"height:(-?\d+)%", drawing)[1])
    assert 0 <= share <= 100


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Cola Zero", "CZ"),
        ("crisps", "Cr"),
        ("可口可乐", "可口"),
        ("", "–"),
        ("Cola 330 ml", "CM"),
        ("7 up", "Up"),
        ("555", "55"),
        ("- x", "X"),
        ("红 牛", "红"),
    ],
)
def test_initials(name: str, short: str) -> None:
    assert planogram.initials(name) == short


def test_a_shelf_is_a_list_read_as_sentences() -> None:
    drawing = planogram.shelf("S1", [planogram.StockSlot("<Cola>", 3, 12, 350)], "en")
    assert 'aria-label="&lt;Cola&gt;: low, 3 of 12 units · ¥3.50"' in drawing
    assert Tree(drawing).names.count("li") == 1


@pytest.mark.parametrize(("highest", "top"), [(0, 1), (1, 1), (3, 4), (5, 5), (6, 10), (11, 20), (41, 50), (101, 200)])
def test_nice_top(highest: int, top: int) -> None:
    assert chart.nice_top(highest) == top


def test_a_chart_says_its_numbers_three_times() -> None:
    bars = [chart.Bar(f"{hour}:00", (hour, 2 * hour)) for hour in range(24)]
    drawing = chart.bar_chart(bars, series=("in", "out"), title="276 people came in", label_head="Hour", lang="en")
    tree = Tree(drawing)
    assert tree.names.count("rect") == 46  # no bar for a zero
    assert 'aria-label="276 people came in"' in drawing
    assert tree.names.count("tr") == 25
    assert "46" in tree.text


def test_a_chart_without_bars_is_an_empty_block() -> None:
    assert "No data yet" in chart.bar_chart([], series=("in",), title="x", label_head="h", lang="en")


def test_a_chart_of_zeros_stands() -> None:
    tree = Tree(chart.bar_chart([chart.Bar("0", (0,))], series=("in",), title="x", label_head="h", lang="zh"))
    assert tree.names.count("rect") == 0
