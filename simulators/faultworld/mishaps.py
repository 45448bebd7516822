"""What can go wrong: one method a kind of fault, each with what it does to the world."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

from contracts.event_types import LANES
from simulators.faultworld.cloud import Database, Worker, give_lease
from simulators.faultworld.disk import Call
from simulators.faultworld.disk import Fault as DiskFault
from simulators.faultworld.disks import Folder
from simulators.faultworld.machines import Machine
from simulators.faultworld.network import Network
from simulators.faultworld.process import Process
from simulators.faultworld.schedule import Fault
from simulators.faultworld.truth import CloudTruth, Timeline, Truth

MAX_MACHINES = 8


@dataclass(slots=True)
class Armed:
    """A process dies at its n-th step from now."""

    left: int
    die: Callable[[], None]


class Breakable(Protocol):
    """What faults need of the world."""

    machines: list[Machine]
    workers: list[Worker]
    network: Network
    database: Database
    truth: Truth
    operator: Process
    root: Path
    faulty: bool
    calm: bool

    def note(self, what: str) -> None: ...
    def rng(self, name: str) -> Random: ...
    def happened(self, what: str) -> None: ...
    def ask(self, work: Coroutine[Any, Any, Any], name: str) -> None: ...
    def count(self, machine: Machine) -> None: ...
    def parts(self) -> tuple[Machine | Worker, ...]: ...
    def machine(
        self, name: str, store: int, files: Path | None = None, timeline: Timeline | None = None
    ) -> Machine: ...


class Mishaps:
    """Lets faults happen. `armed` holds the processes that will die at a step, by name."""

    def __init__(self, world: Breakable) -> None:
        self.armed: dict[str, Armed] = {}
        self._world = world
        self._loop = asyncio.get_running_loop()
        self._images: dict[int, tuple[Path, Timeline]] = {}
        self._cloud_image: tuple[Path, CloudTruth] | None = None

    def happen(self, fault: Fault) -> None:
        """Let a fault happen, if there is something it can happen to."""
        did = getattr(self, f"_do_{fault.kind}")(fault)
        if did:
            self._world.happened(fault.kind)
            self._world.note(f"FAULT {fault.kind} {fault.who} {fault.seconds:g} {fault.n}")

    def _at(self, fault: Fault) -> Machine:
        return self._world.machines[fault.who % len(self._world.machines)]

    def _boot_later(self, part: Machine | Worker, down_s: float) -> None:
        def boot() -> None:
            if part.process is None and not self._world.calm:
                part.boot()

        self._loop.call_later(max(0.01, down_s), boot)

    def _kill(self, machine: Machine, how: str, down_s: float) -> None:
        self._world.count(machine)
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
            machine.stopping = True
            await ledger.close()
            self._kill(machine, "kill", 1.0)

        process.spawn(stop(), "stop")
        return True

    def _do_kill_at(self, fault: Fault) -> bool:
        machine = self._at(fault)
        self.armed[machine.name] = Armed(fault.n, lambda: self._kill(machine, "kill", fault.seconds))
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
                self._world.happened("power failed inside SQLite")
                self._loop.call_soon(self._kill, machine, "power", fault.seconds)
                if machine.process is not None:
                    machine.dies_by = "power"
                    machine.process.fence()

        folder.plan = plan
        return True

    def _do_cloud_power_at(self, fault: Fault) -> bool:
        """The power of the cloud's machine fails at the n-th call that SQLite makes of its disk: all bridges end."""
        left, folder, database = [fault.n], self._world.database.folder, self._world.database

        def plan(_call: Call) -> None:
            left[0] -= 1
            if left[0] == 0 and database.folder is folder and folder.disk is not None:
                folder.disk.unplug()
                self._world.happened("power failed inside the cloud's SQLite")
                self._loop.call_soon(self._cloud_falls, fault.seconds)
                for worker in self._world.workers:
                    if worker.process is not None:
                        worker.process.fence()
                self._world.operator.fence()  # whose own call it may have been: nobody looks at a disk without power

        folder.plan = plan
        return True

    def _cloud_falls(self, down_s: float) -> None:
        for worker in self._world.workers:
            worker.die()
        self._new_operator()
        self._world.database.power_cut(self._world.rng(f"cloud cut {self._loop.time()}"))
        for worker in self._world.workers:
            self._boot_later(worker, down_s)

    def _new_operator(self) -> None:
        self._world.operator.die()
        self._world.operator = Process("operator", on_step=lambda _process, _what: None)

    def _do_clock(self, fault: Fault) -> bool:
        self._at(fault).clock_offset_s = fault.seconds
        return True

    def _do_full(self, fault: Fault) -> bool:
        """No write finds room for a while."""
        return self._bad_disk(self._at(fault).folder, fault, lambda: DiskFault(what="full"))

    def _do_worker_full(self, fault: Fault) -> bool:
        return self._bad_disk(self._world.database.folder, fault, lambda: DiskFault(what="full"))

    def _do_eio(self, fault: Fault) -> bool:
        return self._errors(self._at(fault).folder, fault)

    def _do_worker_eio(self, fault: Fault) -> bool:
        return self._errors(self._world.database.folder, fault)

    def _errors(self, folder: Folder, fault: Fault) -> bool:
        """Every n-th write or sync fails for a while."""
        calls = Counter[str]()

        def some() -> DiskFault | None:
            calls["n"] += 1
            return DiskFault(what="io") if calls["n"] % (1 + fault.n) == 0 else None

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
        self._world.truth.odd.add(machine.store)
        machine.replace_disk(Folder(self._world.root, faulty=self._world.faulty, files=image[0]), image[1].copy())
        machine.rows = {lane: {} for lane in LANES}
        self._boot_later(machine, fault.seconds)
        return True

    def _do_clone(self, fault: Fault) -> bool:
        """A copy of the disk is booted in a second box of the same store."""
        store = self._at(fault).store_index
        image = self._images.get(store)
        if image is None or len(self._world.machines) >= MAX_MACHINES:
            return False
        self._world.truth.odd.add(f"store{store}")
        clone = self._world.machine(f"s{store}c{len(self._world.machines)}", store, image[0], image[1].copy())
        self._world.machines.append(clone)
        clone.boot()
        return True

    def _do_lease(self, fault: Fault) -> bool:
        return self.move_lease(self._at(fault))

    def move_lease(self, machine: Machine) -> bool:
        """The operator lets this box speak for its store; False before there is a database."""
        if not (self._world.database.folder.path / "cloud.db").exists():
            return False
        operator, instance = self._world.operator, f"box-{machine.name}"
        work = give_lease(self._world.database, operator, store=machine.store, instance=instance)
        self._world.ask(work, "lease")
        return True

    def _do_broker(self, fault: Fault) -> bool:
        self._world.network.restart(fault.seconds, forget_retained=bool(fault.n % 2))
        return True

    def _do_kick(self, fault: Fault) -> bool:
        self._world.network.kick_until_s = self._loop.time() + fault.seconds
        return True

    def _link(self, fault: Fault) -> str:
        parts = self._world.parts()
        return parts[fault.who % len(parts)].name

    def _do_drop(self, fault: Fault) -> bool:
        self._world.network.drop(self._link(fault))
        return True

    def _do_cut(self, fault: Fault) -> bool:
        self._world.network.cut(self._link(fault), fault.seconds)
        return True

    def _worker(self, fault: Fault) -> Worker:
        return self._world.workers[fault.who % len(self._world.workers)]

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

        self.armed[worker.name] = Armed(fault.n, die)
        return True

    def _do_cloud_image(self, _fault: Fault) -> bool:
        if not (self._world.database.folder.path / "cloud.db").exists():
            return False
        self._cloud_image = (self._world.database.folder.image(), self._world.truth.cloud.copy())
        return True

    def _do_cloud_restore(self, _fault: Fault) -> bool:
        """The cloud's database is replaced by an old copy; all its processes start again."""
        if self._cloud_image is None:
            return False
        for worker in self._world.workers:
            worker.die()
        self._new_operator()
        self._world.database.restored(*self._cloud_image)
        for worker in self._world.workers:
            self._boot_later(worker, 0.5)
        return True
