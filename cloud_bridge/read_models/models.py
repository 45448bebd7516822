"""The read models of all stores: they follow each stream's events, in memory, and can be made anew any time."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import NamedTuple

from cloud_bridge.counters import Counters
from cloud_bridge.ingest.streams import Place
from cloud_bridge.presence import PresenceBook
from cloud_bridge.read_models.alarms import loss_alarm, losses
from cloud_bridge.read_models.drawing import fleet_row, store_view
from cloud_bridge.read_models.sentences import dead_letter, unknown
from cloud_bridge.read_models.state import StoreState, UnreadableDocumentError
from cloud_bridge.read_models.tallies import day_of
from cloud_bridge.recommend import Offers, recommend
from cloud_bridge.storage import Db, Storage
from cloud_bridge.views import FleetRow, StoreView, Views
from contracts.clock import Clock, unix_ms
from contracts.envelope import BadEventError, decode_data, decode_envelope
from contracts.event_types import EventData, Lane
from contracts.known_events import decode_known

log = logging.getLogger("zhanggui.cloud_bridge")
ROWS_A_STEP = 500
SHARE = 0.1  # of the time, for catching up while stores send
MAX_PAUSE_S = 0.5


class EventRow(NamedTuple):
    """One row of `events`, as far as projections need it. `at_ms` never falls within a stream."""

    at_ms: int
    stream: int
    seq: int
    received_ms: int
    raw: bytes
    type: str | None
    dead: str | None
    counted: int


class Stream(NamedTuple):
    """One stream and how far the cloud holds it."""

    key: int
    tenant: str
    store: str
    lane: Lane
    watermark: int


def _streams(db: Db) -> list[Stream]:
    """Every stream; of each lane the youngest comes last."""
    return [Stream(*row) for row in db.rows("SELECT born, tenant, store, lane, watermark FROM streams ORDER BY born")]


def _rows(db: Db, wanted: list[tuple[Stream, int]]) -> tuple[list[EventRow], dict[int, int]]:
    """The next events of one store's streams, each after its sequence, as they came in; and how far each is read.

    Sequences rule within a stream, the time of receipt between streams.
    """
    found: list[EventRow] = []
    read: dict[int, int] = {}
    until_ms: int | None = None
    for stream, after in wanted:
        chunk = db.rows(
            """
            SELECT seq, received_ms, raw, type, dead, counted FROM events
            WHERE stream = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?
            """,
            (stream.key, after, stream.watermark, ROWS_A_STEP),
        )
        at_ms = 0
        for seq, received_ms, raw, kind, dead, counted in chunk:
            at_ms = max(at_ms, received_ms)
            found.append(EventRow(at_ms, stream.key, seq, received_ms, raw, kind, dead, counted))
        if len(chunk) == ROWS_A_STEP:
            until_ms = at_ms if until_ms is None else min(until_ms, at_ms)
        else:
            read[stream.key] = stream.watermark
    if until_ms is not None:  # what came later waits for the rest of a stream that has more
        later = {row.stream for row in found if row.at_ms > until_ms}
        found = [row for row in found if row.at_ms <= until_ms]
        read = {key: seq for key, seq in read.items() if key not in later}
    found.sort(key=lambda row: (row.at_ms, row.stream, row.seq))
    for row in found:
        read[row.stream] = max(row.seq, read.get(row.stream, 0))
    return found, read


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
        self._read: dict[int, int] = {}
        self.row = 0
        """How many events were applied: the number of the last one."""

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
            self._read.clear()
            self.row = 0
            return await self._follow()

    async def behind(self) -> int:
        """How many sequences are stored and not applied yet."""
        return sum(
            max(0, stream.watermark - self._read.get(stream.key, 0)) for stream in await self._storage.read(_streams)
        )

    async def _follow(self) -> int:
        applied = 0
        for loss in await self._storage.read(losses):
            self._state(loss.tenant, loss.store).alarm(loss_alarm(loss.lane, loss.first, loss.last), loss.noticed_ms)
        while True:
            waiting: dict[tuple[str, str], list[tuple[Stream, int]]] = {}
            for stream in await self._storage.read(_streams):
                self._state(stream.tenant, stream.store).watermarks[stream.lane] = stream.watermark
                if stream.watermark > (after := self._read.get(stream.key, 0)):
                    waiting.setdefault((stream.tenant, stream.store), []).append((stream, after))
            if not waiting:
                return applied
            for (tenant, store), wanted in waiting.items():
                state = self._state(tenant, store)
                began_s = asyncio.get_running_loop().time()
                rows, read = await self._storage.read(partial(_rows, wanted=wanted))
                for row in rows:
                    self.row += 1
                    self._apply(state, row)
                state.say()
                self._read.update(read)
                applied += len(rows)
                await self._give_way(began_s)

    async def _give_way(self, began_s: float) -> None:
        """A long way back must not keep the event loop, nor hold up stores that send: they come first."""
        pause_s = 0.0
        if self._more.is_set():
            pause_s = min(MAX_PAUSE_S, (asyncio.get_running_loop().time() - began_s) * (1 / SHARE - 1))
            self._more.clear()
        await asyncio.sleep(pause_s)

    def _state(self, tenant: str, store: str) -> StoreState:
        key = (tenant, store)
        if key not in self._stores:
            self._stores[key] = StoreState(tenant, store)
        return self._stores[key]

    def _apply(self, state: StoreState, row: EventRow) -> None:
        if row.dead is not None:
            state.dead_letters += 1
            state.show((self.row, row.received_ms, row.type or "", dead_letter(row.dead)))
            return
        if not row.counted:
            return
        whole = decode_known(row.raw)
        if whole is not None:
            self._tell(state, whole.data, state.when(whole, row.received_ms))
            return
        try:
            envelope = decode_envelope(row.raw)
            data = decode_data(envelope)
        except BadEventError:
            self._counters.add("projection_unreadable_event")  # stored by a version that knew more than this one
            return
        time_ms = state.when(envelope, row.received_ms)
        if data is None:
            state.show((self.row, time_ms, envelope.name, unknown(envelope.name)))
        else:
            self._tell(state, data, time_ms)

    def _tell(self, state: StoreState, data: EventData, time_ms: int) -> None:
        """What the vocabulary knows."""
        try:
            state.apply(data, time_ms)
        except UnreadableDocumentError:
            self._counters.add("projection_unreadable_document")
        if state.listed(data):
            state.show((self.row, time_ms, data.TYPE, data))

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
