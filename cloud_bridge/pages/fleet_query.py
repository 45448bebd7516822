"""What an operator asked of the fleet, as it stands in the address, and the page of rows that answers it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Literal, get_args
from urllib.parse import urlencode

from cloud_bridge.views import FleetRow

PAGE_ROWS: Final = 50
WORST_ROWS: Final = 5
MAX_SEARCH_CHARS: Final = 64
LOW_STOCK_SHARE: Final = 0.15

StoreState = Literal["offline", "alarm", "attention", "ok"]  # worst first
Sort = Literal["store", "state", "seen", "stock", "visitors", "sales", "revenue"]
STATES: Final[tuple[StoreState, ...]] = get_args(StoreState)
SORTS: Final[tuple[Sort, ...]] = get_args(Sort)


@dataclass(frozen=True, slots=True)
class FleetQuery:
    """`state` None: all. `page` counts from 1."""

    search: str = ""
    state: StoreState | None = None
    sort: Sort = "store"
    page: int = 1

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> FleetQuery:
        """Read the address; what makes no sense is left out, so that any address shows a page."""
        state, sort, page = query.get("state", ""), query.get("sort", ""), query.get("page", "")
        return cls(
            search=query.get("q", "").strip()[:MAX_SEARCH_CHARS],
            state=state if state in STATES else None,
            sort=sort if sort in SORTS else "store",
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
        )

    def href(self, **changes: Any) -> str:
        """The address of this query with `changes`; a change of anything but the page goes back to page 1."""
        new = replace(self, **{"page": 1, **changes})
        said = {"q": new.search, "state": new.state or "", "sort": "" if new.sort == "store" else new.sort}
        said["page"] = "" if new.page == 1 else str(new.page)
        return "?" + urlencode({name: value for name, value in said.items() if value})


def state_of(row: FleetRow) -> StoreState:
    """The worst thing that is true of a store."""
    if not row.online:
        return "offline"
    if row.alarms:
        return "alarm"
    if row.open_reviews or row.devices_online < row.devices_total or stock_is_low(row):
        return "attention"
    return "ok"


def stock_is_low(row: FleetRow) -> bool:
    """Little is left in the whole store."""
    return row.capacity > 0 and row.units <= row.capacity * LOW_STOCK_SHARE


def _severity(row: FleetRow) -> tuple[int, ...]:
    missing = row.devices_total - row.devices_online
    silent_since_ms = 0 if row.online else row.last_seen_ms
    return STATES.index(state_of(row)), silent_since_ms, -row.alarms, -missing, -row.open_reviews


_KEYS: Final[dict[Sort, Callable[[FleetRow], Any]]] = {
    "state": _severity,
    "seen": lambda row: row.last_seen_ms,  # longest silent first
    "stock": lambda row: row.units / row.capacity if row.capacity else 2.0,  # emptiest first
    "visitors": lambda row: -row.visitors_today,
    "sales": lambda row: -row.sales_today,
    "revenue": lambda row: -row.revenue_today_fen,
}


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the whole fleet, today."""

    sales: int
    revenue_fen: int
    visitors: int


@dataclass(frozen=True, slots=True)
class FleetPage:
    """One answer: at most `PAGE_ROWS` rows. `first` counts from 1; 0 when there are none."""

    rows: tuple[tuple[FleetRow, StoreState], ...]
    first: int
    total: int
    page: int
    pages: int


class FleetIndex:
    """One reading of the fleet, prepared once and asked by every open page. 10,000 stores are meant to be usual."""

    def __init__(self, rows: tuple[FleetRow, ...]) -> None:
        ordered = sorted(rows, key=lambda row: (row.tenant, row.store))
        self._rows = [(row, state_of(row)) for row in ordered]
        self._words = [
            f"{row.tenant} {row.store} {row.name_zh} {row.name_en} {row.region}".casefold() for row in ordered
        ]
        self.counts: dict[StoreState, int] = dict.fromkeys(STATES, 0)
        for _, state in self._rows:
            self.counts[state] += 1
        self.totals = Totals(
            sum(row.sales_today for row in rows),
            sum(row.revenue_today_fen for row in rows),
            sum(row.visitors_today for row in rows),
        )
        ill = (pair for pair in self._rows if pair[1] != "ok")
        self.worst = tuple(islice(sorted(ill, key=lambda pair: _severity(pair[0])), WORST_ROWS))

    def __len__(self) -> int:
        return len(self._rows)

    def page(self, query: FleetQuery) -> FleetPage:
        """The rows that answer `query`; a page past the end is the last one. Every word of the search must occur."""
        words = query.search.casefold().split()
        found = [
            pair
            for pair, text in zip(self._rows, self._words, strict=True)
            if (query.state is None or pair[1] == query.state) and all(word in text for word in words)
        ]
        key = _KEYS.get(query.sort)  # without a key: as they stand, by id
        if key is not None:
            found.sort(key=lambda pair: key(pair[0]))
        pages = max(1, -(-len(found) // PAGE_ROWS))
        page = min(query.page, pages)
        start = (page - 1) * PAGE_ROWS
        rows = tuple(found[start : start + PAGE_ROWS])
        return FleetPage(rows=rows, first=start + 1 if rows else 0, total=len(found), page=page, pages=pages)
