"""The read models of all stores: they follow the stored events by row, in memory, and can be made anew any time."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from cloud_bridge.counters import Counters
from cloud_bridge.ingest.streams import Place
from cloud_bridge.presence import PresenceBook
from cloud_bridge.read_models.drawing import fleet_row, store_view
from cloud_bridge.read_models.sentences import dead_letter, sentence, unknown
from cloud_bridge.read_models.state import StoreState, UnreadableDocumentError
from cloud_bridge.read_models.tallies import day_of, parse_ms
from cloud_bridge.recommend import Offers, recommend
from cloud_bridge.storage import Db, Storage
from cloud_bridge.views import EventView, FleetRow, StoreView, Views
from contracts.clock import Clock, unix_ms
from contracts.envelope import BadEventError, decode_data, decode_envelope
from contracts.event_types import Lane

log = logging.getLogger("zhanggui.cloud_bridge")
ROWS_A_STEP = 500


class EventRow(NamedTuple):
    """One row of `events`, as far as projections need it."""

    row: int
    tenant: str
    store: str
    lane: Lane
    seq: int
    type: str
    received_ms: int
    raw: bytes
    dead: str | None
    counted: int


def _rows(db: Db, after: int) -> list[EventRow]:
    found = db.rows(
        """
        SELECT row, tenant, store, lane, seq, type, received_ms, raw, dead, counted
        FROM events WHERE row > ? ORDER BY row LIMIT ?
        """,
        (after, ROWS_A_STEP),
    )
    return [EventRow(*row) for row in found]


def _watermarks(db: Db) -> list[tuple[str, str, Lane, int]]:
    """The watermark of the latest stream of each lane; of each lane the youngest comes last."""
    return db.rows("SELECT tenant, store, lane, watermark FROM streams ORDER BY born")


class ReadModels(Views):
    """Answers from memory; `run` keeps it up to date."""

    def __init__(self, *, storage: Storage, presence: PresenceBook, clock: Clock, counters: Counters) -> None:
        self._storage = storage
        self._presence = presence
        self._clock = clock
        self._counters = counters
        self._stores: dict[tuple[str, str], StoreState] = {}
        self._more = asyncio.Event()
        self._catching_up = asyncio.Lock()
        self._fleet: tuple[FleetRow, ...] = ()
        self._drawn: dict[tuple[str, str], tuple[object, FleetRow]] = {}
        self.row = 0
        """The last row that was applied."""

    # ---------------------------------------------------------------- following

    async def run(self) -> None:
        """Follow the stored events until cancelled."""
        while True:
            self._more.clear()
            await self.catch_up()
            await self._more.wait()

    def wake(self) -> None:
        """There are more events."""
        self._more.set()

    def progressed(self, place: Place, watermark: int) -> None:
        """A stream has advanced to `watermark`."""
        self._state(place.tenant, place.store).watermarks[place.lane] = watermark
        self.wake()

    async def catch_up(self) -> int:
        """Apply all events that are not applied yet; how many."""
        async with self._catching_up:
            return await self._follow()

    async def rebuild(self) -> int:
        """Forget everything and read all events again; how many."""
        async with self._catching_up:
            self._stores.clear()
            self._drawn.clear()
            self.row = 0
            return await self._follow()

    async def _follow(self) -> int:
        if self.row == 0:
            for tenant, store, lane, watermark in await self._storage.read(_watermarks):
                self._state(tenant, store).watermarks[lane] = watermark
        applied = 0
        while rows := await self._storage.read(lambda db: _rows(db, self.row)):
            for row in rows:
                self._apply(row)
                self.row = row.row
            applied += len(rows)
            await asyncio.sleep(0)  # a long way back must not keep the event loop
        return applied

    def _state(self, tenant: str, store: str) -> StoreState:
        key = (tenant, store)
        if key not in self._stores:
            self._stores[key] = StoreState(tenant, store)
        return self._stores[key]

    def _apply(self, row: EventRow) -> None:
        state = self._state(row.tenant, row.store)
        if row.dead is not None:
            state.dead_letters += 1
            zh, en, level = dead_letter(row.dead)
            state.show(EventView(row.row, row.received_ms, row.type, zh, en, level))
            return
        if not row.counted:
            return
        try:
            envelope = decode_envelope(row.raw)
            data = decode_data(envelope)
        except BadEventError:
            self._counters.add("projection_unreadable_event")  # stored by a version that knew more than this one
            return
        time_ms = row.received_ms if envelope.clockquality == "unknown" else parse_ms(envelope.time)
        time_ms = row.received_ms if time_ms is None else time_ms
        if data is None:
            zh, en, level = unknown(row.type)
        else:
            try:
                state.apply(data, time_ms)
            except UnreadableDocumentError:
                self._counters.add("projection_unreadable_document")
            zh, en, level = sentence(data, state.names)
        if state.listed(data):
            state.show(EventView(row.row, time_ms, row.type, zh, en, level))

    # ---------------------------------------------------------------- views

    def fleet(self) -> tuple[FleetRow, ...]:
        """All stores, by tenant and store; the same object while nothing changed."""
        now_ms = unix_ms(self._clock.wall())
        for tenant, store in self._presence.stores():
            self._state(tenant, store)
        rows = tuple(self._row(self._stores[key], now_ms) for key in sorted(self._stores))
        if rows != self._fleet:
            self._fleet = rows
        return self._fleet

    def _row(self, state: StoreState, now_ms: int) -> FleetRow:
        """The store's line, drawn anew only when something it shows has changed."""
        key = (state.tenant, state.store)
        online = self._presence.online(*key, now_ms)
        stamp = (state.revision, online, self._presence.last_seen_ms(*key), day_of(now_ms))
        drawn = self._drawn.get(key)
        if drawn is None or drawn[0] != stamp:
            drawn = self._drawn[key] = (stamp, fleet_row(state, self._presence, now_ms))
        return drawn[1]

    def store(self, tenant: str, store: str) -> StoreView | None:
        """One store; None for one never heard of."""
        if (tenant, store) not in self._stores and (tenant, store) not in self._presence.stores():
            return None
        return store_view(self._state(tenant, store), self._presence, unix_ms(self._clock.wall()))

    def counters(self) -> dict[str, int]:
        """What the bridge did, dropped and refused, by name."""
        return self._counters.snapshot()

    # ---------------------------------------------------------------- facts for requests

    def offers(self, tenant: str, store: str) -> Offers:
        """What to offer in this store now."""
        state = self._stores.get((tenant, store))
        if state is None:
            return Offers()
        return recommend(state.bought, state.names.products, state.stock())

    def points_earned(self, tenant: str, member_ref: str) -> int:
        """Points earned since the import, in all stores of the tenant."""
        return sum(state.earned.get(member_ref, 0) for (owner, _), state in self._stores.items() if owner == tenant)
