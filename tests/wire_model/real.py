"""The real code as the model's schedules drive it: boxes over real ledgers, a bridge over a real database.

Nothing here decides: `Box` and `Cloud` carry out what the product's own machines say, one step at a time, and note what
they would put on the line.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Raw

from cloud_bridge.commands import CommandDesk, Issued, book, mark_restored
from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest, move_lease
from cloud_bridge.presence import PresenceBook
from cloud_bridge.router import Router
from cloud_bridge.storage.sqlite import SqliteDb, open_sqlite_writer
from cloud_bridge.storage.sqlite import connect as connect_cloud
from cloud_bridge.storage.sqlite_storage import Job, commit_group
from contracts.clock import ManualClock, unix_ms
from contracts.envelope import root_hash
from contracts.event_types import DeviceFault, DeviceOffline, Lane
from contracts.ids import new_uuid
from contracts.messages import (
    Ack,
    Batch,
    Command,
    Hello,
    HelloAnswer,
    Message,
    decode_message,
    encode_message,
)
from contracts.topics import StoreTopics
from edge.commands import machine as command_machine
from edge.commands.machine import Append, Effect, Facts, Look, state_of
from edge.commands.records import KIND, Result, decode_row
from edge.ledger import Ledger
from edge.ledger.schema import connect, connect_readonly
from edge.ports import Record, Transaction
from edge.uplink import machine as uplink_machine
from edge.uplink.batch_size import BatchSize
from edge.uplink.clock_estimate import ClockEstimator
from edge.uplink.machine import Alarm, Confirm, Fork, SendBatch, SendHello
from simulators.faultworld.disks import Folder
from tests.edge_ledger.inline import InlineWriter
from tests.wire_model.model import AHEAD, BATCH

TENANT, STORE = "demo", "shop1"
TOPICS = StoreTopics(TENANT, STORE)
TICK_S = 10.0  # of the model's clock
DEVICE = "scale-1"
T_S, PAUSE_S = 11.0, 61.0  # longer than T, longer than any back-off


class SameBatches(BatchSize):
    """Batches of the model's size on every line."""

    def __init__(self) -> None:
        super().__init__(events=BATCH)

    def passed(self, **_: Any) -> None:
        pass

    def _shrink(self, by: int) -> None:
        pass


def _unsynced(path: Path, busy_timeout_s: float) -> Any:
    """No power is cut here, and nothing is faster than not to wait for a disk."""
    connection = connect(path, busy_timeout_s)
    connection.execute("PRAGMA synchronous=OFF")
    return connection


@dataclass
class Said:
    """A message that was handed to the network: by whom, to which topic."""

    topic: str
    message: Message
    payload: bytes


@dataclass
class Box:
    """One box: its disk, its ledger, its two machines. `out` collects what it says."""

    index: int
    instance: str
    lane: Lane
    folder: Folder
    clock: ManualClock
    effects: list[tuple[str, float]]
    out: list[Said] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    async def boot(self) -> None:
        """A process starts over the disk."""
        self.ledger = await Ledger.open(
            self.folder.path / "ledger.db",
            clock=self.clock,
            tenant=TENANT,
            store=STORE,
            boot=new_uuid(),
            machine=self.instance,
            free=lambda _folder: 2**40,
            writer=InlineWriter,
            connect=lambda *where: self.folder.opened(_unsynced(*where)),
            connect_readonly=lambda *where: self.folder.opened(connect_readonly(*where)),
        )
        self.view = self.ledger.lane(self.lane)
        self.estimator = ClockEstimator()
        self.estimator._samples = deque()  # of one boot the model keeps the best of all
        self.line_s = 0.0  # the time of T and back-off, which the model does not measure
        self.hello_sent_s = 0.0
        self.machine = uplink_machine.LaneMachine(lane=self.view, rng=Random(1), new_nonce=new_uuid)
        self.machine.batch = SameBatches()
        self.may_send = False
        self.commands = command_machine.CommandMachine(why_not=lambda _kind, _args: "")
        rows = {name: decode_row(raw) for name, raw in self.ledger.state(KIND).items()}
        await self._order(self.commands.started(rows, None, self._facts()))

    def die(self) -> None:
        """The process ends as by SIGKILL; what was written is on the disk that the next one finds."""
        after = self.folder.after_kill()
        self._let_go()
        self.folder = after

    def _let_go(self) -> None:
        self.ledger._cleanup.close()
        self.ledger._tidier._opening.witness.close()

    def end(self) -> None:
        self._let_go()
        self.folder.close()

    async def replace_disk(self, files: Path) -> None:
        """The disk is put back from an image."""
        root = self.folder._root
        self.folder.close()
        self._let_go()
        self.folder = Folder(root, faulty=False, files=files)
        await self.boot()

    # -------------------------------------------------------------- what the model's steps are here

    async def append(self, uid: int) -> None:
        mark = f"e{uid}"
        data = DeviceFault(device="d", kind="lock", code=mark, detail="")
        if self.lane == "telemetry":
            data = DeviceOffline(device=mark, kind="scale", detail="")
        await self.ledger.commit(Transaction(records=[Record(data)]))

    async def drop_oldest(self) -> None:
        stamp = self.ledger._stamp()
        await self.ledger._writer.call(lambda store: store.drop_telemetry(1, "overflow", stamp))

    async def say_hello(self) -> None:
        """Connect, or T goes by."""
        if self.machine.state == "off":
            await self._do(self.machine.connected(self.line_s))
            return
        self.line_s += T_S
        await self._do(self.machine.tick(self.line_s))
        await self._pause()

    async def send(self) -> None:
        """One batch, if the machine has one to send."""
        self.may_send = True
        await self._do(self.machine.grew(self.line_s))
        self.may_send = False

    @property
    def would_send(self) -> bool:
        """Whether the machine would send a batch now. It is answered that nothing was there to read."""
        wanted = [action for action in self.machine.grew(self.line_s) if isinstance(action, SendBatch)]
        for action in wanted:
            self.machine.sent(action.nonce, action.after_seq, self.line_s)
        return bool(wanted)

    async def hear(self, topic: str, payload: bytes) -> None:
        """A message of the cloud, as the uplink takes it."""
        if self.machine.state == "off":
            return
        kind = topic.removeprefix(f"{TOPICS.base}/down/").partition("/")[0]
        if kind == "hello":
            answer = decode_message(payload, HelloAnswer)
            if self.machine.state in {"hello", "probe"} and answer.nonce == self.machine.nonce:
                fits = self.estimator.add(
                    sent_s=self.hello_sent_s, received_s=self.clock.now_s(), t1_ms=answer.t1, t2_ms=answer.t2
                )
                assert fits, "the clock's sample was refused"
            await self._do(self.machine.answered(answer, self.line_s))
        elif kind == "ack":
            await self._do(self.machine.acked(decode_message(payload, Ack), self.line_s))
        elif self.machine.state == "ready" and not self.commands.open:  # else the network lost it
            await self._order(self.commands.received(decode_message(payload, Command), self._facts()))
        await self._pause()

    async def run(self, phase: str) -> None:
        """The command that is under way goes on: its effect, or the end of it."""
        if phase == "todo":
            await self._order(self.commands.look(self._facts()))
        else:
            (name,) = self.commands.open
            await self._order(self.commands.ended(name, Result("done", "ok"), self._facts()))

    # -------------------------------------------------------------- carrying out

    async def _pause(self) -> None:
        """What is said again after a pause is said now."""
        if self.machine.state == "wait":
            self.line_s += PAUSE_S
            await self._do(self.machine.tick(self.line_s))

    async def _do(self, actions: Iterable[uplink_machine.Action]) -> None:
        todo = deque(actions)
        while todo:
            match action := todo.popleft():
                case SendHello():
                    self._say_hello(action)
                case SendBatch():
                    todo.extend(await self._send(action))
                case Confirm():
                    await self.ledger.confirm(self.lane, action.seq)
                case Fork():
                    await self._fork(action)
                case Alarm():
                    self.alarms.append(action.name)

    def _say_hello(self, action: SendHello) -> None:
        self.hello_sent_s = self.clock.now_s()
        hello = Hello(
            stream=action.stream,
            instance=self.instance,
            nonce=action.nonce,
            next_seq=action.next_seq,
            tail_hash=action.tail_hash.hex(),
            t0=unix_ms(self.clock.wall()),
            parent=action.parent,
            probe=action.probe,
        )
        self._say(TOPICS.hello_up(self.lane), hello)

    async def _send(self, action: SendBatch) -> Iterable[uplink_machine.Action]:
        """A batch when the schedule says so; before that, nothing was there to read."""
        if not self.may_send:
            return self.machine.sent(action.nonce, action.after_seq, self.line_s)
        self.may_send = False
        part = await self.view.read(action.after_seq, action.max_events, action.max_bytes)
        self.machine.read(sum(map(len, part.events)))
        batch = Batch(
            stream=part.stream,
            nonce=action.nonce,
            first_seq=part.first_seq,
            prev_hash=part.prev_hash.hex(),
            events=[Raw(raw) for raw in part.events],
            last_hash=part.last_hash.hex(),
            gap=part.gap,
        )
        self._say(TOPICS.events(self.lane), batch)
        return self.machine.sent(action.nonce, part.last_seq, self.line_s)

    async def _fork(self, action: Fork) -> None:
        """The fork is durable, its hello does not get out any more: the line breaks."""
        await self.ledger.fork(self.lane, action.common, action.reason, stream=self.view.stream, lost=action.lost)
        self.machine.forked(self.line_s)
        self.machine.disconnected()
        await self._order(self.commands.look(self._facts()))

    def _say(self, topic: str, message: Message) -> None:
        self.out.append(Said(topic, message, encode_message(message)[0]))

    async def _order(self, actions: Iterable[command_machine.Action]) -> None:
        todo = deque(actions)
        while todo:
            match action := todo.popleft():
                case Append():
                    puts, deletes = state_of(action)
                    await self.ledger.commit(
                        Transaction(records=[Record(action.word, "commands")], puts=puts, deletes=deletes)
                    )
                    seq = self.ledger.lane("ledger").tail.seq
                    todo.extend(self.commands.appended(action.command, self._facts(), seq=seq))
                case Effect():
                    if instead := self.commands.begin(action.command, self._facts()):
                        todo.extend(instead)
                    else:
                        self.effects.append((action.command, self.clock.now_s()))
                case Look():
                    todo.extend(self.commands.looked(action.command, "crashed", self._facts()))

    def _facts(self) -> Facts:
        state = self.machine.state
        return Facts(
            now_s=self.clock.now_s(),
            link=state if state in {"off", "ready", "standby"} else "silent",
            stream=self.ledger.lane("ledger").stream,
            watermark=self.machine.watermark,
            latest_ms=self.estimator.latest_ms(now_s=self.clock.now_s()),
        )


class InlineStorage:
    """The bridge's SQLite, each write a transaction within the call."""

    def __init__(self, db: SqliteDb) -> None:
        self.db = db

    async def write(self, work: Any) -> Any:
        job = Job(work)
        commit_group(self.db, [job])
        return job.done.result()

    async def read(self, work: Any) -> Any:
        return work(self.db)


@functools.cache
def _empty_cloud() -> bytes:
    """A database with all its tables: made once, copied often."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cloud.db"
        db = open_sqlite_writer(path)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        return path.read_bytes()


class Cloud:
    """One bridge over one database. Any number of workers would be the same process on the same file."""

    def __init__(self, root: Path, clock: ManualClock) -> None:
        self._root = root
        self._clock = clock
        self._images = 0
        self.path = root / "cloud.db"
        self.path.write_bytes(_empty_cloud())
        self.out: list[Said] = []
        self._start()

    def _start(self) -> None:
        self.db = open_sqlite_writer(self.path, connect=connect_cloud)
        self.db.execute("PRAGMA synchronous=OFF")
        self.storage: Any = InlineStorage(self.db)
        counters = Counters()
        ingest = Ingest(storage=self.storage, clock=self._clock, counters=counters, window=AHEAD)
        self._desk = CommandDesk(
            storage=self.storage, publish=self._publish, connected=lambda: True, clock=self._clock, counters=counters
        )
        self._router = Router(
            storage=self.storage,
            ingest=ingest,
            presence=PresenceBook(counters),
            requests=None,
            clock=self._clock,
            counters=counters,
            commands=self._desk,
        )

    async def _publish(self, topic: str, payload: bytes, _encoding: str) -> None:
        self.out.append(Said(topic, decode_message(payload, Command), payload))

    async def hear(self, said: Said, *, reply: bool) -> None:
        """One message of a store: a transaction, then, unless the worker dies, what is published."""
        answer = await self._router.handle(said.topic, said.payload)
        assert answer is not None, f"no answer to {said.message}"
        if reply:
            kind: type[Message] = HelloAnswer if isinstance(said.message, Hello) else Ack
            self.out.append(Said(answer.topic, decode_message(answer.payload, kind), answer.payload))
        await self._desk.turn()

    async def issue(self, name: str, expires_ms: int) -> None:
        """As the API does it."""
        now_ms = unix_ms(self._clock.wall())

        def write(db: Any) -> None:
            stream = book.target(db, TENANT, STORE)
            assert stream is not None
            book.issue(
                db,
                Issued(TENANT, STORE, name, stream, "device.restart", {"device": DEVICE}, "amy", now_ms, expires_ms),
            )

        await self.storage.write(write)
        self._desk.issued()
        await self._desk.turn()

    async def move_lease(self, instance: str) -> None:
        await move_lease(self.storage, tenant=TENANT, store=STORE, instance=instance, now_ms=0)

    # -------------------------------------------------------------- what happens to its disk

    def image(self) -> Path:
        """A copy of the file as it is now."""
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._images += 1
        return Path(shutil.copyfile(self.path, self._root / f"cloud{self._images}.image"))

    def put_back(self, image: Path) -> None:
        """The file is an old copy from now on, and the operator says so."""
        self.db.close()
        for beside in self._root.glob("cloud.db-*"):
            beside.unlink()
        shutil.copyfile(image, self.path)
        mark_restored(self.path, clock=self._clock)
        self._start()

    async def lose(self, stream: str, count: int) -> None:
        """The same for the end of one stream alone, which no copy of a file would do; and the operator's word."""

        def cut(db: Any) -> None:
            key, watermark = db.one("SELECT born, watermark FROM streams WHERE stream = ?", (stream,))
            left = watermark - count
            before = db.one("SELECT hash FROM events WHERE stream = ? AND seq = ?", (key, left)) or db.one(
                "SELECT last_hash FROM gaps WHERE stream = ? AND last = ?", (key, left)
            )
            root = root_hash(stream) if before is None else before[0]
            db.execute("DELETE FROM events WHERE stream = ? AND seq > ?", (key, left))
            db.execute("DELETE FROM gaps WHERE stream = ? AND last > ?", (key, left))
            db.execute("DELETE FROM parked WHERE stream = ?", (key,))
            db.execute("DELETE FROM command_words WHERE stream = ? AND seq > ?", (stream, left))
            db.execute("UPDATE streams SET watermark = ?, hash = ? WHERE born = ?", (left, root, key))
            book.restored(db, unix_ms(self._clock.wall()))

        await self.storage.write(cut)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.db.close()
