"""Drawings both pages use: counters, and the banner for a bridge that cannot read."""

from __future__ import annotations

from collections.abc import Mapping

from cloud_bridge.pages.reading import Reading
from look.i18n import Lang, t
from look.markup import Markup, join, tag
from look.widgets import chip, clock_time, error_block


def broken_banner(reading: Reading[object], *, now_ms: int, lang: Lang) -> Markup:
    """What to say when the records cannot be read; empty markup when they can."""
    if not reading.broken:
        return Markup("")
    if reading.value is None:
        return error_block(t("bridge.broken", lang), t("bridge.broken.first", lang))
    then = clock_time(reading.read_ms, now_ms=now_ms)
    return error_block(t("bridge.broken", lang), t("bridge.broken.old", lang, time=then))


def counters(counts: Mapping[str, int], lang: Lang, *, id_: str) -> Markup:
    """Drops and refusals by name, most first; those that stand at zero are not shown."""
    counted = sorted(((n, name) for name, n in counts.items() if n), key=lambda pair: (-pair[0], pair[1]))
    if not counted:
        return chip("ok", t("store.counters.none", lang))
    rows = [
        tag("tr", tag("th", tag("code", name), scope="row"), tag("td", f"{n:,}", class_="zg-r")) for n, name in counted
    ]
    head = tag(
        "tr",
        tag("th", t("store.counters.name", lang), scope="col"),
        tag("th", t("store.counters.count", lang), scope="col", class_="zg-r"),
    )

    def table(of: list[Markup]) -> Markup:
        return tag("table", tag("thead", head), tag("tbody", of), class_="zg-table zg-table-small")

    if len(rows) <= _FEW:
        return table(rows)
    more = tag("summary", t("store.counters.show", lang, n=len(rows)), id=f"{id_}-summary")
    return join(table(rows[:_FEW]), tag("details", more, table(rows[_FEW:]), id=id_))


_FEW = 8
