"""The page of one store: health, visitors, cabinets as planograms, devices, events, counters; live."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from cloud_bridge.pages import store_drawings as draw
from cloud_bridge.pages.fleet import REFRESH_S
from cloud_bridge.pages.naming import store_name
from cloud_bridge.pages.reading import Reading, Source
from cloud_bridge.pages.shared_drawings import broken_banner
from cloud_bridge.pages.style import add_style
from cloud_bridge.views import StoreView
from look import Frame, Lang, Markup, NavEntry, Part, PartList, lang_of, page_frame, t
from look.markup import join
from look.widgets import empty_block


class StorePageView:
    """One visitor's page of one store. `refresh` sends what changed."""

    def __init__(self, *, source: Source, tenant: str, store: str, frame: Frame) -> None:
        self._source = source
        self._tenant, self._store = tenant, store
        self._frame = frame
        self._lang: Lang = frame.lang
        self._reading: Reading[StoreView] = Reading(None, 0, broken=False)
        self._banner = Part()
        self._stale = Part()
        self._unknown = Part()
        with ui.element("div").classes("op-stack") as self._body:
            self._health = Part("section")
            self._alarms = Part("section")
            with ui.element("div").classes("op-columns"):
                with ui.element("div").classes("op-stack"):
                    self._visitors = Part("section")
                    with ui.element("section").classes("op-stack"):
                        Part("h2").show(join(t("store.cabinets", self._lang)))
                        self._no_cabinet = Part()
                        self._cabinets = PartList("div", of="article", classes="op-cabinets")
                with ui.element("div").classes("op-stack"):
                    self._events_card()
                    self._devices = Part("section", classes="op-devices")
                    self._counters = Part("section")
                    self._marks = Part("section")

    def _events_card(self) -> None:
        name = t("store.events", self._lang)
        with ui.element("section").classes("zg-card"):
            Part("div", classes="zg-card-head").show(Markup(f"<h2>{name}</h2>"))
            self._no_event = Part()
            with ui.element("div").classes("op-scroll").props(f'role=region tabindex=0 aria-label="{name}"'):
                self._events = PartList("ol", of="li", classes="op-events")

    def refresh(self) -> int:
        """Read and draw; the number of parts that were sent."""
        lang, now_ms = self._lang, self._source.now_ms()
        self._reading = self._source.store(self._tenant, self._store, self._reading)
        view = self._reading.value
        missing = view is None and not self._reading.broken
        sent = int(self._banner.show(broken_banner(self._reading, now_ms=now_ms, lang=lang)))
        sent += self._unknown.show(draw.unknown(self._tenant, self._store, lang) if missing else Markup(""))
        if self._body.visible != (view is not None):
            self._body.set_visibility(view is not None)
            sent += 1
        if view is None:
            name = t("store.unknown", lang) if missing else self._store
            return sent + self._stale.show(Markup("")) + self._rename(name)
        row = view.fleet
        name = store_name(row, lang)
        sent += self._rename(name)
        sent += self._stale.show(draw.stale_banner(row, now_ms=now_ms, lang=lang))
        sent += self._health.show(draw.health(row, now_ms=now_ms, lang=lang))
        sent += self._alarms.show(draw.alarms(view.alarms, now_ms=now_ms, lang=lang))
        sent += self._visitors.show(draw.visitors(view.visitors, now_ms=now_ms, lang=lang))
        sent += self._no_cabinet.show(Markup("") if view.cabinets else draw.no_cabinet(lang))
        sent += self._cabinets.show(draw.cabinet(one, lang) for one in view.cabinets)
        sent += self._devices.show(draw.devices(view.devices, now_ms=now_ms, lang=lang))
        sent += self._no_event.show(Markup("") if view.events else empty_block(t("store.events.none", lang)))
        sent += self._events.show(draw.event(one, now_ms=now_ms, lang=lang) for one in view.events[: draw.MAX_EVENTS])
        sent += self._counters.show(draw.store_counters(view, lang))
        return sent + self._marks.show(draw.watermarks(view.watermarks, lang))

    def _rename(self, name: str) -> bool:
        return self._frame.rename(title=t("store.title", self._lang, name=name), heading=name)

    @property
    def status_code(self) -> int:
        """What the first answer says: 200, 404 (nobody has heard of the store) or 503 (the bridge cannot read)."""
        if self._reading.value is not None:
            return 200
        return 503 if self._reading.broken else 404


def store_page(request: Request, source: Source, *, tenant: str, store: str) -> StorePageView:
    """Draw the page for `request` and keep it live."""
    lang = lang_of(request)
    nav = [
        NavEntry("/", t("fleet.nav", lang), "fleet"),
        NavEntry(request.url.path, t("store.nav", lang), "store", current=True),
    ]
    scope = f"{tenant}/{store}"
    with page_frame(request, title=scope, heading=scope, nav=nav, scope=scope) as frame:
        add_style()
        view = StorePageView(source=source, tenant=tenant, store=store, frame=frame)
        view.refresh()
        ui.context.client.status_code = view.status_code
        ui.timer(REFRESH_S, view.refresh, immediate=False)
    return view
