"""The cloud: several real bridges over one real database, and the truth about that database."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Protocol

from cloud_bridge.commands import CommandDesk, book
from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest, move_lease
from cloud_bridge.mqtt import MqttShell
from cloud_bridge.presence import PresenceBook, load_presence
from cloud_bridge.read_models import ReadModels
from cloud_bridge.requests import Requests
from cloud_bridge.router import Router
from cloud_bridge.storage import Db
from cloud_bridge.storage.sqlite import SqliteDb
from contracts.clock import unix_ms
from contracts.messages import HelloAnswer
from contracts.topics import ALL_UP, SHARED_UP
from simulators.faultworld import invariants
from simulators.faultworld.clocks import WORLD_BEGINS, BoxClock
from simulators.faultworld.disk import no_faults
from simulators.faultworld.disks import Folder, InlineStorage
from simulators.faultworld.invariants import Violation
from simulators.faultworld.machines import TENANT, as_violation, watermark_said
from simulators.faultworld.network import Network, SimPort
from simulators.faultworld.process import Process
from simulators.faultworld.truth import CloudGap, CloudRow, CloudTruth, Truth

NEW_EVENTS = """
    SELECT e.rowid, s.stream, e.seq, e.raw, e.hash, e.dead, e.counted FROM events e JOIN streams s ON s.born = e.stream
    WHERE e.rowid > ? ORDER BY e.rowid
"""
GAPS = "SELECT s.stream, g.first, g.last, g.last_hash FROM gaps g JOIN streams s ON s.born = g.stream"
MARKS = "SELECT stream, watermark, hash FROM streams"
FEW_STREAMS = 32  # with more, watermarks are compared at rest only
LOST = "SELECT stream, first, last FROM lost"
LOSERS = "SELECT DISTINCT s.store FROM lost l JOIN streams s ON s.stream = l.stream"
HOLDERS = "SELECT store, instance FROM leases"


class CloudSurroundings(Protocol):
    """What the cloud needs of its world."""

    network: Network
    truth: Truth
    window: int
    shared: bool
    with_commands: bool

    def rng(self, name: str) -> Random: ...
    def on_step(self, process: Process, what: str) -> None: ...
    def fail(self, violation: Violation) -> None: ...
    def note(self, what: str) -> None: ...


class Database:
    """The cloud's file, as seen from outside of the bridge."""

    def __init__(self, world: CloudSurroundings, folder: Folder) -> None:
        self._world = world
        self.folder = folder
        self._reader: sqlite3.Connection | None = None

    def committed(self) -> None:
        """A commit has been made: compare what is new with what may be there."""
        plan, self.folder.plan = self.folder.plan, no_faults  # the judge's own reads do not fail
        try:
            self._look()
        except Violation as violation:
            self._world.fail(violation)
        finally:
            self.folder.plan = plan

    def _look(self) -> None:
        truth = self._world.truth
        cloud = truth.cloud
        reader = self.reader()
        reader.execute("BEGIN")  # one look, and the file is locked once for it
        try:
            rows = [CloudRow._make((*row[1:6], bool(row[6]))) for row in self._new(reader, cloud)]
            gaps = [CloudGap(*row) for row in reader.execute(GAPS)] if rows else []
            marks = reader.execute(MARKS).fetchall() if len(cloud.streams) <= FEW_STREAMS else []
            holders = reader.execute(HOLDERS).fetchall()
        finally:
            reader.execute("COMMIT")
        known = {name: {gap.first for gap in found} for name, found in cloud.gaps.items()}
        gaps = [gap for gap in gaps if gap.first not in known.get(gap.stream, ())]
        invariants.cloud_holds_only_what_an_edge_wrote(truth, rows)
        invariants.no_event_is_a_dead_letter(rows)
        invariants.cloud_is_a_gapless_chain(cloud, rows, gaps)
        for gap in gaps:
            cloud.gaps.setdefault(gap.stream, []).append(gap)
        invariants.watermark_is_what_is_held(cloud, marks)
        invariants.events_are_in_order(cloud, rows)
        invariants.nothing_counts_twice(cloud, rows)
        invariants.refused_never_appears(truth, cloud.births)
        truth.holders.update(holders)

    def at_rest(self) -> None:
        """Look at every watermark once more. Raises Violation."""
        invariants.watermark_is_what_is_held(self._world.truth.cloud, self.reader().execute(MARKS))

    def _new(self, reader: sqlite3.Connection, cloud: CloudTruth) -> list[tuple[Any, ...]]:
        found = reader.execute(NEW_EVENTS, (cloud.rows,)).fetchall()
        if found:
            cloud.rows = found[-1][0]
        return found

    def lost(self) -> dict[str, list[tuple[int, int]]]:
        """Ranges that the cloud calls lost, by stream."""
        ranges: dict[str, list[tuple[int, int]]] = {}
        for stream, first, last in self.reader().execute(LOST):
            ranges.setdefault(stream, []).append((first, last))
        return ranges

    def losers(self) -> set[str]:
        """Stores of which the cloud calls a range lost."""
        return {store for (store,) in self.reader().execute(LOSERS)}

    def verdicts(self, commands: Mapping[str, str], now_s: float) -> dict[str, str]:
        """What the cloud says of commands (by id, with their store); nothing of those it does not know any more."""
        db = SqliteDb(self.reader())
        found: dict[str, str] = {}
        for command, store in commands.items():
            known = book.find(db, TENANT, store, command)
            if known is not None:
                found[command] = known.verdict(int((WORLD_BEGINS + now_s) * 1000)).state
        return found

    def reader(self) -> sqlite3.Connection:
        """A connection that looks only."""
        if self._reader is None:
            uri = f"{(self.folder.path / 'cloud.db').as_uri()}?mode=ro"
            self._reader = self.folder.opened(sqlite3.connect(uri, uri=True, isolation_level=None))
        return self._reader

    def power_cut(self, rng: Random) -> None:
        """The disk as it is after the power failed: whatever had been committed is there."""
        self.folder, self._reader = self.folder.after_power_cut(rng), None
        if (self.folder.path / "cloud.db").exists() and self._world.truth.cloud.rows:
            self.committed()
            try:
                self.at_rest()
            except Violation as violation:
                self._world.fail(violation)

    def restored(self, image: Path, then: CloudTruth) -> Folder:
        """An old copy takes the place of the file; nobody may have it open."""
        truth = self._world.truth
        truth.lossy = True
        truth.lost_by_cloud |= truth.cloud.held - then.held
        truth.cloud = then.copy()
        folder = Folder(self.folder.path.parent, faulty=self.folder.disk is not None, files=image)
        self.folder.close()
        self.folder, self._reader = folder, None
        return folder


class Worker:
    """One bridge process after the other, under one name."""

    def __init__(self, world: CloudSurroundings, database: Database, name: str) -> None:
        self.world = world
        self.name = name
        self.process: Process | None = None
        self._database = database
        self._boots = 0

    def boot(self) -> None:
        """Start the bridge."""
        self._boots += 1
        process = self.process = Process(self.name, on_step=self.world.on_step, part=self)
        process.on_death.append(self._died)
        process.spawn(self._live(process), "main").add_done_callback(partial(self._ended, process))
        self.world.note(f"{self.name} starts")

    def die(self) -> None:
        """The process ends now."""
        if self.process is not None:
            self.process.die()

    def _died(self) -> None:
        self.world.note(f"{self.name} dies")
        self.process = None

    def _ended(self, process: Process, task: asyncio.Task[Any]) -> None:
        if process.dead or task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.world.fail(as_violation(self.name, error))

    async def _live(self, process: Process) -> None:
        world = self.world
        clock = BoxClock(asyncio.get_running_loop(), drift=0.0, offset_s=lambda: 0.0)
        storage = InlineStorage(self._database.folder, process=process, committed=self._database.committed)
        storage.open()
        process.on_death.append(storage.close)
        counters = Counters()
        presence = PresenceBook(counters)
        presence.follow(await storage.read(load_presence))
        models = ReadModels(storage=storage, presence=presence, clock=clock, counters=counters)
        ingest = Ingest(storage=storage, clock=clock, counters=counters, window=world.window)
        desk = CommandDesk(
            storage=storage,
            publish=lambda *said: shell.publish(*said),  # noqa: PLW0108  # made further down
            connected=lambda: shell.connected.is_set(),  # noqa: PLW0108  # made further down
            clock=clock,
            counters=counters,
        )
        router = Router(
            commands=desk,
            storage=storage,
            ingest=ingest,
            presence=presence,
            requests=Requests(storage=storage, facts=models, clock=clock, counters=counters),
            clock=clock,
            counters=counters,
        )
        shell = MqttShell(
            url="mqtt://broker",
            router=router,
            clock=clock,
            rng=world.rng(f"{self.name} {self._boots}"),
            counters=counters,
            port=SimPort(world.network, self.name),
            on_queued=ingest.queued,
            subscription=SHARED_UP if world.shared else ALL_UP,
        )
        if world.with_commands:
            process.spawn(desk.run(), "commands").add_done_callback(partial(self._ended, process))
        await shell.run()

    def published(self, topic: str, payload: bytes) -> None:
        """The bridge hands a message to the broker."""
        hello = "/down/hello/" in topic
        if not hello and "/down/ack/" not in topic:
            return
        said = watermark_said(payload, hello=hello)
        if said is not None:
            try:
                invariants.acknowledged_is_durable(self.world.truth, said)
                if isinstance(said, HelloAnswer):
                    invariants.only_the_holder_of_the_lease_is_active(self.world.truth, said)
            except Violation as violation:
                self.world.fail(violation)


async def order(database: Database, process: Process, *, store: str, command: str, kind: str, ttl_s: float) -> None:
    """The operator issues a command, if the store was ever heard."""
    storage = InlineStorage(database.folder, process=process, committed=database.committed)
    storage.open()
    clock = BoxClock(asyncio.get_running_loop(), drift=0.0, offset_s=lambda: 0.0)
    now_ms = unix_ms(clock.wall())
    expires_ms = now_ms + int(ttl_s * 1000)

    def issue(db: Db) -> None:
        stream = book.target(db, TENANT, store)
        if stream is not None:
            args: dict[str, str | int | None] = {"device": command}
            book.issue(
                db, book.Issued(TENANT, store, command, stream, kind, args, "operator", now_ms, expires_ms, lost=False)
            )

    try:
        await storage.write(issue)
    finally:
        storage.close()


async def give_lease(database: Database, process: Process, *, store: str, instance: str) -> None:
    """The operator's act: from now on this instance speaks for the store."""
    storage = InlineStorage(database.folder, process=process, committed=database.committed)
    storage.open()
    try:
        clock = BoxClock(asyncio.get_running_loop(), drift=0.0, offset_s=lambda: 0.0)
        await move_lease(storage, tenant=TENANT, store=store, instance=instance, now_ms=unix_ms(clock.wall()))
    finally:
        storage.close()
