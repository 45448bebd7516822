"""The drawings of the fleet page: counts, worst stores, table. Pure: values in, markup out."""

from __future__ import annotations

from typing import Final, Literal

from cloud_bridge.pages.fleet_query import STATES, FleetIndex, FleetPage, FleetQuery, Sort, StoreState
from cloud_bridge.pages.naming import (
    STORE_STATES,
    reasons,
    state_chip,
    stock_percent,
    store_href,
    store_name,
)
from cloud_bridge.views import FleetRow
from look.i18n import Lang, t
from look.icons import icon
from look.markup import Markup, join, tag
from look.planogram import stock_state
from look.widgets import card, chip, empty_block, facts, money, number, relative_time

CONNECT_COMMAND: Final = "zhanggui edge run store.toml"

# Column, how it can be sorted, its class: `zg-r` right-aligned, `zg-wide` hidden on a phone.
_COLUMNS: Final[tuple[tuple[str, Sort | None, str], ...]] = (
    ("store", "store", ""),
    ("state", "state", ""),
    ("seen", "seen", ""),
    ("region", None, "zg-wide"),
    ("open", None, "zg-wide"),
    ("devices", None, "zg-r zg-wide"),
    ("stock", "stock", "zg-r zg-wide"),
    ("visitors", "visitors", "zg-r zg-wide"),
    ("sales", "sales", "zg-r zg-wide"),
    ("revenue", "revenue", "zg-r zg-wide"),
)
_ASCENDING: Final[frozenset[Sort]] = frozenset({"store", "seen", "stock"})


def _soft(text: object, href: str, **attributes: str | bool | None) -> Markup:
    return tag("a", text, href=href, data_zg_soft=True, **attributes)


def counts(index: FleetIndex, query: FleetQuery, lang: Lang) -> Markup:
    """How many stores are in which state; each count filters the table."""

    def tile(state: StoreState | None, n: int) -> Markup:
        colour, icon_name = STORE_STATES[state] if state else ("rest", "fleet")
        label = tag("span", icon(icon_name), t(f"fleet.state.{state or 'all'}", lang), class_="op-tile-label")
        link = _soft(
            join(label, tag("span", f"{n:,}", class_="op-tile-count")),
            query.href(state=state),
            id=f"op-count-{state or 'all'}",
            class_=f"op-tile zg-s-{colour}" + ("" if n else " op-tile-none"),
            aria_current="true" if query.state == state else None,
        )
        return tag("li", link)

    return tag("ul", tile(None, len(index)), (tile(state, index.counts[state]) for state in STATES))


def today(index: FleetIndex, lang: Lang) -> Markup:
    """What the whole fleet did today."""
    totals = index.totals
    return facts(
        (f"{t('fleet.today', lang)} · {t('fleet.revenue', lang)}", money(totals.revenue_fen)),
        (f"{t('fleet.today', lang)} · {t('fleet.sales', lang)}", number(totals.sales)),
        (f"{t('fleet.today', lang)} · {t('fleet.visitors', lang)}", number(totals.visitors)),
    )


def worst(index: FleetIndex, *, now_ms: int, lang: Lang) -> Markup:
    """The stores that need someone, worst first, with the reason in words."""
    if not index.worst:
        return card(t("fleet.worst", lang), chip("ok", t("fleet.worst.none", lang)))
    items = (
        tag(
            "li",
            state_chip(state, lang),
            tag("a", store_name(row, lang), href=store_href(row), id=f"op-worst-{row.tenant}-{row.store}"),
            tag("span", " · ".join(reasons(row, now_ms=now_ms, lang=lang)), class_="zg-soft"),
        )
        for row, state in index.worst
    )
    return card(t("fleet.worst", lang), tag("ol", items, class_="op-worst"))


def table_head(query: FleetQuery, lang: Lang) -> Markup:
    """Column heads; a link sorts, an arrow and `aria-sort` say by what."""

    def cell(name: str, sort: Sort | None, classes: str) -> Markup:
        word = t(f"fleet.col.{name}", lang)
        order: Literal["ascending", "descending"] = "ascending" if sort in _ASCENDING else "descending"
        active = sort == query.sort
        content: object = word
        if sort:
            arrow = tag("span", "▲" if order == "ascending" else "▼", class_="op-arrow", aria_hidden="true")
            content = _soft(
                join(word, arrow if active else None),
                query.href(sort=sort),
                id=f"op-sort-{sort}",
                title=t("fleet.sort.by", lang, column=word),
            )
        return tag("th", content, scope="col", class_=classes or None, aria_sort=order if active else None)

    return tag("tr", (cell(*column) for column in _COLUMNS))


def _stock(row: FleetRow) -> Markup:
    percent = stock_percent(row)
    if percent is None:
        return tag("span", "–", class_="zg-soft")
    state, _ = stock_state(row.units, row.capacity)
    gauge = tag("span", tag("i", style=f"width:{percent}%"), class_=f"op-gauge zg-s-{state}", aria_hidden="true")
    return join(gauge, tag("span", f"{percent}%", class_="zg-num op-percent"))


def table_row(row: FleetRow, state: StoreState, *, now_ms: int, lang: Lang) -> Markup:
    """One store, 36 px high; the cells of `_COLUMNS`."""
    id_ = f"{row.tenant}/{row.store}"
    name = tag("a", store_name(row, lang), href=store_href(row), id=f"op-row-{id_}", title=id_)
    short_of = row.devices_online < row.devices_total
    todo = reasons(row, now_ms=now_ms, lang=lang)[0 if row.online else 1 :]  # that it is silent stands beside it
    cells: tuple[object, ...] = (
        tag("span", name, tag("span", id_, class_="op-id"), class_="op-name"),
        state_chip(state, lang),
        relative_time(row.last_seen_ms, now_ms=now_ms, lang=lang),
        row.region or "–",
        tag("span", todo[0], class_="op-todo", title=" · ".join(todo)) if todo else tag("span", "–", class_="zg-soft"),
        tag("span", f"{row.devices_online}/{row.devices_total}", class_="op-bad" if short_of else None),
        _stock(row),
        number(row.visitors_today),
        number(row.sales_today),
        money(row.revenue_today_fen),
    )
    drawn = [tag("td", cell, class_=column[2] or None) for cell, column in zip(cells, _COLUMNS, strict=True)]
    first = tag("th", cells[0], scope="row")
    return join(first, drawn[1:])


def pager(page: FleetPage, query: FleetQuery, lang: Lang) -> Markup:
    """Which rows are shown, and the way to the next ones."""
    shown = t("fleet.shown", lang, first=page.first, last=page.first + len(page.rows) - 1, total=f"{page.total:,}")
    if not page.total:
        clear = _soft(t("fleet.clear", lang), "?", id="op-clear")
        return empty_block(t("fleet.none", lang), t("fleet.none.text", lang), tag("p", clear))

    def step(to: int, key: str, icon_name: str) -> Markup:
        word = t(key, lang)
        if not 1 <= to <= page.pages:
            return tag("span", icon(icon_name), class_="zg-button op-off", aria_hidden="true")
        href = query.href(page=to)
        return _soft(icon(icon_name), href, class_="zg-button", aria_label=word, title=word, id=f"op-{icon_name}")

    steps = join(
        step(page.page - 1, "fleet.previous", "left"),
        tag("span", t("fleet.page", lang, page=page.page, pages=page.pages), class_="zg-num"),
        step(page.page + 1, "fleet.next", "right"),
    )
    clear = _soft(t("fleet.clear", lang), query.href(search="", state=None), id="op-clear")
    return join(
        tag("span", shown, role="status"),
        clear if query.search or query.state else None,
        tag("nav", steps, class_="op-steps", aria_label=t("fleet.pages", lang)) if page.pages > 1 else None,
    )


def no_store(lang: Lang) -> Markup:
    """Nobody has reported yet: how a store is connected."""
    how = tag("pre", tag("code", CONNECT_COMMAND), tabindex=0)
    return empty_block(t("fleet.empty", lang), t("fleet.empty.text", lang), t("fleet.empty.how", lang), how)
