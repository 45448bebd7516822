"""The fleet page: counts by state first, then the worst stores, then the table, paged by the server."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request
from nicegui import ui

from cloud_bridge.pages import fleet_drawings as draw
from cloud_bridge.pages.fleet_query import FleetQuery
from cloud_bridge.pages.reading import Reading, Source
from cloud_bridge.pages.shared_drawings import broken_banner, counters
from cloud_bridge.pages.style import add_style
from look import Lang, Markup, NavEntry, Part, PartList, lang_of, page_frame, t, tag
from look.icons import icon
from look.markup import join
from look.widgets import card

REFRESH_S = 1.0


class FleetPageView:
    """One visitor's fleet page. `refresh` sends what changed; `ask` takes a new address."""

    def __init__(self, source: Source, query: FleetQuery, lang: Lang) -> None:
        self._source = source
        self._lang: Lang = lang
        self._query = query
        self._bridge: Reading[dict[str, int]] = Reading(None, 0, broken=False)
        self._banner = Part()
        self._empty = Part()
        with ui.element("div").classes("op-stack") as self._body:
            with ui.element("nav").classes("op-tiles").props(f'aria-label="{t("fleet.counts", lang)}"'):
                self._counts = Part()
            self._today = Part(classes="op-today")
            self._worst = Part("section")
            self._table(lang)
            self._counters = Part("section")

    def _table(self, lang: Lang) -> None:
        with ui.element("section").classes("op-stack op-table"):
            head = Part(classes="op-table-head")
            field = tag(
                "input",
                type="search",
                name="q",
                id="op-search",
                value=self._query.search,
                maxlength=64,
                autocomplete="off",
                placeholder=t("fleet.search", lang),
                aria_label=t("fleet.search", lang),
            )
            form = tag("form", icon("search"), field, data_zg_soft=True, role="search", class_="op-search", action="/")
            head.show(join(tag("h2", t("fleet.table", lang)), form))
            region = f'role=region tabindex=0 aria-label="{t("fleet.table", lang)}"'
            with (
                ui.element("div").classes("zg-table-scroll").props(region),
                ui.element("table").classes("zg-table op-fleet"),
            ):
                self._head = Part("thead")
                self._rows = PartList("tbody", of="tr")
            self._pager = Part(classes="op-pager")

    def ask(self, query: Mapping[str, str]) -> None:
        """Show the rows of another address; the page stays."""
        self._query = FleetQuery.parse(query)
        self.refresh()

    def refresh(self) -> int:
        """Read and draw; the number of parts that were sent."""
        lang, now_ms = self._lang, self._source.now_ms()
        reading = self._source.fleet()
        index = reading.value
        sent = int(self._banner.show(broken_banner(reading, now_ms=now_ms, lang=lang)))
        sent += self._empty.show(draw.no_store(lang) if index is not None and not len(index) else Markup(""))
        shown = bool(index)
        if self._body.visible != shown:
            self._body.set_visibility(shown)
            sent += 1
        if not index:
            return sent
        self._bridge = self._source.counters(self._bridge)
        page = index.page(self._query)
        sent += self._counts.show(draw.counts(index, self._query, lang))
        sent += self._today.show(draw.today(index, lang))
        sent += self._worst.show(draw.worst(index, now_ms=now_ms, lang=lang))
        sent += self._head.show(draw.table_head(self._query, lang))
        sent += self._rows.show(draw.table_row(row, state, now_ms=now_ms, lang=lang) for row, state in page.rows)
        sent += self._pager.show(draw.pager(page, self._query, lang))
        if self._bridge.value is not None:
            bridge = counters(self._bridge.value, lang, id_="op-bridge-counters")
            sent += self._counters.show(card(t("fleet.bridge", lang), bridge))
        return sent


def fleet_page(request: Request, source: Source) -> FleetPageView:
    """Draw the page for `request` and keep it live."""
    lang = lang_of(request)
    nav = [NavEntry("/", t("fleet.nav", lang), "fleet", current=True)]
    with page_frame(request, title=t("fleet.title", lang), heading=t("fleet.heading", lang), nav=nav) as frame:
        add_style()
        view = FleetPageView(source, FleetQuery.parse(request.query_params), lang)
        view.refresh()
        if source.fleet().value is None:
            ui.context.client.status_code = 503  # nothing could be read yet
        frame.on_soft(view.ask)
        ui.timer(REFRESH_S, view.refresh, immediate=False)
    return view
