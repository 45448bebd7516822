"""The drawings of the store page. Pure: values in, markup out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cloud_bridge.pages.fleet_query import state_of
from cloud_bridge.pages.naming import local_name, state_chip, stock_percent
from cloud_bridge.pages.shared_drawings import counters
from cloud_bridge.views import (
    AlarmView,
    CabinetView,
    CompartmentView,
    DeviceView,
    EventView,
    FleetRow,
    ShelfView,
    StoreView,
    VisitorBar,
)
from look.chart import Bar, bar_chart
from look.i18n import Lang, keys, t
from look.icons import icon
from look.markup import Markup, join, tag
from look.planogram import StockSlot, shelf
from look.widgets import (
    STATE_ICON,
    State,
    absolute_time,
    card,
    chip,
    clock_time,
    empty_block,
    facts,
    hidden_text,
    money,
    number,
    relative_time,
    stale_block,
)

STALE_MS: Final = 60_000
MAX_BARS: Final = 48
MAX_EVENTS: Final = 50
_DOORS: Final[dict[str, tuple[State, str]]] = {
    "open": ("attention", "door-open"),
    "closed": ("rest", "door-closed"),
    "unknown": ("rest", "unknown"),
}
_DEVICES: Final[dict[str, State]] = {"online": "ok", "degraded": "attention", "offline": "fault", "unknown": "rest"}
_LEVELS: Final[dict[str, tuple[State, str]]] = {
    "info": ("rest", "info"),
    "ok": ("ok", STATE_ICON["ok"]),
    "attention": ("attention", STATE_ICON["attention"]),
    "fault": ("fault", STATE_ICON["fault"]),
}


def _word(prefix: str, name: str, lang: Lang) -> str:
    """The word for a name that comes from a store; the name itself when it is new to us."""
    key = f"{prefix}.{name}"
    return t(key, lang) if key in keys() else name


def is_stale(row: FleetRow, *, now_ms: int) -> bool:
    """Offline, or not heard of for more than a minute."""
    return not row.online or now_ms - row.last_seen_ms > STALE_MS


def stale_banner(row: FleetRow, *, now_ms: int, lang: Lang) -> Markup:
    """What to say about a silent store; empty markup for one that talks."""
    if not is_stale(row, now_ms=now_ms):
        return Markup("")
    if not row.last_seen_ms:
        return stale_block(t("store.stale", lang), t("store.stale.never", lang))
    return stale_block(t("store.stale", lang), t("store.stale.text", lang, age=absolute_time(row.last_seen_ms)))


def unknown(tenant: str, store: str, lang: Lang) -> Markup:
    """Nobody has heard of this store."""
    back = tag("p", tag("a", t("store.unknown.back", lang), href="/", id="op-back"))
    title = t("store.unknown.title", lang, store=f"{tenant}/{store}")
    return empty_block(title, t("store.unknown.text", lang), back)


def health(row: FleetRow, *, now_ms: int, lang: Lang) -> Markup:
    """The store in one line."""
    percent = stock_percent(row)
    stock = join(number(row.units, t("store.stock.unit", lang)), f" · {percent}%" if percent is not None else None)
    pairs: tuple[tuple[str, object], ...] = (
        (t("store.state", lang), state_chip(state_of(row), lang)),
        (t("store.seen", lang), relative_time(row.last_seen_ms, now_ms=now_ms, lang=lang)),
        (t("store.devices.online", lang), f"{row.devices_online}/{row.devices_total}"),
        (t("store.alarms", lang), number(row.alarms)),
        (t("store.reviews", lang), number(row.open_reviews)),
        (t("store.stock", lang), stock),
        (t("fleet.visitors", lang), number(row.visitors_today, t("fleet.visitors.unit", lang))),
        (t("fleet.sales", lang), number(row.sales_today, t("fleet.sales.unit", lang))),
        (t("fleet.revenue", lang), money(row.revenue_today_fen)),
    )
    return card(t("store.health", lang), facts(*pairs))


def visitors(bars: Sequence[VisitorBar], *, now_ms: int, lang: Lang) -> Markup:
    """Crossings of the last intervals, oldest first."""
    last = sorted(bars, key=lambda bar: bar.start_ms)[-MAX_BARS:]
    drawn = [Bar(clock_time(bar.start_ms, now_ms=now_ms)[:-3], (bar.entered, bar.left)) for bar in last]
    if any(clock_time(bar.start_ms, now_ms=now_ms).count(":") < 2 for bar in last):
        drawn = [Bar(clock_time(bar.start_ms, now_ms=now_ms), (bar.entered, bar.left)) for bar in last]
    sentence = ""
    if last:
        sentence = t(
            "store.visitors.sentence",
            lang,
            start=drawn[0].label,
            end=drawn[-1].label,
            entered=sum(bar.entered for bar in last),
            left=sum(bar.left for bar in last),
        )
    chart = bar_chart(
        drawn,
        series=(t("store.entered", lang), t("store.left", lang)),
        title=sentence,
        label_head=t("store.visitors.interval", lang),
        lang=lang,
    )
    return card(t("store.visitors", lang), chart, aside=tag("span", sentence, class_="zg-soft"))


def _shelf(view: ShelfView, lang: Lang) -> Markup:
    name = t("store.shelf", lang, name=view.shelf)
    slots = [
        StockSlot(local_name(slot.name_zh, slot.name_en, slot.sku, lang), slot.units, slot.capacity, slot.price_fen)
        for slot in view.slots
    ]
    if not slots:
        return tag("p", f"{name} · {t('store.shelf.none', lang)}", class_="zg-soft")
    return shelf(name, slots, lang)


def _compartment(view: CompartmentView, lang: Lang) -> Markup:
    state, picture = _DOORS[view.door]
    head = tag(
        "div",
        tag("h4", t("store.compartment", lang, name=view.compartment)),
        chip("fault", t("store.blocked", lang), icon_name="lock") if view.blocked else None,
        chip("ok", t("store.session", lang, session=view.session[-6:]), icon_name="person") if view.session else None,
        chip(state, t(f"store.door.{view.door}", lang), icon_name=picture),
        class_="op-door-head",
    )
    shelves = (_shelf(one, lang) for one in view.shelves)
    return tag("div", head, shelves, class_="op-door" + (" op-door-open" if view.door == "open" else ""))


def cabinet(view: CabinetView, lang: Lang) -> Markup:
    """One cabinet as it stands in the store: doors side by side, shelves from top to bottom."""
    mode = tag("span", _word("store.mode", view.mode, lang), class_="zg-soft")
    doors = tag("div", (_compartment(one, lang) for one in view.compartments), class_="op-doors")
    return card(local_name(view.name_zh, view.name_en, view.cabinet, lang), doors, level=3, aside=mode)


def no_cabinet(lang: Lang) -> Markup:
    """The store has not said what it has."""
    return empty_block(t("store.cabinets.none", lang), t("store.cabinets.none.text", lang))


def devices(views: Sequence[DeviceView], *, now_ms: int, lang: Lang) -> Markup:
    """Each device with its state and since when."""
    if not views:
        return card(t("store.devices", lang), empty_block(t("store.devices.none", lang)))

    def row(view: DeviceView) -> Markup:
        kind = _word("store.kind", view.kind, lang)
        told = (reading(name, value, lang) for name, value in view.values[:MAX_VALUES_SHOWN])
        words = (view.device, view.model, *(told if view.state != "offline" else ()), view.detail)
        small = tag("small", " · ".join(word for word in words if word))
        return tag(
            "tr",
            tag("th", kind, small, scope="row"),
            tag("td", chip(_DEVICES[view.state], t(f"store.device.{view.state}", lang))),
            tag("td", relative_time(view.since_ms, now_ms=now_ms, lang=lang)),
        )

    head = tag("tr", (tag("th", t(key, lang), scope="col") for key in _DEVICE_HEADS))
    table = tag("table", tag("thead", head), tag("tbody", (row(view) for view in views)), class_="zg-table")
    return card(t("store.devices", lang), table)


def reading(name: str, value: float | str, lang: Lang) -> str:
    """One value of a device in words; a name that is new to us is shown as it is, a flag that is off not at all."""
    if name in _FLAGS:
        return _word("store.reading", name, lang) if value else ""
    said = f"{value:g}" if isinstance(value, float | int) else _word("store.said", value, lang)
    unit = next((shown for ending, shown in _UNITS.items() if name.endswith(ending)), "")
    return f"{_word('store.reading', name, lang)} {said}{unit}"


MAX_VALUES_SHOWN = 8
_FLAGS: Final = frozenset({
    "door_open", "compressor_on", "defrost_state", "alarm_bits", "cover_open", "paper_near_end", "paper_end", "error",
})  # fmt: skip
_UNITS: Final = {"_c": " °C", "_rh": " %", "_s": " s"}
_DEVICE_HEADS: Final = ("store.device", "store.device.state", "store.device.since")


def alarms(views: Sequence[AlarmView], *, now_ms: int, lang: Lang) -> Markup:
    """What is wrong until somebody has mended it; empty markup when nothing is."""
    if not views:
        return Markup("")
    rows = (
        tag(
            "li",
            chip("fault", view.zh if lang == "zh" else view.en, icon_name="bell"),
            " ",
            tag("small", relative_time(view.since_ms, now_ms=now_ms, lang=lang)),
        )
        for view in views
    )
    return card(t("store.alarms", lang), tag("ul", rows, class_="op-alarms"))


def event(view: EventView, *, now_ms: int, lang: Lang) -> Markup:
    """One event as a sentence."""
    state, picture = _LEVELS[view.level]
    stamp = tag("time", clock_time(view.time_ms, now_ms=now_ms), title=absolute_time(view.time_ms))
    sentence = tag(
        "span", hidden_text(t(f"store.level.{view.level}", lang) + " "), view.zh if lang == "zh" else view.en
    )
    return join(stamp, tag("span", icon(picture), class_=f"zg-s-{state}"), sentence)


def store_counters(view: StoreView, lang: Lang) -> Markup:
    """What the store, and the bridge for it, dropped or refused."""
    dead = chip("fault", t("store.dead.text", lang, n=view.dead_letters)) if view.dead_letters else None
    drawn = counters(view.counters, lang, id_="op-store-counters")
    return card(t("store.counters", lang), tag("p", dead) if dead else None, drawn)


def watermarks(marks: dict[str, int], lang: Lang) -> Markup:
    """How far each lane is booked."""
    pairs = [
        (_word("store.lane", lane, lang), tag("span", t("store.lane.events", lang, n=f"{n:,}"), class_="zg-num"))
        for lane, n in sorted(marks.items())
    ]
    return card(t("store.ledger", lang), facts(*pairs) if pairs else tag("span", "–", class_="zg-soft"))
