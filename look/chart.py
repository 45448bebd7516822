"""A bar chart as inline SVG, with a sentence for those who listen and a table for those who want the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from look.i18n import Lang, t
from look.markup import Markup, tag
from look.widgets import empty_block

_TOP, _FLOOR = 6.0, 86.0  # per cent of the height; the rest is for the labels under the bars
_LEFT: Final = 5.0  # per cent of the width, for the numbers at the axis
_MAX_LABELS: Final = 6  # so that they stay apart on a phone


@dataclass(frozen=True, slots=True)
class Bar:
    """One interval: its label and one value a series, none negative."""

    label: str
    values: tuple[int, ...]


def nice_top(highest: int) -> int:
    """The end of the axis: 1, 2, 4, 5 or 10 times a power of ten, not below `highest`."""
    step = 1
    while True:
        for factor in (1, 2, 4, 5):
            if factor * step >= highest:
                return factor * step
        step *= 10


def _percent(value: float) -> str:
    return f"{value:.2f}%"


def _svg(bars: Sequence[Bar], series_n: int, top: int, title: str) -> Markup:
    drawn: list[Markup] = []
    for share in (0.0, 0.5, 1.0):
        if share == 0.5 and top % 2:
            continue
        y = _percent(_FLOOR - (_FLOOR - _TOP) * share)
        drawn.append(tag("line", x1=_percent(_LEFT), x2="100%", y1=y, y2=y, class_="zg-grid"))
        drawn.append(tag("text", f"{int(top * share):,}", x=_percent(_LEFT - 0.8), y=y, dy=4, class_="zg-axis-y"))
    pitch = (100 - _LEFT) / len(bars)
    width = pitch * 0.72 / series_n
    every = -(-len(bars) // _MAX_LABELS)
    for place, bar in enumerate(bars):
        start = _LEFT + pitch * (place + 0.14)
        for series, value in enumerate(bar.values):
            if value:
                height = (_FLOOR - _TOP) * value / top
                drawn.append(
                    tag(
                        "rect",
                        x=_percent(start + width * series),
                        y=_percent(_FLOOR - height),
                        width=_percent(width * 0.9),
                        height=_percent(height),
                        class_=f"zg-bar zg-bar-{series}",
                    )
                )
        if place % every == 0:
            x = _percent(_LEFT + pitch * (place + 0.5))
            drawn.append(tag("text", bar.label, x=x, y="98%", class_="zg-axis-x"))
    return tag("svg", drawn, class_="zg-chart", role="img", aria_label=title, width="100%", height=176)


def bar_chart(bars: Sequence[Bar], *, series: Sequence[str], title: str, label_head: str, lang: Lang) -> Markup:
    """`bars` in time order, one value for each name in `series` (at most two); `title` is the spoken sentence."""
    if not bars:
        return empty_block(t("look.chart.none", lang))
    top = nice_top(max((value for bar in bars for value in bar.values), default=1))
    keys = (tag("span", tag("i", class_=f"zg-key zg-key-{n}"), name) for n, name in enumerate(series))
    head = tag("tr", tag("th", label_head, scope="col"), (tag("th", name, scope="col") for name in series))
    rows = (
        tag("tr", tag("th", bar.label, scope="row"), (tag("td", f"{value:,}") for value in bar.values)) for bar in bars
    )
    table = tag("table", tag("thead", head), tag("tbody", rows), class_="zg-table zg-table-small")
    return tag(
        "figure",
        tag("figcaption", keys, class_="zg-legend"),
        _svg(bars, len(series), top, title),
        tag("details", tag("summary", t("look.chart.table", lang), id="zg-chart-summary"), table, id="zg-chart-table"),
        class_="zg-figure",
    )
