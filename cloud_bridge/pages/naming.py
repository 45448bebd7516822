"""How a store and its state are called on every page."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from cloud_bridge.pages.fleet_query import StoreState, stock_is_low
from cloud_bridge.views import FleetRow
from look.i18n import Lang, t
from look.markup import Markup
from look.widgets import State, age_text, chip

STORE_STATES: Final[dict[StoreState, tuple[State, str]]] = {  # colour, icon: no two alike
    "offline": ("fault", "cross"),
    "alarm": ("fault", "bell"),
    "attention": ("attention", "warn"),
    "ok": ("ok", "check"),
}


def local_name(zh: str, en: str, fallback: str, lang: Lang) -> str:
    """The name in `lang`, else the other one, else `fallback`."""
    first, second = (zh, en) if lang == "zh" else (en, zh)
    return first or second or fallback


def store_name(row: FleetRow, lang: Lang) -> str:
    """What the store is called; its id when it has not said its name yet."""
    return local_name(row.name_zh, row.name_en, row.store, lang)


def store_href(row: FleetRow) -> str:
    """Where the store's page is."""
    return f"/store/{quote(row.tenant, safe='')}/{quote(row.store, safe='')}"


def state_chip(state: StoreState, lang: Lang) -> Markup:
    """The state of a store as icon + word + colour."""
    colour, icon_name = STORE_STATES[state]
    return chip(colour, t(f"fleet.state.{state}", lang), icon_name=icon_name)


def stock_percent(row: FleetRow) -> int | None:
    """How full the store is, 0–100; None when its capacity is not known."""
    return max(0, min(100, round(100 * row.units / row.capacity))) if row.capacity > 0 else None


def reasons(row: FleetRow, *, now_ms: int, lang: Lang) -> list[str]:
    """Why a store wants attention, worst first; empty for a healthy one."""
    found = []
    if not row.online and not row.last_seen_ms:
        found.append(t("fleet.reason.never", lang))
    elif not row.online:
        found.append(t("fleet.reason.silent", lang, age=age_text((now_ms - row.last_seen_ms) / 1000, lang)))
    if row.alarms:
        found.append(t("fleet.reason.alarms", lang, n=row.alarms))
    if row.online and row.devices_online < row.devices_total:
        found.append(t("fleet.reason.devices", lang, n=row.devices_total - row.devices_online))
    if row.open_reviews:
        found.append(t("fleet.reason.reviews", lang, n=row.open_reviews))
    if stock_is_low(row):
        found.append(t("fleet.reason.stock", lang, percent=stock_percent(row)))
    return found
