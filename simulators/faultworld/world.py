"""One run: the schedule is carried out, then faults stop, and everything has to come to rest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import tempfile
import unittest.mock
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import contracts.ids
from cloud_bridge.storage import StorageError
from contracts.event_types import LANES
from mqtt_link.port import Incoming
from simulators.faultworld import invariants
from simulators.faultworld.cloud import Database, Worker, order
from simulators.faultworld.disks import Folder
from simulators.faultworld.invariants import Violation
from simulators.faultworld.loop import StuckError, VirtualLoop
from simulators.faultworld.machines import COMMAND, Machine, as_violation
from simulators.faultworld.mishaps import Mishaps
from simulators.faultworld.network import Network, Slip
from simulators.faultworld.process import Process
from simulators.faultworld.schedule import Deed, Fault, Schedule
from simulators.faultworld.template import empty_cloud
from simulators.faultworld.truth import Timeline, Truth

REST_WITHIN_S = 900.0  # virtual seconds after the last fault; back-offs are at most 30 s
LEASE_PATIENCE_S = 30.0
STORM_WITHIN_S = 30.0
STORM_CONNECTS = 25  # full jitter from 1 s (bridge: 0.5 s) on, doubled each time: about ten in half a minute
RAM = Path("/dev/shm")  # noqa: S108  # memory, where there is such a place
_place: list[Path] = []  # where runs of this process keep their files; `keep_files_in` sets it
_CLOUD_DISK = frozenset({"worker_full", "worker_eio", "cloud_power_at"})
_DISK_FAMILIES = frozenset({"power", "power_at", "full", "eio", *_CLOUD_DISK})


@dataclass(slots=True)
class Outcome:
    """What a run came to. `violation` is None when every rule held."""

    schedule: Schedule
    violation: Violation | None = None
    virtual_s: float = 0.0
    rest_s: float = 0.0
    steps: int = 0
    events: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)


def run(schedule: Schedule, *, traced: bool = False, look: Callable[[World], None] | None = None) -> Outcome:
    """Carry out a schedule. The same schedule always gives the same outcome. `look` sees the world at its end."""
    outcome = Outcome(schedule)
    root = new_place()
    loop = VirtualLoop()
    loop.set_exception_handler(partial(_unhandled, outcome))
    try:
        with _same_identities(schedule.seed), _quiet():
            loop.run_until_complete(_play(schedule, root, outcome, traced, look))
    except StuckError as error:
        outcome.violation = outcome.violation or Violation("it_comes_to_rest", str(error))
    finally:
        outcome.virtual_s, outcome.steps = loop.time(), loop.steps
        loop.close()
        shutil.rmtree(root, ignore_errors=True)
    return outcome


def new_place() -> Path:
    """A new folder for disks, in memory where that is possible."""
    place = _place[-1] if _place else RAM
    return Path(tempfile.mkdtemp(prefix="faultworld-", dir=place if place.is_dir() else None))


def keep_files_in(place: Path) -> None:
    """Runs of this process keep their files there from now on: whoever ends the process can then remove them."""
    _place.append(place)


def _unhandled(outcome: Outcome, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An error that nobody took: of a callback it is a fault; of a task that was cut down it means nothing."""
    error = context.get("exception")
    if error is not None and "handle" in context and outcome.violation is None:
        outcome.violation = Violation("nobody_falls", f"{context.get('message')}: {type(error).__name__}: {error}")


async def _play(
    schedule: Schedule, root: Path, outcome: Outcome, traced: bool, look: Callable[[World], None] | None
) -> None:
    world = World(schedule, root, outcome, traced)
    try:
        await world.play()
        if look is not None:
            look(world)
    except Violation as violation:
        outcome.violation = outcome.violation or violation
    finally:
        await world.end()


@contextlib.contextmanager
def _same_identities(seed: int) -> Iterator[None]:
    """Fresh identities come from the seed while the run lasts."""
    rng = Random(f"identities {seed}")
    same = SimpleNamespace(uuid4=lambda: uuid.UUID(int=rng.getrandbits(128), version=4))
    with unittest.mock.patch.object(contracts.ids, "uuid", same):
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the code logs of the faults it survives is not of interest here."""
    log = logging.getLogger("zhanggui")
    before = log.disabled, log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.disabled = before[0]
        log.setLevel(before[1])


class World:
    """All machines, workers, links and disks of one run."""

    def __init__(self, schedule: Schedule, root: Path, outcome: Outcome, traced: bool) -> None:
        self.schedule = schedule
        self.outcome = outcome
        self.truth = Truth()
        self.progress_timeout_s = schedule.progress_timeout_s
        self.telemetry_rows = schedule.telemetry_rows
        self.window = schedule.window
        self.shared = schedule.shared
        self.with_commands = any(deed.what == "command" for deed in schedule.deeds)
        self._orders: dict[str, str] = {}
        self._loop = asyncio.get_running_loop()
        self._traced = traced
        self.root = root
        self._births = 0
        self.calm = False
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._leases: dict[int, float] = {}
        self._mishaps = Mishaps(self)
        self.operator = Process("operator", on_step=lambda _process, _what: None)
        slips = {(slip.link, slip.n): Slip(slip.kind, slip.extra_s) for slip in schedule.slips}
        self.network = Network(seed=schedule.seed, slips=slips, watcher=self, latency_s=schedule.latency_s)
        kinds = {fault.kind for fault in schedule.faults}
        self.faulty = bool(kinds & _DISK_FAMILIES)
        self.database = Database(self, Folder(root, faulty=bool(kinds & _CLOUD_DISK)))
        if schedule.first_s > 0.0:
            (self.database.folder.path / "cloud.db").write_bytes(empty_cloud())
        self.workers = [Worker(self, self.database, f"w{n}") for n in range(schedule.workers)]
        self.machines = [self.machine(f"s{n}", n) for n in range(schedule.stores)]

    def machine(self, name: str, store: int, files: Path | None = None, timeline: Timeline | None = None) -> Machine:
        """A box of a store, with a disk of its own or a copy of another's."""
        folder = Folder(self.root, faulty=self.faulty, files=files)
        drift = self.rng(f"drift {name}").choice((0.0, 8e-5, -8e-5))
        return Machine(self, name=name, store=store, folder=folder, timeline=timeline or Timeline(), drift=drift)

    def parts(self) -> tuple[Machine | Worker, ...]:
        """Everything that is a process: it boots and dies."""
        return (*self.machines, *self.workers)

    # -------------------------------------------------------------- what the parts need

    def rng(self, name: str) -> Random:
        """Chance for one purpose, the same in every run of the seed."""
        return Random(f"{self.schedule.seed}/{name}")

    def next_birth(self) -> int:
        self._births += 1
        return self._births

    def note(self, what: str) -> None:
        """A line of the trace."""
        if self._traced:
            self.outcome.trace.append(f"{self._loop.time():10.3f}  {what}".replace(str(self.root), ""))

    def fail(self, violation: Violation) -> None:
        """A rule is broken: the run ends."""
        if self.outcome.violation is None:
            self.outcome.violation = violation
            self.note(f"BROKEN {violation}")
        if not self._over.done():
            self._over.set_result(None)

    def on_step(self, process: Process, what: str) -> None:
        """A process touches the world; it may be its last step."""
        if self._traced:
            self.note(f"{process.name} {what}")
        armed = self._mishaps.armed.get(process.name)
        if armed is None:
            return
        armed.left -= 1
        if armed.left <= 0:
            del self._mishaps.armed[process.name]
            self.happened("died at a step")
            armed.die()

    def published(self, process: Process, topic: str, payload: bytes) -> None:
        """A client hands a message to the broker."""
        if self._traced:
            self.note(f"{process.name} > {_short(topic)} {len(payload)} bytes")
        if isinstance(process.part, Machine | Worker):
            process.part.published(topic, payload)

    def delivered(self, process: Process, message: Incoming) -> None:
        """A client takes a message out of its queue."""
        if self._traced:
            self.note(f"{process.name} < {_short(message.topic)}")
        if isinstance(process.part, Machine):
            process.part.delivered(message)

    def connected(self, process: Process, link: str) -> None:
        """The broker has accepted a client's connection."""
        process.connects.append(self._loop.time())
        try:
            invariants.nobody_storms(link, process.connects, STORM_WITHIN_S, STORM_CONNECTS)
        except Violation as violation:
            self.fail(violation)

    def happened(self, what: str) -> None:
        """Count it for the report."""
        self.outcome.happened[what] += 1

    # -------------------------------------------------------------- the run

    async def play(self) -> None:
        """Carry out the schedule, then wait for rest. Raises Violation."""
        schedule = self.schedule
        for part in self.parts():
            part.boot()
        entries: list[tuple[float, Deed | Fault]] = [(entry.at_s, entry) for entry in schedule.deeds]
        entries += [(entry.at_s, entry) for entry in schedule.faults]
        for at_s, entry in sorted(entries, key=lambda item: item[0]):
            if not await self._until(at_s):
                return
            if isinstance(entry, Deed):
                self._deed(entry)
            else:
                self._mishaps.happen(entry)
        if not await self._until(schedule.end_s):
            return
        await self._come_to_rest()
        if self.outcome.violation is None and self.truth.lossy:
            for machine in self.machines:  # business goes on: an idle store need not notice that the cloud lost data
                if machine.uplink is not None and not machine.uplink.standby:
                    machine.append("ledger", 0)
                    machine.append("telemetry", 0)
            await self._come_to_rest()
        if self.outcome.violation is None:
            self._judge_at_rest()

    async def _until(self, at_s: float) -> bool:
        """Wait for a moment; False if a rule was broken before."""
        if (left_s := at_s - self._loop.time()) > 0:
            await asyncio.wait({self._over}, timeout=left_s)
        return not self._over.done()

    async def end(self) -> None:
        """Everything stops; files are closed."""
        self.calm = True
        self.outcome.happened.update(self.network.happened)
        self.outcome.events = len(self.truth.cloud.held)
        processes = [part.process for part in self.parts() if part.process is not None]
        for machine in self.machines:
            self.count(machine)
        for part in self.parts():
            part.die()
        self.operator.die()
        for process in (*processes, self.operator):
            await process.gone()
        for folder in (*(machine.folder for machine in self.machines), self.database.folder):
            folder.close()

    def count(self, machine: Machine) -> None:
        """Take a process's own counters into the report, before they go with it."""
        if machine.uplink is not None:
            for name in ("fork_restored", "fork_cloud_loss", "no_progress", "refused", "not_active"):
                total = sum(machine.uplink.counters.get(f"{lane}_{name}", 0) for lane in LANES)
                if total:
                    self.outcome.happened[f"uplink {name}"] += total

    # -------------------------------------------------------------- deeds

    def _deed(self, deed: Deed) -> None:
        here = [machine for machine in self.machines if machine.store_index == deed.store]
        if not here:
            return
        machine = here[self._births % len(here)]
        if deed.what == "command":
            self._order(machine.store, deed.ttl_s)
            return
        for _ in range(deed.count):
            machine.append(deed.what, deed.size)

    def _order(self, store: str, ttl_s: float) -> None:
        command = f"cmd{len(self._orders)}"
        self._orders[command] = store
        # The machine may get it before the operator hears that it stands: what is said first is when it ends.
        self.truth.expiry_s[command] = float(int((self._loop.time() + ttl_s) * 1000) / 1000)
        if not (self.database.folder.path / "cloud.db").exists():
            return
        work = order(self.database, self.operator, store=store, command=command, kind=COMMAND, ttl_s=ttl_s)
        self.ask(work, "order")

    def ask(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """The operator does something; if the cloud's disk does not let it happen, it did not."""

        def done(task: asyncio.Task[Any]) -> None:
            if not task.cancelled() and (error := task.exception()) and not isinstance(error, StorageError):
                self.fail(as_violation("operator", error))

        self.operator.spawn(work, name).add_done_callback(done)

    def moved(self, command: str) -> None:
        """A device moves, now."""
        self.note(f"EFFECT {command}")
        self.happened("command done")
        self.truth.pulses.append((command, self._loop.time()))
        try:
            invariants.a_command_acts_at_most_once(self.truth.pulses)
            invariants.no_command_acts_after_its_expiry(self.truth.pulses, self.truth.expiry_s)
        except Violation as violation:
            self.fail(violation)

    # -------------------------------------------------------------- rest

    async def _come_to_rest(self) -> None:
        """Faults stop. Raises Violation if it does not come to rest."""
        self.note("faults stop")
        self._mishaps.armed.clear()
        self.network.heal()
        for folder in (*(machine.folder for machine in self.machines), self.database.folder):
            folder.recover()
        began_s = self._loop.time()
        while self._loop.time() - began_s < REST_WITHIN_S:
            for part in self.parts():
                if part.process is None:
                    part.boot()
            if not await self._until(self._loop.time() + 1.0):
                return
            if (waiting := self._waiting()) == "":
                self.outcome.rest_s = max(self.outcome.rest_s, self._loop.time() - began_s)
                self.note("at rest")
                return
        invariants.it_comes_to_rest(f"after {REST_WITHIN_S:g} s: {waiting}")

    def _waiting(self) -> str:
        """What is not at rest yet; the operator helps an instance that stands by and still holds events."""
        for machine in self.machines:
            if machine.ledger is None or machine.uplink is None:
                return f"{machine.name} does not run"
            for lane in LANES:
                view = machine.ledger.lane(lane)
                if view.tail.seq == view.freed.seq:
                    continue
                if machine.stands_by(lane) and self._loop.time() >= self._leases.get(machine.store_index, 0.0):
                    self._leases[machine.store_index] = self._loop.time() + LEASE_PATIENCE_S
                    self.happened("lease moved at rest")
                    self._mishaps.move_lease(machine)
                return f"{machine.name} {lane} holds {view.freed.seq + 1} to {view.tail.seq}"
            if not machine.uplink.online:
                return f"{machine.name} is not online"
            if machine.commands is None or machine.commands.open:
                return f"{machine.name} has commands under way"
        return ""

    def _judge_at_rest(self) -> None:
        timelines = {machine.name: machine.timeline for machine in self.machines}
        invariants.everything_owed_is_in_the_cloud(self.truth, timelines)
        self.database.at_rest()
        verdicts = self.database.verdicts(self._orders, self._loop.time() + 1e6)
        self.outcome.happened.update(f"command {said}" for said in verdicts.values() if said != "done")
        invariants.the_cloud_tells_the_truth_of_a_command(verdicts, self.truth.pulses)
        lost = self.database.lost()
        invariants.dropped_telemetry_is_declared(self.truth, timelines, lost)
        invariants.what_the_cloud_lost_is_recorded(self.truth, timelines, lost)
        alarms = Counter[str]()
        for machine in self.machines:
            alarms[machine.store] += machine.alarmed
        invariants.cloud_loss_is_told_in_the_store(self.truth, alarms, self.database.losers())


def _short(topic: str) -> str:
    return topic.removeprefix("zg/v1/t/")
