"""The bridge put together: storage, ingest, presence, read models, requests and the MQTT shell, under one roof.

By its role a process does all of it, or one half: `ingest` takes in what stores say, `pages` shows it and answers
questions. The halves meet in the database alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from random import Random

from cloud_bridge.commands import CommandDesk
from cloud_bridge.counters import Counters
from cloud_bridge.full_lanes import LimitedViews, full_lanes
from cloud_bridge.ingest.service import Ingest
from cloud_bridge.members import import_into
from cloud_bridge.mqtt import MqttShell
from cloud_bridge.presence import HEARTBEAT_MS, PresenceBook, load_presence
from cloud_bridge.read_models import ReadModels
from cloud_bridge.requests import Requests
from cloud_bridge.router import Router
from cloud_bridge.settings import Role, Settings
from cloud_bridge.storage import Storage, StorageError, open_storage
from cloud_bridge.supervisor import Supervisor
from contracts.clock import Clock, SystemClock, unix_ms
from contracts.tasks import end
from contracts.topics import ALL_UP, SHARED_REQUESTS, SHARED_UP

PING_WITHIN_S = 2.0
PRESENCE_EVERY_S = HEARTBEAT_MS / 10_000  # store seconds; another bridge may have heard of a store
_SUBSCRIPTIONS: dict[Role, str] = {"all": ALL_UP, "ingest": SHARED_UP, "pages": SHARED_REQUESTS}


@dataclass(frozen=True, slots=True)
class Ping:
    """Whether one service does its work now, and a word on it."""

    ok: bool
    detail: str
    crashes: int = 0


class Bridge:
    """Everything one bridge process owns.

    `clock` is the time of the stores, which a demo may speed up; waits for the network are real time.
    """

    def __init__(self, settings: Settings, *, clock: Clock, rng: Random, storage: Storage | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self.counters = Counters()
        self.storage = storage or open_storage(settings.database)
        self.presence = PresenceBook(self.counters)
        self.models = ReadModels(storage=self.storage, presence=self.presence, clock=clock, counters=self.counters)
        self.views = LimitedViews(self.models)
        shows = settings.role != "ingest"
        ingest = Ingest(
            storage=self.storage,
            clock=clock,
            counters=self.counters,
            on_progress=self.models.progressed if shows else None,
        )
        requests = Requests(storage=self.storage, facts=self.models, clock=clock, counters=self.counters)
        self.commands = CommandDesk(
            storage=self.storage,
            publish=lambda *said: self.shell.publish(*said),  # noqa: PLW0108 - made further down
            connected=lambda: self.shell.connected.is_set(),  # noqa: PLW0108 - made further down
            clock=clock,
            counters=self.counters,
        )
        self.router = Router(
            storage=self.storage,
            ingest=ingest,
            presence=self.presence,
            requests=requests if shows else None,
            clock=clock,
            counters=self.counters,
            commands=self.commands,
        )
        self.shell = MqttShell(
            url=settings.mqtt_url,
            router=self.router,
            clock=SystemClock(),
            rng=rng,
            counters=self.counters,
            on_queued=ingest.queued,
            subscription=_SUBSCRIPTIONS[settings.role],
        )
        self.supervisor = Supervisor(clock=SystemClock(), rng=rng)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve until left. Raises StorageError, OSError, MembersFileError when it cannot start."""
        self.storage.open()
        try:
            self.presence.follow(await self.storage.read(load_presence))
            await self._look_for_full_lanes()
            if self._settings.members_file is not None:
                await import_into(self.storage, self._settings.members_file, tenant=self._settings.members_tenant)
            async with asyncio.TaskGroup() as group:
                services = {"mqtt": self.shell.run, "commands": self.commands.run}
                if self._settings.role != "ingest":
                    services |= {"read_models": self.models.run, "presence": self._follow_presence}
                tasks = [
                    group.create_task(self.supervisor.keep(name, run), name=f"cloud-{name}")
                    for name, run in services.items()
                ]
                try:
                    yield
                finally:
                    await end(tasks)
        finally:
            await asyncio.to_thread(self.storage.close)

    async def pings(self) -> dict[str, Ping]:
        """How each service fares, by name."""
        connected = self.shell.connected.is_set()
        found = {
            "storage": await self._ping_storage(),
            "mqtt": Ping(connected, "connected" if connected else "the broker is away"),
        }
        if self._settings.role != "ingest":
            found["read_models"] = await self._ping_models()
            health = self.supervisor.services.get("presence")
            found["presence"] = Ping(health is not None and health.running, "follows the database")
        orders = self.supervisor.services.get("commands")
        found["commands"] = Ping(orders is not None and orders.running, "publishes")
        for name, health in self.supervisor.services.items():
            found[name] = replace(found[name], crashes=health.crashes)
        return found

    async def _follow_presence(self) -> None:
        while True:
            await self._clock.sleep(PRESENCE_EVERY_S)
            self.presence.follow(await self.storage.read(load_presence))
            await self._look_for_full_lanes()

    async def _look_for_full_lanes(self) -> None:
        now_ms = unix_ms(self._clock.wall())
        if self.views.due(now_ms):
            self.views.follow(await self.storage.read(full_lanes), now_ms)

    async def _ping_storage(self) -> Ping:
        try:
            async with asyncio.timeout(PING_WITHIN_S):
                await self.storage.write(lambda db: db.one("SELECT 1"))
        except StorageError as error:
            return Ping(False, str(error))
        except TimeoutError:
            return Ping(False, f"no commit within {PING_WITHIN_S:.0f} s")
        return Ping(True, "commits")

    async def _ping_models(self) -> Ping:
        try:
            behind = await self.models.behind()
        except StorageError as error:
            return Ping(False, str(error))
        health = self.supervisor.services.get("read_models")
        running = health is not None and health.running
        if behind and not self.models.caught_up:
            return Ping(False, f"not ready: {self.models.row} events read, {behind} to go")
        return Ping(running, f"{behind} events behind" if behind else "up to date")
