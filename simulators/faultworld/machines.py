"""A store's machine: a real ledger and a real uplink over a disk that can be pulled, copied and cloned."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Protocol

import msgspec

from contracts.command_types import DeviceArgs
from contracts.event_types import LANES, DeviceFault, DeviceOffline, EventData, Lane
from contracts.messages import Ack, BadMessageError, Hello, HelloAnswer, decode_message, unpack
from edge.commands import CommandRunner, Result
from edge.commands.handler import Handler
from edge.ledger import Ledger, LedgerOpenError
from edge.ledger.schema import connect, connect_readonly
from edge.ledger.store import Store
from edge.ports import LedgerFullError, Record, Transaction
from edge.uplink import Uplink
from mqtt_link.port import Incoming
from simulators.faultworld import invariants
from simulators.faultworld.clocks import BoxClock
from simulators.faultworld.disks import Folder, SimWriter
from simulators.faultworld.invariants import Violation
from simulators.faultworld.network import Network, SimPort
from simulators.faultworld.process import Process
from simulators.faultworld.truth import Asked, Ident, Timeline, Truth, name_of

TENANT = "t"
OPEN_AGAIN_S = 5.0
HEARTBEAT_S = 30.0
EFFECT_S = 0.05
COMMAND = "device.restart"
FILE = "ledger.db"


class Spoken(msgspec.Struct):
    """What a batch says of itself, without its events."""

    nonce: str


_spoken = msgspec.json.Decoder(Spoken)


class FakeLock(Handler[DeviceArgs]):
    """A device that notes when it moves. The command's id stands where a device's name would, so that it knows."""

    def __init__(self, process: Process, moved: Callable[[str], None]) -> None:
        super().__init__(DeviceArgs)
        self._process = process
        self._moved = moved

    async def run(self, args: DeviceArgs) -> Result:
        self._process.step("effect")
        self._moved(args.device)
        await asyncio.sleep(EFFECT_S)
        self._process.step("effect done")
        return Result("done", "online")


class Surroundings(Protocol):
    """What a machine needs of its world."""

    network: Network
    truth: Truth
    progress_timeout_s: float
    telemetry_rows: int

    def rng(self, name: str) -> Random: ...
    def on_step(self, process: Process, what: str) -> None: ...
    def fail(self, violation: Violation) -> None: ...
    def note(self, what: str) -> None: ...
    def next_birth(self) -> int: ...
    def moved(self, command: str) -> None: ...


class Machine:
    """One box of a store. Its disk outlives its processes; its timeline is what the disk owes to the cloud."""

    def __init__(
        self, world: Surroundings, *, name: str, store: int, folder: Folder, timeline: Timeline, drift: float
    ) -> None:
        self.world = world
        self.name = name
        self.store = f"store{store}"
        self.store_index = store
        self.folder = folder
        self.timeline = timeline
        self.clock_offset_s = 0.0
        self.dies_by = "kill"
        self.stopping = False  # the ledger is being closed
        self.alarms = 0  # that the cloud lost data, told by the processes before this one
        self.process: Process | None = None
        self.ledger: Ledger | None = None
        self.uplink: Uplink | None = None
        self.commands: CommandRunner | None = None
        self.rows: dict[Lane, dict[int, Ident]] = {lane: {} for lane in LANES}
        self.answered: dict[str, bool] = {}
        self._drift = drift
        self._streams: dict[Lane, str] = {}
        self._tails: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._seen: dict[Lane, tuple[str, int, int, int]] = {}
        self._boots = 0
        self._connection: sqlite3.Connection | None = None

    # -------------------------------------------------------------- life

    def boot(self) -> None:
        """Switch the machine on."""
        self._boots += 1
        self.stopping = False
        self.answered = {}
        self._streams = {}
        self._seen = {}
        process = self.process = Process(self.name, on_step=self.world.on_step, part=self)
        process.on_death.append(self._died)
        process.spawn(self._live(process), "main").add_done_callback(partial(self._ended, process))
        self.world.note(f"{self.name} boots")

    def die(self, how: str = "kill") -> None:
        """The process ends now: `kill`, or `power` with what that does to the disk."""
        self.dies_by = how
        if self.process is not None:
            self.process.die()

    @property
    def up(self) -> bool:
        """The agent runs and its ledger is open."""
        return self.process is not None and not self.process.dead and self.uplink is not None

    def stands_by(self, lane: Lane) -> bool:
        """The cloud has told this lane that another instance is the active one."""
        return self.uplink is not None and self.uplink._lanes[lane].machine.state == "standby"  # noqa: SLF001  # per lane

    def replace_disk(self, folder: Folder, timeline: Timeline) -> None:
        """Another disk is in the machine, which is off."""
        self.folder.close()
        self.folder, self.timeline = folder, timeline

    @property
    def alarmed(self) -> int:
        """How often this box has said that the cloud lost data."""
        told = (
            0 if self.uplink is None else sum(self.uplink.counters.get(f"{lane}_alarm_cloud_loss", 0) for lane in LANES)
        )
        return self.alarms + told

    def _died(self) -> None:
        self.world.note(f"{self.name} dies ({self.dies_by})")
        self.alarms = self.alarmed
        self.process = self.ledger = self.uplink = self.commands = self._connection = None
        if self.dies_by == "power":
            self.folder = self.folder.after_power_cut(self.world.rng(f"cut {self.name}{self._boots}"))
        else:
            self.folder = self.folder.after_kill()
        self.dies_by = "kill"

    async def _live(self, process: Process) -> None:
        world = self.world
        clock = BoxClock(asyncio.get_running_loop(), drift=self._drift, offset_s=lambda: self.clock_offset_s)
        boot = f"{self.name}-boot{self._boots}"
        while True:
            try:
                ledger = await Ledger.open(
                    self.folder.path / FILE,
                    clock=clock,
                    tenant=TENANT,
                    store=self.store,
                    boot=boot,
                    machine=f"box-{self.name}",
                    telemetry_rows=world.telemetry_rows,
                    busy_timeout_s=0.0,
                    free=lambda _folder: 2**40,
                    writer=partial(SimWriter, process=process, looked=self.looked),
                    connect=self._connect,
                    connect_readonly=self._connect_readonly,
                )
            except LedgerOpenError as error:
                world.note(f"{self.name} cannot open its ledger: {error}")
                await clock.sleep(OPEN_AGAIN_S)
                continue
            break
        self.ledger = ledger
        uplink = self.uplink = Uplink(
            on_command=lambda command: commands.offer(command),  # noqa: PLW0108  # made further down
            ledger=ledger,
            clock=clock,
            rng=world.rng(boot),
            url="mqtt://broker",
            tenant=TENANT,
            store=self.store,
            instance=f"box-{self.name}",
            boot=boot,
            agent_version="sim",
            progress_timeout_s=world.progress_timeout_s,
            heartbeat_s=HEARTBEAT_S,
            port=SimPort(world.network, self.name),
        )
        lock = FakeLock(process, world.moved)
        commands = CommandRunner(ledger=ledger, standing=lambda: uplink.standing, clock=clock, handlers={COMMAND: lock})
        self.commands = commands
        process.spawn(commands.run(), "commands").add_done_callback(partial(self._ended, process))
        await uplink.run()

    def _connect(self, path: Path, timeout_s: float) -> sqlite3.Connection:
        self._connection = self.folder.opened(connect(path, timeout_s))
        return self._connection

    def _connect_readonly(self, path: Path, timeout_s: float = 5.0) -> sqlite3.Connection:
        return self.folder.opened(connect_readonly(path, timeout_s))

    def _ended(self, process: Process, task: asyncio.Task[Any]) -> None:
        if process.dead or task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.world.fail(as_violation(self.name, error))

    # -------------------------------------------------------------- what happens in the store

    def append(self, lane: Lane, size: int) -> None:
        """Something happens that becomes an event; nothing, while the agent is down."""
        if self.process is None or self.ledger is None:
            return
        birth = self.world.next_birth()
        if lane == "telemetry":
            self.world.truth.telemetry.add(birth)
        task = self.process.spawn(self._append(self.ledger, birth, lane, size), f"append{birth}")
        task.add_done_callback(partial(self._ended, self.process))

    async def _append(self, ledger: Ledger, birth: int, lane: Lane, size: int) -> None:
        if self.stopping:
            return
        data: EventData = (
            DeviceFault(device="d", kind="lock", code=name_of(birth), detail="x" * size)
            if lane == "ledger"
            else DeviceOffline(device=name_of(birth), kind="scale", detail="x" * size)
        )
        timeline = self.timeline
        try:
            await ledger.commit(Transaction(records=(Record(data=data),)))
        except LedgerFullError:
            if not self.folder.syncs_fail:  # what a failed sync left in the WAL may be found after a crash
                self.world.truth.refused.add(birth)
            return
        timeline.told.add(birth)

    # -------------------------------------------------------------- the truth about the disk

    def looked(self, store: Store) -> None:
        """Compare what the disk holds now with what it held before; called after every job of the ledger."""
        try:
            for lane in LANES:
                self._look(store, lane)
        except Violation as violation:
            self.world.fail(violation)

    def _look(self, store: Store, lane: Lane) -> None:
        row, truth, where = store.lanes[lane], self.world.truth, f"{self.name} {lane}"
        seen = stream, tail_seq, freed_seq, dropped = row.stream, row.tail.seq, row.freed.seq, row.dropped_seq
        if seen == self._seen.get(lane):
            return
        self._seen[lane] = seen
        before = self._streams.get(lane)
        query = f"SELECT seq, raw, hash FROM {lane}_event WHERE seq>? ORDER BY seq"  # noqa: S608  # a lane's name
        after = self._tails[lane] if before == stream else 0
        found = store.connection.execute(query, (after,)).fetchall()
        new = dict(truth.write_down(stream, found))
        invariants.refused_never_appears(truth, (truth.births[ident] for ident in new.values()))
        self._streams[lane], self._tails[lane] = stream, tail_seq
        if before == stream:
            rows = self.rows[lane]
            rows.update(new)
        else:
            rows = self._opened(lane, before, new, dropped, where)
        self.timeline.owed.update(new.values())
        for seq in [seq for seq in rows if seq <= dropped]:
            truth.dropped.add(rows[seq])
        freed = [rows.pop(seq) for seq in sorted(rows) if seq <= freed_seq]
        invariants.freed_is_in_the_cloud(truth, freed, where)
        self.timeline.freed.update(freed)

    def _opened(
        self, lane: Lane, before: str | None, new: dict[int, Ident], dropped: int, where: str
    ) -> dict[int, Ident]:
        """The lane has another stream than before: the process has just started, or it forked."""
        truth, timeline = self.world.truth, self.timeline
        again = set(new.values())
        for seq in [seq for seq in new if seq <= dropped]:
            truth.dropped.add(new[seq])
        left = [ident for ident in self.rows[lane].values() if ident not in again]
        if before is None:
            mine = {ident for ident in timeline.owed if ident in left}
            gone = [ident for ident in mine if ident not in truth.cloud.held]
            invariants.accepted_survives(truth, _only(timeline, set(gone)), again, where)
        else:
            invariants.a_fork_has_a_cause(truth, self.store, where)
            kept = [ident for ident in left if ident not in truth.cloud.held and ident not in truth.lost_by_cloud]
            invariants.a_fork_leaves_nothing_behind(truth, kept, again, where)
        timeline.freed.update(ident for ident in left if ident not in truth.dropped)
        self.rows[lane] = new
        return new

    # -------------------------------------------------------------- what is said

    def published(self, topic: str, payload: bytes) -> None:
        """The machine hands a message to the broker."""
        if "/up/hello/" in topic:
            hello = decode_message(payload, Hello)
            self.world.truth.asked[hello.nonce] = Asked(self.store, hello.instance, hello.probe)
        if "/up/events/" in topic:
            nonce = _spoken.decode(unpack(payload)).nonce
            try:
                invariants.speaks_only_when_answered(nonce, self.answered, self.name)
            except Violation as violation:
                self.world.fail(violation)

    def delivered(self, message: Incoming) -> None:
        """The machine takes a message of the cloud."""
        lane_name = message.topic.rpartition("/")[2]
        if "/down/hello/" not in message.topic or self.uplink is None:
            return
        try:
            answer = decode_message(message.payload, HelloAnswer)
        except BadMessageError:
            return
        self.answered.setdefault(answer.nonce, answer.active)  # of several workers the first is believed
        lane: Lane = "ledger" if lane_name == "ledger" else "telemetry"
        machine = self.uplink._lanes[lane].machine  # noqa: SLF001  # the truth must know what is about to be believed
        if answer.active and machine.nonce == answer.nonce and machine.state in ("hello", "probe"):
            kept = {ident for seq, ident in self.rows[lane].items() if seq > answer.watermark}
            self.world.truth.lost_by_cloud -= kept  # it will be sent again, so it is owed again


def _only(timeline: Timeline, owed: set[Ident]) -> Timeline:
    return Timeline(owed, timeline.told, timeline.freed)


def as_violation(who: str, error: BaseException) -> Violation:
    """An error that nobody took, as the rule that it breaks."""
    if isinstance(error, Violation):
        return error
    try:
        invariants.nobody_falls(who, error)
    except Violation as violation:
        return violation
    raise AssertionError("a rule that never holds did hold")


def watermark_said(payload: bytes, *, hello: bool) -> Ack | HelloAnswer | None:
    """What a message of the cloud says of its watermark; None if it cannot be read."""
    try:
        return decode_message(payload, HelloAnswer) if hello else decode_message(payload, Ack)
    except (BadMessageError, msgspec.MsgspecError):
        return None
