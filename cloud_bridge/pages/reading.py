"""The one place where the pages touch the read models: shared by all visitors, at most once a second, and guarded."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from cloud_bridge.pages.fleet_query import FleetIndex
from cloud_bridge.views import FleetRow, StoreView, Views
from contracts.clock import Clock, unix_ms

FRESH_MS: Final = 900  # real pages ask once a second; visitors of the same second share one reading
_log = logging.getLogger("zhanggui.pages")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Reading(Generic[T_co]):
    """What was read last. `broken`: the read models failed just now, and `value` is of `read_ms` (None: never read)."""

    value: T_co | None
    read_ms: int
    broken: bool


class Source:
    """Reads the views. A failure is counted and shown, logged once when it starts and once when it ends."""

    def __init__(self, *, views: Callable[[], Views], clock: Clock, real_ms: Callable[[], float]) -> None:
        self._views = views
        self._clock = clock
        self._real_ms = real_ms
        self._fleet_rows: tuple[FleetRow, ...] | None = None
        self._fleet: Reading[FleetIndex] = Reading(None, 0, broken=False)
        self._fleet_due_ms = 0.0
        self._broken = False
        self.failures = 0

    def now_ms(self) -> int:
        """Now, in ms since 1970, by the clock of the stores."""
        return unix_ms(self._clock.wall())

    def _guard(self, read: Callable[[Views], T_co | None], before: Reading[T_co]) -> Reading[T_co]:
        try:
            value = read(self._views())
        except Exception as error:  # noqa: BLE001 - the pages' edge: a page must say that the bridge is ill, not vanish
            self.failures += 1
            if not self._broken:
                _log.error("the pages cannot read the bridge's records: %s: %s", type(error).__name__, error)
            self._broken = True
            return Reading(before.value, before.read_ms, broken=True)
        if self._broken:
            _log.warning("the pages can read the bridge's records again")
        self._broken = False
        return Reading(value, self.now_ms(), broken=False)

    def fleet(self) -> Reading[FleetIndex]:
        """The whole fleet, prepared; the same object as long as it is fresh."""
        if self._real_ms() >= self._fleet_due_ms:
            self._fleet = self._guard(self._index, self._fleet)
            self._fleet_due_ms = self._real_ms() + FRESH_MS
        return self._fleet

    def _index(self, views: Views) -> FleetIndex:
        rows = views.fleet()
        if rows is self._fleet_rows and self._fleet.value is not None:
            return self._fleet.value
        index = FleetIndex(rows)
        self._fleet_rows = rows
        return index

    def store(self, tenant: str, store: str, before: Reading[StoreView]) -> Reading[StoreView]:
        """One store; a value of None without `broken` is a store nobody has heard of."""
        return self._guard(lambda views: views.store(tenant, store), before)

    def counters(self, before: Reading[dict[str, int]]) -> Reading[dict[str, int]]:
        """What the bridge itself dropped or refused."""
        return self._guard(lambda views: views.counters(), before)
