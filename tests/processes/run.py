"""One run: start everything, let the storm rage, let it stop, wait until all has arrived, and compare."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Literal

import msgspec

from contracts.clock import SystemClock
from contracts.event_types import LANES, Lane
from contracts.tasks import end
from edge.ledger import LedgerOpenError, Report, verify
from simulators.chaos_proxy import Address, ChaosProxy, Fault
from tests.conftest import free_port
from tests.must import must
from tests.processes import cloud, mutants
from tests.processes.crew import Crew, until
from tests.processes.servers import LOOPBACK, Mosquitto, SmallDisk, answers, can_mount, start_postgres
from tests.processes.storm import Act, Stage, plan, told
from tests.processes.truth import Tally, Told, judge

READY_WITHIN_S = 40.0
SMALL_DISK_MIB = 40
TELEMETRY_ROWS = 100  # few: a store that is cut off for seconds drops some, and says so
CHECK_EVERY_S = 0.25
FILL_EVERY_S = 0.05
FULL_AT_MOST_S = 20.0  # a store that has refused nothing by then is a problem
NO_DATABASE_FOR_S = 10.0  # after its server was ended: whoever starts meanwhile may find none, and say so and end
NO_SMALL_DISK = "this process may not mount a small file system (root and its right to mount are needed)"
log = logging.getLogger("processes")
Database = Literal["sqlite", "postgres"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What kind of run. `ledger_rate` and `telemetry_rate` are events a second of each store."""

    seed: int
    seconds: float
    database: Database = "postgres"
    stores: int = 3
    bridges: int = 3
    ledger_rate: float = 50.0
    telemetry_rate: float = 20.0
    patience_s: float = 1.0
    converge_within_s: float = 30.0
    mutant: str = ""
    mean_gap_s: float = 1.0
    calm: int = 0  # 1: nothing is done to anybody
    pages: int = 0  # 1: one more bridge shows what the others took in, and must show the same sums

    @property
    def command(self) -> str:
        """What a person types to repeat it."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        mutant = fields.pop("mutant")
        before = f"{mutants.ENV}={mutant} " if mutant else ""
        return f"{before}python -m tests.processes.run " + " ".join(
            f"--{name.replace('_', '-')} {value:g}"
            if isinstance(value, float)
            else f"--{name.replace('_', '-')} {value}"
            for name, value in fields.items()
        )


class Result(msgspec.Struct, kw_only=True):
    """What a run came to; sound if `problems` is empty."""

    command: str
    seed: int
    seconds: float
    persistence: bool
    problems: list[str]
    faults: dict[str, int]
    lanes: dict[str, dict[str, int]]
    refused: int = 0
    small_disk: bool = True
    arrived_in_storm: int = 0
    converged_s: float = -1.0
    load: float = 0.0

    def __str__(self) -> str:
        faults = ", ".join(f"{name} {n}" for name, n in sorted(self.faults.items()))
        lines = [
            f"seed {self.seed}, {self.seconds:.0f} s of storm, broker's persistence {'on' if self.persistence else 'off'}",
            *(
                f"{lane}: " + ", ".join(f"{name} {n}" for name, n in counts.items())
                for lane, counts in self.lanes.items()
            ),
            f"appends refused on a full disk {self.refused}"
            + ("" if self.small_disk else f": none was filled, {NO_SMALL_DISK}"),
            f"{self.arrived_in_storm} had arrived when the storm ended, all of them {self.converged_s:.1f} s later",
            f"faults: {faults}",
            *(f"PROBLEM {line}" for line in self.problems),
        ]
        return "\n".join(lines)


@dataclass(slots=True)
class StorePlace:
    """One store: its process, its line, and where its files are."""

    name: str
    notes: Path
    line: ChaosProxy
    disk: SmallDisk | None = None

    def report(self) -> Report:
        """What its ledger says of itself. Raises LedgerOpenError."""
        if self.disk is None:
            return verify(self.notes / "ledger.db")
        return self.disk.inside(lambda path=self.disk.path / "ledger.db": verify(path))

    def outcomes(self) -> int:
        """How many appends have come back so far."""
        told = Told.read(self.notes)
        return len(told.accepted) + len(told.refused)

    def refused(self) -> int:
        """How many appends came back refused so far."""
        return len(Told.read(self.notes).refused)


@dataclass(slots=True)
class Field:
    """Everything a run has on this machine."""

    script: Script
    crew: Crew
    broker: Mosquitto
    database: str
    stores: list[StorePlace] = field(default_factory=list)
    bridge_lines: list[ChaosProxy] = field(default_factory=list)
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    database_ended_s: float = -NO_DATABASE_FOR_S
    pages_port: int = 0
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def lock(self, name: str) -> asyncio.Lock:
        """One fault at a time for each process."""
        return self.locks.setdefault(name, asyncio.Lock())

    # ---------------------------------------------------------------- putting it up

    async def line(self, exits: contextlib.AsyncExitStack) -> ChaosProxy:
        """A line of its own to the broker."""
        proxy = ChaosProxy(listen=Address(LOOPBACK, 0), target=Address(LOOPBACK, self.broker.port), clock=SystemClock())
        await exits.enter_async_context(proxy.running())
        return proxy

    async def put_up_store(self, number: int, exits: contextlib.AsyncExitStack, *, small: bool) -> None:
        """The first store has a disk that can be full, where that is possible."""
        script, name = self.script, f"s{number}"
        notes = self.crew.folder / name
        notes.mkdir()
        disk = SmallDisk(self.crew, f"{name}-disk", SMALL_DISK_MIB) if small else None
        line = await self.line(exits)
        argv = [
            sys.executable, "-m", "tests.processes.store_process",
            "--folder", str(disk.path if disk else notes), "--notes", str(notes), "--store", name, "--life", "{life}",
            "--url", f"mqtt://{line.listen}", "--patience-s", str(script.patience_s),
            "--ledger-rate", str(script.ledger_rate), "--telemetry-rate", str(script.telemetry_rate),
            "--telemetry-rows", str(TELEMETRY_ROWS),
        ]  # fmt: skip
        env = {mutants.ENV: script.mutant if script.mutant.startswith("edge_") else ""}
        self.crew.enlist(name, disk.entered(argv) if disk else argv, env=env)
        self.stores.append(StorePlace(name, notes, line, disk))

    async def put_up_bridge(self, exits: contextlib.AsyncExitStack) -> None:
        """One more, if there may be one more."""
        number = len(self.bridge_lines)
        if number >= self.script.bridges:
            return
        line = await self.line(exits)
        self.bridge_lines.append(line)
        argv = [
            sys.executable, "-m", "tests.processes.bridge_process", "cloud", "run",
            "--database", self.database, "--mqtt", f"mqtt://{line.listen}", "--role", "ingest",
        ]  # fmt: skip
        env = {mutants.ENV: self.script.mutant if self.script.mutant.startswith("bridge_") else ""}
        self.crew.enlist(f"bridge-{number}", argv, env=env)

    def put_up_pages(self) -> None:
        """The bridge that shows."""
        self.pages_port = free_port()
        argv = [
            sys.executable, "-m", "zhanggui", "cloud", "run", "--role", "pages", "--port", str(self.pages_port),
            "--database", self.database, "--mqtt", f"mqtt://{LOOPBACK}:{self.broker.port}",
        ]  # fmt: skip
        self.crew.enlist("pages", argv)

    # ---------------------------------------------------------------- the storm

    async def act(self, act: Act, exits: contextlib.AsyncExitStack) -> None:
        """Let one thing happen, and heal."""
        self.faults[f"{act.what}{'_' + act.fault.kind if act.fault else ''}"] += 1
        match act.what:
            case "kill_store" | "kill_broker" | "kill_bridge" | "stop_bridge":
                how = signal.SIGTERM if act.what == "stop_bridge" else signal.SIGKILL
                await self._end(self._name(act), act.for_s, how)
            case "pause_store" | "pause_broker" | "pause_bridge":
                name = self._name(act)
                async with self.lock(name):
                    self.crew.pause(name)
                    try:
                        await asyncio.sleep(act.for_s)
                    finally:
                        self.crew.go_on(name)
            case "add_bridge":
                await self.put_up_bridge(exits)
            case "store_line":
                assert act.fault is not None
                await self.stores[act.whom].line.strike(act.fault)
            case "bridge_line":
                assert act.fault is not None
                await self.bridge_lines[act.whom % len(self.bridge_lines)].strike(act.fault)
            case "fill_disk":
                await self._fill(act.for_s)
            case "restart_database":
                await self._end("postgres", act.for_s, signal.SIGQUIT)
            case "kill_pages":
                await self._end("pages", act.for_s, signal.SIGKILL)

    def _name(self, act: Act) -> str:
        whom = act.what.rpartition("_")[2]
        if whom == "store":
            return self.stores[act.whom].name
        return f"bridge-{act.whom % len(self.bridge_lines)}" if whom == "bridge" else "broker"

    async def _end(self, name: str, dead_for_s: float, how: signal.Signals) -> None:
        async with self.lock(name):
            await asyncio.to_thread(self.crew.kill, name, how)
            try:
                await asyncio.sleep(dead_for_s)
            finally:
                if name == "postgres":
                    self.database_ended_s = time.monotonic()
                self.crew.start(name)

    async def _fill(self, for_s: float) -> None:
        """A full disk, and no way to the cloud meanwhile: else nothing needs more room than there is.

        It begins when the store writes, and nobody ends the store before it has refused an append: one that cannot even
        open refuses nothing and proves nothing. How long old pages are enough depends on how fast this machine writes.
        Then it stays full for as long as was planned, whoever dies.
        """
        store = next(s for s in self.stores if s.disk)
        assert store.disk is not None
        disk = store.disk
        async with self.lock("disk"), asyncio.TaskGroup() as tasks:
            try:
                async with self.lock(store.name):
                    written = await asyncio.to_thread(store.outcomes)
                    await self._until(lambda: store.outcomes() > written)
                    cut = tasks.create_task(
                        store.line.strike(Fault(kind="refuse", duration_s=2 * FULL_AT_MOST_S)), name="cut-off"
                    )
                    end_s, refused = time.monotonic() + for_s, await asyncio.to_thread(store.refused)
                    await self._until(lambda: store.refused() > refused, disk.fill)
                while time.monotonic() < end_s:  # what the store frees itself is taken too
                    await asyncio.to_thread(disk.fill)
                    await asyncio.sleep(FILL_EVERY_S)
            finally:
                disk.free()
            cut.cancel()

    async def _until(self, so: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait for it, with patience that ends: whoever compares afterwards finds what did not happen."""
        end_s = time.monotonic() + FULL_AT_MOST_S
        while time.monotonic() < end_s:
            await asyncio.to_thread(meanwhile)
            if await asyncio.to_thread(so):
                return
            await asyncio.sleep(FILL_EVERY_S)

    async def mind(self) -> None:
        """Start again who ended by itself, as a machine's own supervisor would; counted, and a problem but for a bridge
        that may have found no database when it started."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            for name in self.crew.fallen():
                async with self.lock(name):
                    if name in self.crew.fallen():
                        self.faults[f"fell_{name.partition('-')[0].rstrip('0123456789')}"] += 1
                        words = self.crew.last_words(name, 400)
                        log.warning("%s ended by itself: %s", name, words)
                        if not self._may_end(name):
                            self.unexpected.append(f"{name} ended by itself: {words.strip()[-200:]}")
                        self.crew.start(name)

    def _may_end(self, name: str) -> bool:
        """Whether it reads the database, which was away a moment ago."""
        away = self.lock("postgres").locked() or time.monotonic() - self.database_ended_s < NO_DATABASE_FOR_S
        return away and name.startswith(("bridge", "pages"))

    # ---------------------------------------------------------------- after it

    def freed(self) -> list[int]:
        """How many events of each store the cloud has confirmed."""
        counts = []
        for store in self.stores:
            try:
                counts.append(sum(lane.freed_seq for lane in store.report().lanes))
            except LedgerOpenError:
                counts.append(0)
        return counts

    def arrived(self) -> bool:
        """Whether every store has handed over everything it has."""
        for store in self.stores:
            try:
                lanes = {r.lane: r for r in store.report().lanes}
            except LedgerOpenError:
                return False
            if any(lanes[lane].freed_seq != lanes[lane].tail_seq for lane in LANES):
                return False
        return True

    async def wrong_sums(self) -> list[str]:
        """Whether the pages show the revenue that the stored events make; they get some time to read."""
        days = datetime.now(UTC).date()
        wanted = {s.name: await asyncio.to_thread(cloud.revenue_fen, self.database, "t1", s.name) for s in self.stores}
        end_s = time.monotonic() + self.script.converge_within_s
        while (shown := await asyncio.to_thread(cloud.shown_revenue_fen, self.pages_port)) != wanted:
            if time.monotonic() > end_s:
                same_day = days == self.began.date()
                return [f"the pages show a revenue of {shown}, the events make {wanted}"] if same_day else []
            await asyncio.sleep(0.5)
        return []

    def compare(self) -> tuple[list[str], dict[Lane, Tally], int]:
        """Problems, counts by lane over all stores, and how many appends were refused."""
        problems: list[str] = []
        tallies: dict[Lane, Tally] = {lane: Tally() for lane in LANES}
        refused = 0
        for store in self.stores:
            said = Told.read(store.notes)
            refused += len(said.refused)
            report = store.report()
            problems += [f"{store.name}: {line}" for line in report.problems]
            held = cloud.lanes_of(self.database, "t1", store.name)
            wrong, counts = judge(said, held)
            problems += [f"{store.name}: {line}" for line in wrong]
            for lane, one in counts.items():
                wanted = {"ledger": self.script.ledger_rate, "telemetry": self.script.telemetry_rate}[lane]
                if wanted and not one.accepted:
                    problems.append(f"{store.name}: {lane}: nothing was accepted, so nothing is proven")
                both = tallies[lane]
                tallies[lane] = Tally(
                    both.accepted + one.accepted,
                    both.in_cloud + one.in_cloud,
                    both.declared + one.declared,
                    both.unknown + one.unknown,
                )
        return problems, tallies, refused


@contextlib.asynccontextmanager
async def put_up(script: Script, folder: Path) -> AsyncIterator[tuple[Field, contextlib.AsyncExitStack, bool]]:
    """Everything running, and gone afterwards; whether the broker keeps its memory is left to the seed."""
    rng = Random(f"{script.seed} persistence")
    persistence = rng.random() < 0.5
    with Crew(folder) as crew:
        async with contextlib.AsyncExitStack() as exits:
            broker = Mosquitto.start(crew, port=free_port(), persistence=persistence)
            # in this thread: the server ends with the one that starts it
            database = start_postgres(crew) if script.database == "postgres" else str(folder / "cloud.db")
            stage = Field(script, crew, broker, database)
            await until(lambda: answers(broker.port), "the broker", within_s=READY_WITHIN_S)
            for _ in range(min(2, script.bridges)):
                await stage.put_up_bridge(exits)
            if script.pages:
                stage.put_up_pages()
            small = can_mount()
            for number in range(script.stores):
                await stage.put_up_store(number, exits, small=small and number == 0)
            yield stage, exits, persistence


async def go(script: Script, folder: Path) -> Result:
    """One run in `folder`, which is left as it is."""
    async with put_up(script, folder) as (stage, exits, persistence):
        ready = Stage(
            stores=script.stores,
            bridges=script.bridges,
            can_fill=any(s.disk for s in stage.stores),
            can_restart_database=script.database == "postgres",
            pages=bool(script.pages),
        )
        acts = plan(Random(script.seed), ready, seconds=script.seconds, mean_gap_s=script.mean_gap_s)
        acts = [] if script.calm else acts
        (folder / "plan.txt").write_text(told(acts) + "\n")
        minding = asyncio.create_task(stage.mind(), name="mind")
        problems: list[str] = []
        converged_s = -1.0
        try:
            await until(
                lambda: all(freed > 0 for freed in stage.freed()), "every store's first event", within_s=READY_WITHIN_S
            )
            await _storm(stage, acts, script.seconds, exits)
            load, during = os.getloadavg()[0], sum(stage.freed())
            for store in stage.stores:
                (store.notes / "quiet").touch()
            try:
                converged_s = await until(
                    stage.arrived, "everything in the cloud", within_s=script.converge_within_s, every_s=0.2
                )
            except TimeoutError as error:
                problems.append(str(error))
        finally:
            await end([minding])
        for store in stage.stores:
            await asyncio.to_thread(stage.crew.kill, store.name, signal.SIGTERM)
        if script.pages:
            problems += await stage.wrong_sums()
        wrong, tallies, refused = await asyncio.to_thread(stage.compare)
        small_disk = any(s.disk for s in stage.stores)
        if not small_disk and must():
            wrong.append(f"no file system was filled: {NO_SMALL_DISK}")
        if stage.faults["fill_disk"] and not refused:
            wrong.append(f"a file system was filled {stage.faults['fill_disk']} times and no append was refused")
        stage.faults.update({n: count for n, count in stage.crew.counters.items() if count})
        wrong += stage.unexpected
        return Result(
            command=script.command,
            seed=script.seed,
            seconds=script.seconds,
            persistence=persistence,
            problems=[*problems, *wrong],
            faults={**stage.faults, **{f"proxy_{k}": n for k, n in _proxies(stage).items()}},
            lanes={lane: {n: getattr(t, n) for n in t.__dataclass_fields__} for lane, t in tallies.items()},
            refused=refused,
            small_disk=small_disk,
            arrived_in_storm=during,
            converged_s=converged_s,
            load=load,
        )


async def _storm(stage: Field, acts: list[Act], seconds: float, exits: contextlib.AsyncExitStack) -> None:
    start_s = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for act in acts:
            await asyncio.sleep(max(0.0, start_s + act.at_s - time.monotonic()))
            tasks.create_task(stage.act(act, exits), name=act.what)
        await asyncio.sleep(max(0.0, start_s + seconds - time.monotonic()))


def _proxies(stage: Field) -> Counter[str]:
    total: Counter[str] = Counter()
    for line in [*(s.line for s in stage.stores), *stage.bridge_lines]:
        total.update({k: n for k, n in line.counters.items() if k.startswith("connections_")})
    return total


def parse(argv: list[str] | None) -> tuple[Script, argparse.Namespace]:
    """A script from the command line: every field is an option."""
    parser = argparse.ArgumentParser(prog="python -m tests.processes.run", description=__doc__)
    usual = Script(seed=7, seconds=30.0)
    for name in Script.__dataclass_fields__:
        value = getattr(usual, name)
        if name != "mutant":
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--folder", type=Path, help="where everything is put; without it a new one, kept on failure")
    parser.add_argument("--json", type=Path, help="write the result there")
    options = parser.parse_args(argv)
    chosen = {name: getattr(options, name) for name in Script.__dataclass_fields__ if name != "mutant"}
    return Script(**chosen, mutant=mutants.chosen()), options


def main(argv: list[str] | None = None) -> int:
    """Run once; the folder of a run that fails is kept. Exit code 1 for a problem."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    script, options = parse(argv)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="zhanggui-processes-"))
    folder.mkdir(parents=True, exist_ok=True)
    result = asyncio.run(go(script, folder))
    print(result)
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    if result.problems:
        print(f"repeat: {script.command}\neverything is in {folder}")
        return 1
    if options.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
