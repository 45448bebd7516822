"""A small world around the real machine: an edge disk in memory, a cloud that ingests as the contract says, a network
that loses, doubles and reorders. The invariants are those of the contract's own model, with real hashes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from itertools import count
from typing import NamedTuple

from contracts.envelope import next_hash, root_hash
from contracts.messages import Ack, Gap, HelloAnswer, Parent, Refusal
from edge.uplink.machine import Action, Alarm, Confirm, Fork, LaneMachine, SendBatch, SendHello

HOUR_S = 3600.0


class Place(NamedTuple):
    seq: int
    hash: bytes


class Row(NamedTuple):
    raw: bytes | None  # None: dropped telemetry
    hash: bytes


@dataclass
class Disk:
    """What survives a crash: `LaneFacts` and the ledger's reads over a plain list. An event's bytes name its birth."""

    stream: str
    parent: Parent | None = None
    base: Place = field(default=Place(0, b""))
    rows: list[Row] = field(default_factory=list)
    owed: set[bytes] = field(default_factory=set)  # ghost: births that this timeline owes to the cloud

    def __post_init__(self) -> None:
        if not self.base.hash:
            self.base = Place(0, root_hash(self.stream))

    def copy(self) -> Disk:
        return replace(self, rows=list(self.rows), owed=set(self.owed))

    @property
    def freed(self) -> Place:
        return self.base

    @property
    def tail(self) -> Place:
        return Place(self.base.seq + len(self.rows), self.rows[-1].hash if self.rows else self.base.hash)

    def hash_at(self, seq: int) -> bytes | None:
        if seq == self.base.seq:
            return self.base.hash
        return self.rows[seq - self.base.seq - 1].hash if self.base.seq < seq <= self.tail.seq else None

    def append(self, birth: bytes) -> bytes:
        """Returns the new hash."""
        self.owed.add(birth)
        return self._append(f"{self.stream}:{self.tail.seq + 1}|".encode() + birth)

    def _append(self, raw: bytes) -> bytes:
        digest = next_hash(self.tail.hash, raw)
        self.rows.append(Row(raw, digest))
        return digest

    def drop_oldest(self) -> bytes | None:
        """The birth of the oldest event that still had bytes, now without."""
        for at, row in enumerate(self.rows):
            if row.raw is not None:
                self.rows[at] = row._replace(raw=None)
                self.owed.discard(birth_of(row.raw))
                return birth_of(row.raw)
        return None

    def confirm(self, seq: int) -> None:
        k = seq - self.base.seq
        assert 0 <= k <= len(self.rows), "confirmed beyond the tail"
        if k:
            self.base, self.rows = Place(seq, self.rows[k - 1].hash), self.rows[k:]

    def fork(self, common: int, stream: str) -> Disk:
        digest = self.hash_at(common)
        assert digest is not None, "forked at a place that is not retained"
        new = Disk(stream, Parent(stream=self.stream, common=common, hash=digest.hex()), owed=set(self.owed))
        for row in self.rows[common - self.base.seq :]:
            if row.raw is not None:
                new._append(f"{stream}:{new.tail.seq + 1}|".encode() + birth_of(row.raw))
        return new

    def read(self, after: int, max_events: int) -> tuple[Gap | None, int, bytes, list[bytes], bytes]:
        """gap, first_seq, prev_hash, events, last_hash."""
        prev = self.hash_at(after)
        assert prev is not None, "the uplink wants an event that was freed"
        at = after - self.base.seq
        k = at
        while k < len(self.rows) and self.rows[k].raw is None:
            k += 1
        gap = None
        if k > at:
            last = self.rows[k - 1].hash.hex()
            gap = Gap(first=after + 1, last=after + k - at, reason="overflow", count=k - at, last_hash=last)
        events = [row.raw for row in self.rows[k : k + max_events] if row.raw is not None]
        last_hash = self.hash_at(after + k - at + len(events))
        assert last_hash is not None
        return gap, after + k - at + 1, prev, events, last_hash


def birth_of(raw: bytes) -> bytes:
    return raw.split(b"|", 1)[1]


@dataclass(frozen=True)
class SentBatch:
    stream: str
    nonce: str
    gap: Gap | None
    first_seq: int
    prev_hash: bytes
    events: tuple[bytes, ...]
    last_hash: bytes

    @property
    def start(self) -> int:
        return self.gap.first if self.gap else self.first_seq


@dataclass
class CloudStream:
    root: bytes
    raws: list[bytes | None] = field(default_factory=list)
    hashes: list[bytes | None] = field(default_factory=list)  # None: inside a gap

    def at(self, n: int) -> bytes | None:
        return self.root if n == 0 else self.hashes[n - 1]


@dataclass
class Cloud:
    """Ingest of one store's lane, one transaction a call. Ahead batches are ignored: parking is for speed only."""

    streams: dict[str, CloudStream] = field(default_factory=dict)
    lease: str = ""
    window: int = 6

    def of(self, stream: str) -> CloudStream:
        return self.streams.setdefault(stream, CloudStream(root_hash(stream)))

    def hello(self, hello: SendHello, instance: str) -> HelloAnswer:
        self.lease = self.lease or instance
        cs = self.of(hello.stream)
        wm = len(cs.hashes)
        probe = hello.probe
        at_probe = cs.at(probe) if probe is not None and probe <= wm else None
        return HelloAnswer(
            nonce=hello.nonce,
            stream=hello.stream,
            watermark=wm,
            hash_at_watermark=(cs.at(wm) or b"").hex(),
            hash_at_probe=at_probe.hex() if at_probe else None,
            active=self.lease == instance,
            window=self.window,
            t0=0,
            t1=0,
            t2=0,
        )

    def ingest(self, batch: SentBatch) -> Ack:
        cs = self.of(batch.stream)
        wm = len(cs.hashes)
        if batch.start > wm + 1 or self._store(cs, batch):
            wm = len(cs.hashes)
            digest = cs.at(wm) or b""
            return Ack(
                stream=batch.stream, nonce=batch.nonce, watermark=wm, hash_at_watermark=digest.hex(), window=self.window
            )
        refusal = Refusal(first_seq=batch.first_seq, reason="diverged")
        return Ack(stream=batch.stream, nonce=batch.nonce, refused=refusal)

    def _store(self, cs: CloudStream, batch: SentBatch) -> bool:
        wm = len(cs.hashes)
        known = cs.at(min(batch.start - 1, wm))
        if known is not None and known != batch.prev_hash:
            return False
        raws, hashes, digest, n = list(cs.raws), list(cs.hashes), batch.prev_hash, batch.start - 1
        if batch.gap:
            digest, n = bytes.fromhex(batch.gap.last_hash), batch.gap.last
            if n > wm:
                hashes += [None] * (n - wm - 1) + [digest]
                raws += [None] * (n - wm)
            elif hashes[n - 1] not in (None, digest):
                return False
        for raw in batch.events:
            n, digest = n + 1, next_hash(digest, raw)
            if n > len(hashes):
                raws.append(raw)
                hashes.append(digest)
            elif hashes[n - 1] not in (None, digest):
                return False
        assert digest == batch.last_hash, "last_hash is not the hash of the last event"
        cs.raws, cs.hashes = raws, hashes
        return True


@dataclass
class Box:
    instance: str
    disk: Disk
    machine: LaneMachine
    crashed: bool = False


@dataclass
class World:
    """The machine(s), the cloud, and a bag of messages. `machine_of` lets a test plant a mutant."""

    rng: random.Random
    machine_of: type[LaneMachine] = LaneMachine
    cloud: Cloud = field(default_factory=Cloud)
    boxes: list[Box] = field(default_factory=list)
    up: list[tuple[int, object]] = field(default_factory=list)
    down: list[tuple[int, object]] = field(default_factory=list)
    now_s: float = 0.0
    alarms: list[str] = field(default_factory=list)
    odd: bool = False  # ghost: something was restored, cloned or lost, so a fork is right
    lossy: bool = False
    image: Disk | None = None
    appended: set[bytes] = field(default_factory=set)  # ghost: every hash that was ever durable on an edge
    lost_in_cloud: set[bytes] = field(default_factory=set)
    dropped: set[bytes] = field(default_factory=set)
    _names: count[int] = field(default_factory=count)

    def name(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._names):012d}"

    def boot(self, disk: Disk, instance: str) -> Box:
        box = Box(instance, disk, self.new_machine(disk))
        self.boxes.append(box)
        return box

    def new_machine(self, disk: Disk) -> LaneMachine:
        return self.machine_of(lane=disk, rng=random.Random(self.rng.random()), new_nonce=self.name)

    def restart(self, box: Box, disk: Disk) -> None:
        box.disk, box.machine = disk, self.new_machine(disk)

    def do(self, box: Box, actions: object) -> None:
        """The shell's duty: carry out each action before the next input."""
        at = self.boxes.index(box)
        todo: list[Action] = list(actions)  # type: ignore[call-overload]
        while todo:
            act = todo.pop(0)
            m = box.machine
            if isinstance(act, SendHello):
                self.up.append((at, act))
            elif isinstance(act, SendBatch):
                gap, first, prev, events, last = box.disk.read(act.after_seq, min(act.max_events, 2))
                self.up.append((at, SentBatch(box.disk.stream, act.nonce, gap, first, prev, tuple(events), last)))
                todo += m.sent(act.nonce, first + len(events) - 1, self.now_s)
            elif isinstance(act, Confirm):
                box.disk.confirm(act.seq)
            elif isinstance(act, Fork):
                assert self.odd, "forked although nothing was restored, cloned or lost"
                assert act.reason != "cloud_loss" or self.lossy, "false alarm: cloud loss"
                forked = box.disk.fork(act.common, self.name())
                self.appended |= {row.hash for row in forked.rows}
                box.disk = m.lane = forked
                todo += m.forked(self.now_s)
            elif isinstance(act, Alarm):
                self.alarms.append(act.name)

    def append(self, box: Box) -> None:
        self.appended.add(box.disk.append(self.name().encode()))
        self.do(box, box.machine.grew())

    def deliver_up(self, at: int, *, keep: bool = False, answer: bool = True) -> None:
        message = self.up[at] if keep else self.up.pop(at)
        who, body = message
        if isinstance(body, SendHello):
            if answer:
                self.down.append((who, self.cloud.hello(body, self.boxes[who].instance)))
            return
        assert isinstance(body, SentBatch)
        ack = self.cloud.ingest(body)
        assert ack.refused is None or self.odd, "refused although nothing diverged"
        if answer:  # everyone who listens on the store's topic hears it
            self.down += [(n, ack) for n in range(len(self.boxes))]

    def deliver_down(self, at: int, *, keep: bool = False) -> None:
        who, body = self.down[at] if keep else self.down.pop(at)
        box = self.boxes[who]
        if box.machine.state == "off":
            return
        if isinstance(body, HelloAnswer):
            self._reappears(box, body)
            self.do(box, box.machine.answered(body, self.now_s))
        else:
            assert isinstance(body, Ack)
            self.do(box, box.machine.acked(body, self.now_s))

    def _reappears(self, box: Box, answer: HelloAnswer) -> None:
        """An answer that the machine is about to believe: what lies beyond its watermark and is retained is owed again."""
        m = box.machine
        if m.state not in ("hello", "probe") or answer.nonce != m.nonce or not answer.active:
            return
        beyond = max(0, answer.watermark - box.disk.base.seq)
        held = {birth_of(row.raw) for row in box.disk.rows[beyond:] if row.raw is not None}
        for other in self.boxes:
            if other is not box:  # another copy of this disk has freed it before
                held -= other.disk.owed - {birth_of(r.raw) for r in other.disk.rows if r.raw is not None}
        self.lost_in_cloud -= held

    def tick(self, box: Box, seconds: float) -> None:
        self.now_s += seconds
        self.do(box, box.machine.tick(self.now_s))

    def lose(self, stream: str, k: int) -> None:
        """The cloud was restored from an old copy: the last `k` of a stream are gone."""
        cs = self.cloud.streams[stream]
        k = min(k, len(cs.hashes))
        while k < len(cs.hashes) and cs.hashes[-k - 1] is None:  # a copy is taken between transactions, not in a gap
            k += 1
        if k == 0:
            return
        self.lost_in_cloud |= {birth_of(raw) for raw in cs.raws[-k:] if raw is not None}
        del cs.raws[-k:], cs.hashes[-k:]
        self.odd = self.lossy = True

    # -------------------------------------------------------------- invariants

    def check(self) -> None:
        """Holds after every step."""
        stored: set[bytes] = set()
        for cs in self.cloud.streams.values():
            digest, births = cs.root, []
            for n, raw in enumerate(cs.raws):
                if raw is None:
                    digest = cs.hashes[n] or digest
                    continue
                digest = next_hash(digest, raw)
                assert digest == cs.hashes[n], "the stored chain does not hold"
                assert digest in self.appended, "the cloud holds a chain that no edge ever appended"
                births.append(birth_of(raw))
            assert len(births) == len(set(births)), "one event stands twice in a stream"
            assert births == sorted(births), "out of order"
            stored |= set(births)
        for box in self.boxes:
            here = {birth_of(row.raw) for row in box.disk.rows if row.raw is not None}
            missing = box.disk.owed - stored - here - self.lost_in_cloud - self.dropped
            assert not missing, f"freed, and the cloud does not hold it: {sorted(missing)}"

    def settle(self) -> None:
        """Faults end, messages arrive: everything owed must reach the cloud."""
        for _ in range(800):
            self.check()
            if self.up:
                self.deliver_up(self.rng.randrange(len(self.up)))
            elif self.down:
                self.deliver_down(self.rng.randrange(len(self.down)))
            else:
                waiting = [b for b in self.boxes if b.machine.state != "ready" or b.disk.rows]
                if not waiting:
                    return
                for box in waiting:
                    if box.machine.state == "off":
                        self.do(box, box.machine.connected(self.now_s))
                    elif box.machine.state == "standby":
                        self.cloud.lease = box.instance  # an operator moves the lease
                    self.tick(box, HOUR_S)
        raise AssertionError("no rest: something is never sent, or the machines talk for ever")

    def check_rest(self) -> None:
        """At rest: nothing owed is missing in the cloud."""
        stored = {birth_of(r) for cs in self.cloud.streams.values() for r in cs.raws if r is not None}
        for box in self.boxes:
            lost = box.disk.owed - stored - self.lost_in_cloud - self.dropped
            assert not lost, f"at rest, not in the cloud: {sorted(lost)}"


def run_schedule(seed: int, *, faults: str, machine_of: type[LaneMachine] = LaneMachine, steps: int = 90) -> World:
    """One random schedule; `faults` names what may happen beside loss, doubling, reordering and crashes:
    `restore`, `clone`, `loss`, `drops`. Raises AssertionError with the broken rule."""
    rng = random.Random(seed)
    world = World(rng, machine_of)
    world.boot(Disk(world.name()), "i0")
    enabled = ["lose_up", "lose_down", "cut", "crash"]
    for name in faults.split():
        enabled += FAULTS[name]
    left = {"restore": 2, "clone": 1, "loss": 2, "drop": 6}
    patience = rng.choice((1, 3, 6))  # how readily messages are delivered: slow networks keep old words alive
    steps_of = ["append", "append", "tick", "fault", *["up", "down"] * patience]
    for _ in range(steps):
        box = rng.choice(world.boxes)
        step = rng.choice(steps_of)
        if step == "append":
            world.append(box)
        elif step == "up" and world.up:
            world.deliver_up(rng.randrange(len(world.up)), keep=rng.random() < 0.2, answer=rng.random() > 0.1)
        elif step == "down" and world.down:
            world.deliver_down(rng.randrange(len(world.down)), keep=rng.random() < 0.2)
        elif step == "tick":
            if box.machine.state == "off":
                world.do(box, box.machine.connected(world.now_s))
            world.tick(box, rng.choice((0.1, 3.0, 11.0, 40.0)))
        elif step == "fault":
            _fault(world, box, rng.choice(enabled), left)
        world.check()
    world.settle()
    world.check_rest()
    return world


FAULTS: dict[str, tuple[str, ...]] = {
    "restore": ("image", "restore", "restore"),
    "clone": ("image", "clone", "lease"),
    "loss": ("loss", "loss"),
    "drops": ("drop", "drop"),
}


def _fault(world: World, box: Box, fault: str, left: dict[str, int]) -> None:
    rng = world.rng
    if left.get(fault, 1) <= 0:
        return
    if fault == "lose_up" and world.up:
        world.up.pop(rng.randrange(len(world.up)))
    elif fault == "lose_down" and world.down:
        world.down.pop(rng.randrange(len(world.down)))
    elif fault == "cut":
        box.machine.disconnected()
    elif fault == "crash":
        world.restart(box, box.disk)
    elif fault == "image":
        world.image = box.disk.copy()
    elif fault == "restore" and world.image:
        left[fault] -= 1
        world.odd = True
        world.restart(box, world.image.copy())
    elif fault == "clone" and world.image:
        left[fault] -= 1
        world.odd = True
        world.boot(world.image.copy(), "i1")
    elif fault == "loss" and world.cloud.streams:
        left[fault] -= 1
        world.lose(rng.choice(sorted(world.cloud.streams)), rng.randint(1, 3))
    elif fault == "drop" and (birth := box.disk.drop_oldest()):
        left[fault] -= 1
        world.dropped.add(birth)
    elif fault == "lease" and len(world.boxes) > 1:
        world.cloud.lease = rng.choice(world.boxes).instance
