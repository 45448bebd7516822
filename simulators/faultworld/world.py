"""One run: the schedule is carried out, then faults stop, and everything has to come to rest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import contracts.ids
from contracts.event_types import LANES
from mqtt_link.port import Incoming
from simulators.faultworld import invariants
from simulators.faultworld.cloud import Database, Worker, give_lease
from simulators.faultworld.disk import Call
from simulators.faultworld.disk import Fault as DiskFault
from simulators.faultworld.disks import Folder
from simulators.faultworld.invariants import Violation
from simulators.faultworld.loop import StuckError, VirtualLoop
from simulators.faultworld.machines import Machine
from simulators.faultworld.network import Network, Slip
from simulators.faultworld.process import Process
from simulators.faultworld.schedule import Deed, Fault, Schedule
from simulators.faultworld.truth import CloudTruth, Timeline, Truth

REST_WITHIN_S = 900.0  # virtual seconds after the last fault; back-offs are at most 30 s
LEASE_PATIENCE_S = 30.0
MAX_MACHINES = 8
STORM_WITHIN_S = 30.0
STORM_CONNECTS = 25  # full jitter from 1 s (bridge: 0.5 s) on, doubled each time: about ten in half a minute
RAM = Path("/dev/shm")  # noqa: S108  # memory, where there is such a place
_DISK_FAMILIES = frozenset({"power", "power_at", "full", "eio", "worker_full"})


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
    root = Path(tempfile.mkdtemp(prefix="faultworld-", dir=RAM if RAM.is_dir() else None))
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
    before = contracts.ids.uuid
    same = SimpleNamespace(uuid4=lambda: uuid.UUID(int=rng.getrandbits(128), version=4))
    contracts.ids.uuid = same  # type: ignore[assignment]  # stands in for the module
    try:
        yield
    finally:
        contracts.ids.uuid = before


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


@dataclass(slots=True)
class _Armed:
    """A process dies at its n-th step from now."""

    left: int
    die: Callable[[], None]


class World:
    """All machines, workers, links and disks of one run."""

    def __init__(self, schedule: Schedule, root: Path, outcome: Outcome, traced: bool) -> None:
        self.schedule = schedule
        self.outcome = outcome
        self.truth = Truth()
        self.progress_timeout_s = schedule.progress_timeout_s
        self.telemetry_rows = schedule.telemetry_rows
        self.window = schedule.window
        self._loop = asyncio.get_running_loop()
        self._traced = traced
        self._root = root
        self._births = 0
        self._armed: dict[str, _Armed] = {}
        self._calm = False
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._images: dict[int, tuple[Path, Timeline]] = {}
        self._cloud_image: tuple[Path, CloudTruth] | None = None
        self._leases: dict[int, float] = {}
        self._operator = Process("operator", on_step=lambda _process, _what: None)
        slips = {(slip.link, slip.n): Slip(slip.kind, slip.extra_s) for slip in schedule.slips}
        self.network = Network(seed=schedule.seed, slips=slips, watcher=self, latency_s=schedule.latency_s)
        kinds = {fault.kind for fault in schedule.faults}
        self._faulty = bool(kinds & _DISK_FAMILIES)
        self.database = Database(self, Folder(root, faulty="worker_full" in kinds))
        self.workers = [Worker(self, self.database, f"w{n}") for n in range(schedule.workers)]
        self.machines = [self._machine(f"s{n}", n) for n in range(schedule.stores)]

    def _machine(self, name: str, store: int, files: Path | None = None, timeline: Timeline | None = None) -> Machine:
        folder = Folder(self._root, faulty=self._faulty, files=files)
        drift = self.rng(f"drift {name}").choice((0.0, 2e-4, -2e-4))
        return Machine(self, name=name, store=store, folder=folder, timeline=timeline or Timeline(), drift=drift)

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
            self.outcome.trace.append(f"{self._loop.time():10.3f}  {what}".replace(str(self._root), ""))

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
        armed = self._armed.get(process.name)
        if armed is None:
            return
        armed.left -= 1
        if armed.left <= 0:
            del self._armed[process.name]
            self._happened("died at a step")
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

    def _happened(self, what: str) -> None:
        self.outcome.happened[what] += 1

    # -------------------------------------------------------------- the run

    async def play(self) -> None:
        """Carry out the schedule, then wait for rest. Raises Violation."""
        schedule = self.schedule
        for part in (*self.workers, *self.machines):
            part.boot()
        entries: list[tuple[float, Deed | Fault]] = [(entry.at_s, entry) for entry in schedule.deeds]
        entries += [(entry.at_s, entry) for entry in schedule.faults]
        for at_s, entry in sorted(entries, key=lambda item: item[0]):
            if not await self._until(at_s):
                return
            if isinstance(entry, Deed):
                self._deed(entry)
            else:
                self._fault(entry)
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
        self._calm = True
        self.outcome.happened.update(self.network.happened)
        self.outcome.events = len(self.truth.cloud.held)
        processes = [part.process for part in (*self.machines, *self.workers) if part.process is not None]
        for machine in self.machines:
            self._count(machine)
        for part in (*self.machines, *self.workers):
            part.die()
        self._operator.die()
        for process in (*processes, self._operator):
            await process.gone()
        for folder in (*(machine.folder for machine in self.machines), self.database.folder):
            folder.close()

    def _count(self, machine: Machine) -> None:
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
            return
        for _ in range(deed.count):
            machine.append(deed.what, deed.size)

    # -------------------------------------------------------------- faults

    def _fault(self, fault: Fault) -> None:
        did = getattr(self, f"_do_{fault.kind}")(fault)
        if did:
            self._happened(fault.kind)
            self.note(f"FAULT {fault.kind} {fault.who} {fault.seconds:g} {fault.n}")

    def _at(self, fault: Fault) -> Machine:
        return self.machines[fault.who % len(self.machines)]

    def _boot_later(self, part: Machine | Worker, down_s: float) -> None:
        def boot() -> None:
            if part.process is None and not self._calm:
                part.boot()

        self._loop.call_later(max(0.01, down_s), boot)

    def _kill(self, machine: Machine, how: str, down_s: float) -> None:
        self._count(machine)
        machine.die(how)
        self._boot_later(machine, down_s)

    def _do_kill(self, fault: Fault) -> bool:
        machine = self._at(fault)
        if machine.process is None:
            return False
        self._kill(machine, "kill", fault.seconds)
        return True

    def _do_power(self, fault: Fault) -> bool:
        machine = self._at(fault)
        if machine.process is None:
            return False
        if fault.n % 2:
            machine.clock_offset_s = -1.77e9  # no battery behind the clock: it starts in 1970
        self._kill(machine, "power", fault.seconds)
        return True

    def _do_stop(self, fault: Fault) -> bool:
        machine = self._at(fault)
        if machine.process is None or machine.ledger is None:
            return False
        process, ledger = machine.process, machine.ledger

        async def stop() -> None:
            for task in [task for task in process.tasks if task is not asyncio.current_task()]:
                task.cancel()
            await asyncio.sleep(1.0)
            await ledger.close()
            self._kill(machine, "kill", 1.0)

        process.spawn(stop(), "stop")
        return True

    def _do_kill_at(self, fault: Fault) -> bool:
        machine = self._at(fault)
        self._armed[machine.name] = _Armed(fault.n, lambda: self._kill(machine, "kill", fault.seconds))
        return True

    def _do_power_at(self, fault: Fault) -> bool:
        """The power fails at the n-th call that SQLite makes of the disk, in the middle of whatever it does."""
        machine = self._at(fault)
        left = [fault.n]
        folder = machine.folder

        def plan(_call: Call) -> None:
            left[0] -= 1
            if left[0] == 0 and machine.folder is folder and folder.disk is not None:
                folder.disk.unplug()
                self._happened("power failed inside SQLite")
                self._loop.call_soon(self._kill, machine, "power", fault.seconds)
                if machine.process is not None:
                    machine.dies_by = "power"
                    machine.process.fence()

        folder.plan = plan
        return True

    def _do_clock(self, fault: Fault) -> bool:
        self._at(fault).clock_offset_s = fault.seconds
        return True

    def _do_full(self, fault: Fault) -> bool:
        """No write finds room for a while."""
        return self._bad_disk(self._at(fault).folder, fault, lambda: DiskFault(what="full"))

    def _do_worker_full(self, fault: Fault) -> bool:
        return self._bad_disk(self.database.folder, fault, lambda: DiskFault(what="full"))

    def _do_eio(self, fault: Fault) -> bool:
        """Every n-th write or sync fails for a while."""
        calls = Counter[str]()

        def some() -> DiskFault | None:
            calls["n"] += 1
            return DiskFault(what="io") if calls["n"] % (1 + fault.n) == 0 else None

        folder = self._at(fault).folder
        folder.syncs_fail = True
        return self._bad_disk(folder, fault, some)

    def _bad_disk(self, folder: Folder, fault: Fault, answer: Callable[[], DiskFault | None]) -> bool:
        if folder.disk is None:
            return False

        def plan(call: Call) -> DiskFault | None:
            found = answer() if call.kind in ("write", "sync") else None
            if found is not None and found.what == "full" and call.kind == "sync":
                return None
            return found

        folder.plan = plan
        self._loop.call_later(fault.seconds, folder.recover)
        return True

    def _do_image(self, fault: Fault) -> bool:
        machine = self._at(fault)
        self._images[machine.store_index] = (machine.folder.image(), machine.timeline.copy())
        return True

    def _do_restore(self, fault: Fault) -> bool:
        """An old copy of the disk is put into the machine."""
        machine = self._at(fault)
        image = self._images.get(machine.store_index)
        if image is None:
            return False
        machine.die("kill")
        self.truth.odd = True
        machine.replace_disk(Folder(self._root, faulty=self._faulty, files=image[0]), image[1].copy())
        machine.rows = {lane: {} for lane in LANES}
        self._boot_later(machine, fault.seconds)
        return True

    def _do_clone(self, fault: Fault) -> bool:
        """A copy of the disk is booted in a second box of the same store."""
        store = self._at(fault).store_index
        image = self._images.get(store)
        if image is None or len(self.machines) >= MAX_MACHINES:
            return False
        self.truth.odd = True
        clone = self._machine(f"s{store}c{len(self.machines)}", store, image[0], image[1].copy())
        self.machines.append(clone)
        clone.boot()
        return True

    def _do_lease(self, fault: Fault) -> bool:
        return self._move_lease(self._at(fault))

    def _move_lease(self, machine: Machine) -> bool:
        if not (self.database.folder.path / "cloud.db").exists():
            return False
        work = give_lease(self.database, self._operator, store=machine.store, instance=f"box-{machine.name}")
        self._operator.spawn(_gently(work), "lease")
        return True

    def _do_broker(self, fault: Fault) -> bool:
        self.network.restart(fault.seconds, forget_retained=bool(fault.n % 2))
        return True

    def _do_kick(self, fault: Fault) -> bool:
        self.network.kick_until_s = self._loop.time() + fault.seconds
        return True

    def _link(self, fault: Fault) -> str:
        parts = (*self.machines, *self.workers)
        return parts[fault.who % len(parts)].name

    def _do_drop(self, fault: Fault) -> bool:
        self.network.drop(self._link(fault))
        return True

    def _do_cut(self, fault: Fault) -> bool:
        self.network.cut(self._link(fault), fault.seconds)
        return True

    def _worker(self, fault: Fault) -> Worker:
        return self.workers[fault.who % len(self.workers)]

    def _do_worker_kill(self, fault: Fault) -> bool:
        worker = self._worker(fault)
        if worker.process is None:
            return False
        worker.die()
        self._boot_later(worker, fault.seconds)
        return True

    def _do_worker_kill_at(self, fault: Fault) -> bool:
        worker = self._worker(fault)

        def die() -> None:
            worker.die()
            self._boot_later(worker, fault.seconds)

        self._armed[worker.name] = _Armed(fault.n, die)
        return True

    def _do_cloud_image(self, _fault: Fault) -> bool:
        if not (self.database.folder.path / "cloud.db").exists():
            return False
        self._cloud_image = (self.database.folder.image(), self.truth.cloud.copy())
        return True

    def _do_cloud_restore(self, _fault: Fault) -> bool:
        """The cloud's database is replaced by an old copy; all its processes start again."""
        if self._cloud_image is None:
            return False
        for worker in self.workers:
            worker.die()
        self._operator.die()
        self._operator = Process("operator", on_step=lambda _process, _what: None)
        self.database.restored(*self._cloud_image)
        for worker in self.workers:
            self._boot_later(worker, 0.5)
        return True

    # -------------------------------------------------------------- rest

    async def _come_to_rest(self) -> None:
        """Faults stop. Raises Violation if it does not come to rest."""
        self.note("faults stop")
        self._armed.clear()
        self.network.heal()
        for folder in (*(machine.folder for machine in self.machines), self.database.folder):
            folder.recover()
        began_s = self._loop.time()
        while self._loop.time() - began_s < REST_WITHIN_S:
            for part in (*self.workers, *self.machines):
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
                    self._happened("lease moved at rest")
                    self._move_lease(machine)
                return f"{machine.name} {lane} holds {view.freed.seq + 1} to {view.tail.seq}"
            if not machine.uplink.online:
                return f"{machine.name} is not online"
        return ""

    def _judge_at_rest(self) -> None:
        timelines = {machine.name: machine.timeline for machine in self.machines}
        invariants.everything_owed_is_in_the_cloud(self.truth, timelines)
        self.database.at_rest()
        lost = self.database.lost()
        invariants.dropped_telemetry_is_declared(self.truth, timelines, lost)
        invariants.what_the_cloud_lost_is_recorded(self.truth, timelines, lost)
        for machine in self.machines:
            if machine.uplink is not None:
                alarms = sum(machine.uplink.counters.get(f"{lane}_alarm_cloud_loss", 0) for lane in LANES)
                invariants.cloud_loss_is_no_false_alarm(self.truth, alarms, machine.name)


def _short(topic: str) -> str:
    return topic.removeprefix("zg/v1/t/")


async def _gently(work: Any) -> None:
    """An operator whose act fails does it again later."""
    with contextlib.suppress(Exception):
        await work
