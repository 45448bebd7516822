"""The read models of all stores: they follow each stream's events, in memory, and can be made anew any time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection
from functools import partial

from cloud_bridge.counters import Counters
from cloud_bridge.ingest.streams import Place
from cloud_bridge.presence import PresenceBook
from cloud_bridge.read_models.alarms import loss_alarm, losses
from cloud_bridge.read_models.drawing import fleet_row, store_view
from cloud_bridge.read_models.following import EventRow, Key, Stream, next_events, streams_of
from cloud_bridge.read_models.sentences import dead_letter, unknown
from cloud_bridge.read_models.state import StoreState, UnreadableDocumentError
from cloud_bridge.read_models.tallies import day_of
from cloud_bridge.recommend import Offers, recommend
from cloud_bridge.storage import Storage
from cloud_bridge.views import FleetRow, StoreView, Views
from contracts.clock import Clock, unix_ms
from contracts.envelope import BadEventError, decode_data, decode_envelope
from contracts.event_types import EventData
from contracts.known_events import decode_known

log = logging.getLogger("zhanggui.cloud_bridge")
LOOK_EVERY_S = 1.0  # at all streams: other bridges take events in too
TELL_EVERY_S = 5.0  # how far a long way back has come
SHARE = 0.1  # of the time, for catching up while stores send
MAX_PAUSE_S = 0.5


class ReadModels(Views):
    """Answers from memory; `run` keeps it up to date."""

    def __init__(self, *, storage: Storage, presence: PresenceBook, clock: Clock, counters: Counters) -> None:
        self._storage = storage
        self._presence = presence
        self._clock = clock
        self._counters = counters
        self._stores: dict[tuple[str, str], StoreState] = {}
        self._more = asyncio.Event()
        self._moved: set[Key] = set()
        self._catching_up = asyncio.Lock()
        self._fleet: tuple[FleetRow, ...] = ()
        self._drawn: dict[tuple[str, str], tuple[object, FleetRow]] = {}
        self._read: dict[int, int] = {}
        self.row = 0
        """How many events were applied: the number of the last one."""
        self.caught_up = False
        """Whether all that was stored before the start is applied."""

    # ---------------------------------------------------------------- following

    async def run(self) -> None:
        """Follow the stored events until cancelled: what this process took in at once, the rest by looking."""
        loop = asyncio.get_running_loop()
        await self.catch_up()
        look_s = loop.time() + LOOK_EVERY_S
        while True:
            if not self._moved:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(look_s):
                        await self._more.wait()
            self._more.clear()
            moved, self._moved = self._moved, set()
            if loop.time() >= look_s:
                await self.catch_up()
                look_s = loop.time() + LOOK_EVERY_S
            else:
                async with self._catching_up:
                    await self._follow(moved)

    def progressed(self, place: Place, watermark: int) -> None:
        """A stream has advanced to `watermark`, by this process."""
        self._state(place.tenant, place.store).watermarks[place.lane] = watermark
        self._moved.add((place.tenant, place.store))
        self._more.set()

    async def catch_up(self) -> int:
        """Apply all events that are not applied yet; how many."""
        async with self._catching_up:
            applied = await self._follow(None)
            self.caught_up = True
            return applied

    async def rebuild(self) -> int:
        """Forget everything and read all events again; how many."""
        async with self._catching_up:
            self._stores.clear()
            self._drawn.clear()
            self._read.clear()
            self.row = 0
            return await self._follow(None)

    async def behind(self) -> int:
        """How many sequences are stored and not applied yet."""
        return sum(
            max(0, stream.watermark - self._read.get(stream.key, 0)) for stream in await self._storage.read(streams_of)
        )

    async def _follow(self, moved: Collection[Key] | None) -> int:
        """Apply what is new in the streams of the stores that moved, or (None) in all; how many."""
        applied, began_s = 0, asyncio.get_running_loop().time()
        if moved is None:
            for loss in await self._storage.read(losses):
                alarm = loss_alarm(loss.lane, loss.first, loss.last)
                self._state(loss.tenant, loss.store).alarm(alarm, loss.noticed_ms)
        while waiting := await self._waiting(moved):
            for (tenant, store), wanted in waiting.items():
                state = self._state(tenant, store)
                step_s = asyncio.get_running_loop().time()
                found, read = await self._storage.read(partial(next_events, wanted=wanted))
                for row in found:
                    self.row += 1
                    self._apply(state, row)
                state.say()
                self._read.update(read)
                applied += len(found)
                if step_s - began_s >= TELL_EVERY_S:
                    log.info("read models: %d events read, more to come", self.row)
                    began_s = step_s
                await self._give_way(step_s)
        return applied

    async def _waiting(self, moved: Collection[Key] | None) -> dict[Key, list[tuple[Stream, int]]]:
        """Of each store that has something new: its streams, and after which sequence."""
        waiting: dict[Key, list[tuple[Stream, int]]] = {}
        for stream in await self._storage.read(partial(streams_of, stores=moved)):
            self._state(stream.tenant, stream.store).watermarks[stream.lane] = stream.watermark
            if stream.watermark > (after := self._read.get(stream.key, 0)):
                waiting.setdefault((stream.tenant, stream.store), []).append((stream, after))
        return waiting

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
