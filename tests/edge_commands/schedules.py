"""Random schedules of everything that may happen to orders, and the laws that hold whatever it is.

The oracle is small: it knows which effects really happened, at which true time, and what the cloud has been told. The
cloud here loses nothing; disks may be put back to an older copy, which is what makes a stream fork.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from cloud_bridge.commands import Verdict, Word, verdict
from contracts.command_types import COMMAND_TYPES
from contracts.event_types import CommandAccepted, CommandCompleted, CommandRefused
from contracts.messages import Command
from edge.commands.machine import KEEP_MS
from edge.commands.records import Result
from tests.edge_commands.world import T0_MS, Disk, Store, order

KINDS = ("telemetry.flush", "device.restart", "session.revoke", "device.restart")
OPS = (
    *("deliver",) * 6,
    *("issue",) * 3,
    *("step",) * 6,
    *("run",) * 4,
    *("confirm",) * 4,
    *("tick",) * 3,
    *("end",) * 3,
    "crash",
    "backup",
    "restore",
    "fill",
    "link",
    "clock",
    "busy",
    "day",
)
Op = tuple[str, int]


def moves(kind: str) -> bool:
    return COMMAND_TYPES[kind].moves_hardware


class World:
    """One store, its cloud, and everything that is on its way. Raises AssertionError where a law is broken."""

    def __init__(self) -> None:
        self.store = Store()
        self.issued: dict[str, Command] = {}
        self.cloud: dict[str, list[Any]] = {}  # by stream: what it holds
        self.copy: Disk | None = None
        self.streams = 1
        self.done_at: dict[str, list[float]] = {}  # true ms of each effect
        self.timeline: Counter[str] = Counter()  # effects since the last restored disk
        self.known = self.restored = True
        self.seen = 0
        self.restored = False

    # -------------------------------------------------------------- what may happen

    def run(self, ops: list[Op]) -> None:
        for name, number in ops:
            getattr(self, f"_{name}")(number)
            self.check()
        self.quiet()

    def _issue(self, number: int) -> None:
        store = self.store
        name = f"c{len(self.issued) + 1}"
        ttl_s = (2, 10, 60)[number % 3]
        kind = KINDS[number // 3 % 4]
        self.issued[name] = order(name, kind, stream=store.disk.stream, ttl_s=ttl_s, at_s=store.now_s)

    def _deliver(self, number: int) -> None:
        """Any copy of any order, however late, doubled, or over an old connection."""
        if self.issued:
            names = sorted(self.issued)
            self.store.receive(self.issued[names[number % len(names)]], commit=False)

    def _step(self, _number: int) -> None:
        if self.store.todo:
            self.store.step()

    def _run(self, _number: int) -> None:
        self.store.look()

    def _tick(self, number: int) -> None:
        self.store.now_s += (0.2, 1, 3, 11)[number % 4]
        self.store.look()

    def _day(self, number: int) -> None:
        if number % 4 == 0:
            self.store.now_s += KEEP_MS / 1000 + 61

    def _confirm(self, number: int) -> None:
        """The cloud takes some of what follows its watermark, under an answered hello."""
        store = self.store
        if store.link != "ready":
            return
        held = self.cloud.setdefault(store.disk.stream, [])
        mine = self.mine(store.disk)
        held += mine[len(held) : len(held) + 1 + number % 4]
        store.watermark = len(held)
        store.look()

    def _end(self, number: int) -> None:
        running = sorted(self.store.running)
        if running:
            outcome = Result("done", "ok") if number % 3 else Result("failed", "silent")
            self.store.end(running[number % len(running)], outcome)

    def _crash(self, _number: int) -> None:
        self.store.boot()
        self._hello()

    def _backup(self, _number: int) -> None:
        self.copy = self.store.disk.copy()

    def _restore(self, _number: int) -> None:
        if self.copy is None:
            return
        self.store.disk = self.copy.copy()
        self.restored = True
        self.timeline.clear()
        self.store.boot()
        self._hello()

    def _fill(self, _number: int) -> None:
        self.store.full = not self.store.full

    def _link(self, number: int) -> None:
        self.store.link = ("off", "silent", "standby", "ready", "ready", "ready")[number % 6]
        self.store.look()
        if self.store.link == "ready":
            self._hello()

    def _clock(self, number: int) -> None:
        self.store.error_s = (0.0, 0.5, 4.0, None)[number % 4]

    def _busy(self, number: int) -> None:
        self.store.stands_against = {"device.restart": "busy"} if number % 2 else {}

    # -------------------------------------------------------------- the wire, in few words

    @staticmethod
    def mine(disk: Disk) -> list[Any]:
        return [event for stream, event in disk.events if stream == disk.stream]

    def _hello(self) -> None:
        """A hello: where the cloud's chain and ours part, the disk was an old copy, and the lane forks."""
        store = self.store
        held, mine = self.cloud.setdefault(store.disk.stream, []), self.mine(store.disk)
        common = 0
        while common < min(len(held), len(mine)) and held[common] is mine[common]:
            common += 1
        if common < len(held):
            self.streams += 1
            stream = f"{self.streams:08d}-2222-4333-8444-555555555555"
            store.disk.stream = stream
            store.disk.events += [(stream, event) for event in mine[common:]]
            self.cloud[stream] = []
            store.watermark = 0
        else:
            store.watermark = len(held)
        store.look()

    # -------------------------------------------------------------- laws

    def check(self) -> None:
        store = self.store
        for name in store.effects[self.seen :]:
            command = self.issued[name]
            now_ms = T0_MS + store.now_s * 1000
            self.done_at.setdefault(name, []).append(now_ms)
            self.timeline[name] += 1
            words = store.said(name)
            assert words, f"{name}: an effect without an intent"
            assert words[-1] == "accepted", f"{name}: an effect after {words}"
            assert self.timeline[name] == 1, f"{name}: done twice by one disk"
            if moves(command.type):
                assert len(self.done_at[name]) == 1, f"{name}: moved twice"
                assert store.error_s is not None, f"{name}: moved with an unknown clock"
                held = [e for e in self.cloud.get(store.disk.stream, []) if isinstance(e, CommandAccepted)]
                assert any(e.command == name for e in held), f"{name}: moved before the cloud held its intent"
            if command.type == "session.revoke":  # it acts when it closes
                now_ms = T0_MS + store.closed_at_s.get(name, 0.0) * 1000
            elif store.error_s is None:  # what moves nothing may be late by as much as it was on its way
                continue
            assert now_ms <= command.expires_at, f"{name}: done after its expiry"
        self.seen = len(store.effects)

    def quiet(self) -> None:
        """Faults stop: everything ends, and the cloud's word is true."""
        store = self.store
        store.full, store.link, store.error_s, store.stands_against = False, "ready", 0.0, {}
        for _ in range(100):
            self._hello()
            self.store.do(())
            self.check()
            self._confirm(3)
            self.check()
            for name in sorted(store.running):
                store.end(name)
            store.wait(1.0)
            self.check()
        assert not store.machine.open, f"still open: {sorted(store.machine.open)}"
        self._hello()
        for _ in range(200):
            self._confirm(3)
        for name, command in self.issued.items():
            words = store.said(name)
            assert words.count("accepted") == 0 or words[-1] != "accepted", f"{name}: accepted and never ended"
            judged = self.verdict(name)
            if judged.state == "done" and not self.restored:
                assert name in self.done_at, f"{name}: said to be done, and never was"
            if name in self.done_at and moves(command.type):
                assert judged.state not in ("refused", "expired", "issued"), (
                    f"{name}: done, and the cloud says {judged}"
                )

    def verdict(self, name: str) -> Verdict:
        """What the cloud makes of it."""
        words = [
            word
            for stream, events in self.cloud.items()
            for seq, event in enumerate(events, 1)
            if (word := _word(stream, seq, event)) is not None and event.command == name
        ]
        now_ms = T0_MS + int(self.store.now_s * 1000) + 10 * KEEP_MS
        return verdict(words, expires_ms=self.issued[name].expires_at, now_ms=now_ms, lost=False)


def _word(stream: str, seq: int, event: Any) -> Word | None:
    match event:
        case CommandAccepted():
            return Word(stream, seq, "accepted")
        case CommandRefused():
            return Word(stream, seq, "refused", event.reason)
        case CommandCompleted():
            return Word(stream, seq, event.outcome, event.detail)
        case _:
            return None


def schedule(seed: int, length: int = 80) -> list[Op]:
    rng = Random(seed)
    return [(rng.choice(OPS), rng.randrange(1000)) for _ in range(length)]
