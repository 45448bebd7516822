"""Stores that have used up the streams they may have: in a new one their hello is not answered, so operators must know.

The count of refusals tells no store, and dies with its process. What is shown here follows from the database.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from cloud_bridge.ingest.streams import MAX_STREAMS
from cloud_bridge.storage import Db
from cloud_bridge.views import AlarmView, FleetRow, StoreView, Views

LOOK_EVERY_MS = 60_000
log = logging.getLogger("zhanggui.cloud_bridge")


class FullLane(NamedTuple):
    """A lane of a store that may have no stream more."""

    tenant: str
    store: str
    lane: str
    streams: int

    def __str__(self) -> str:
        return (
            f"{self.tenant}/{self.store} has {self.streams} streams in its {self.lane} lane, as many as it may: "
            "in a new one it is not answered"
        )


def full_lanes(db: Db, limit: int = MAX_STREAMS) -> list[FullLane]:
    """All of them, by tenant and store."""
    rows = db.rows(
        """
        SELECT tenant, store, lane, count(*) FROM streams GROUP BY tenant, store, lane HAVING count(*) >= ?
        ORDER BY tenant, store, lane
        """,
        (limit,),
    )
    return [FullLane(*row) for row in rows]


class LimitedViews(Views):
    """The read models, and an alarm more for each lane that is full."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._full: dict[FullLane, int] = {}  # since when we know
        self._looked_ms: int | None = None
        self._drawn: tuple[tuple[FleetRow, ...], tuple[FleetRow, ...]] = ((), ())

    def due(self, now_ms: int) -> bool:
        """It is time to look into the database again."""
        return self._looked_ms is None or not 0 <= now_ms - self._looked_ms < LOOK_EVERY_MS

    def follow(self, found: Iterable[FullLane], now_ms: int) -> None:
        """What the database says now."""
        self._looked_ms = now_ms
        full = {lane: self._full.get(lane, now_ms) for lane in found}
        for lane in full.keys() - self._full.keys():
            log.error("%s", lane)
        if full != self._full:
            self._full, self._drawn = full, ((), ())

    def fleet(self) -> tuple[FleetRow, ...]:
        """All stores; the same object while nothing changed."""
        rows = self._views.fleet()
        if not self._full:
            return rows
        if self._drawn[0] is not rows:
            more = Counter((lane.tenant, lane.store) for lane in self._full)
            self._drawn = (rows, tuple(_alarmed(row, more[row.tenant, row.store]) for row in rows))
        return self._drawn[1]

    def store(self, tenant: str, store: str) -> StoreView | None:
        """One store; None for one never heard of."""
        view = self._views.store(tenant, store)
        alarms = tuple(
            _alarm(lane, ms) for lane, ms in self._full.items() if (lane.tenant, lane.store) == (tenant, store)
        )
        if view is None or not alarms:
            return view
        shown = tuple(sorted((*view.alarms, *alarms), key=lambda alarm: alarm.since_ms))
        return replace(view, alarms=shown, fleet=_alarmed(view.fleet, len(alarms)))

    def counters(self) -> dict[str, int]:
        """What the bridge did, dropped and refused, by name."""
        return self._views.counters()


def _alarmed(row: FleetRow, more: int) -> FleetRow:
    return replace(row, alarms=row.alarms + more) if more else row


def _alarm(lane: FullLane, since_ms: int) -> AlarmView:
    zh = f"{lane.lane} 分叉过多（{lane.streams} 条流，已达上限），新的流不再应答"
    en = f"Too many forks of {lane.lane} ({lane.streams} streams, the most there may be): a new one is not answered"
    return AlarmView(f"streams {lane.lane}", since_ms, zh, en)
