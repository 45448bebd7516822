"""The network and the broker: they carry messages, and do everything to them that a network and a broker may do.

A message crosses the link up (client to broker), the PUBACK comes back, and each subscriber's copy crosses its link
down. What goes wrong is written in the schedule: the n-th message of a link is dropped, doubled, late, or its PUBACK
is lost; timed faults cut links and restart the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol
from zlib import crc32

from mqtt_link.port import Incoming, LinkLostError, Will
from simulators.faultworld.process import Process, current_process

TIMEOUT_S = 10.0
KEEPALIVE_LOST_S = 45.0  # one and a half times the keepalive: then both sides give the connection up
MAX_QUEUED = 1000


@dataclass(frozen=True, slots=True)
class Slip:
    """What happens to one message. `kind`: lose, lie (PUBACK, then lose), twice, late, puback (PUBACK lost)."""

    kind: str
    extra_s: float = 0.0


class Watcher(Protocol):
    """Who sees every message: the invariants and the trace."""

    def published(self, process: Process, topic: str, payload: bytes) -> None:
        """A client hands a message to its broker."""

    def delivered(self, process: Process, message: Incoming) -> None:
        """A client takes a message out of its queue."""

    def connected(self, process: Process, link: str) -> None:
        """The broker has accepted a client's connection."""


@dataclass(slots=True, eq=False)
class Session:
    """One client's connection, as the broker and the client see it."""

    client_id: str
    link: str
    process: Process
    will: Will | None
    on_dropped: Callable[[], None]
    filters: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)  # (share group or "", levels)
    inbox: deque[Incoming] = field(default_factory=deque)
    open: bool = True  # as the client knows
    alive: bool = True  # as the broker knows
    waiting: dict[asyncio.Future[None], None] = field(default_factory=dict)
    listener: asyncio.Future[None] | None = None


class Network:
    """The only broker, and every link to it. `slips` maps (link, n) to what happens to that message."""

    def __init__(
        self, *, seed: int, slips: dict[tuple[str, int], Slip], watcher: Watcher, latency_s: float = 0.02
    ) -> None:
        self.slips = slips
        self.happened: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._seed = seed & 0xFFFFFFFF
        self._rng = Random(seed)
        self._watcher = watcher
        self._latency_s = latency_s
        self._counts: Counter[str] = Counter()
        self._sessions: dict[str, Session] = {}
        self._under: dict[tuple[str, ...], list[Session]] = {}  # who listens to all below these levels
        self._others: list[Session] = []  # who listens to anything else
        self._retained: dict[str, bytes] = {}
        self._cut: dict[str, float] = {}
        self._down_until_s = 0.0
        self.kick_until_s = 0.0
        """Until then the broker accepts every connection and drops it at once."""

    # -------------------------------------------------------------- what goes wrong

    def restart(self, down_s: float, *, forget_retained: bool) -> None:
        """The broker dies and is away for `down_s`: sessions, queues and perhaps retained messages are gone."""
        self._down_until_s = max(self._down_until_s, self._loop.time() + down_s)
        if forget_retained:
            self._retained.clear()
        for session in list(self._sessions.values()):
            self._end(session, say_will=False)

    def cut(self, link: str, duration_s: float) -> None:
        """Nothing passes the link, either way; after the keepalive both ends notice."""
        until_s = self._loop.time() + duration_s
        self._cut[link] = max(self._cut.get(link, 0.0), until_s)
        self._loop.call_later(KEEPALIVE_LOST_S, self._keepalive, link, until_s)

    def drop(self, link: str) -> None:
        """The connection of a link breaks."""
        for session in self._on(link):
            self._end(session, say_will=True)

    def heal(self) -> None:
        """From now on nothing goes wrong any more."""
        self.slips = {}
        self._cut.clear()
        self._down_until_s = self.kick_until_s = 0.0

    def _keepalive(self, link: str, until_s: float) -> None:
        if self._is_cut(link) and self._cut[link] >= until_s:
            for session in self._on(link):
                self._end(session, say_will=True)

    def _on(self, link: str) -> list[Session]:
        return [session for session in self._sessions.values() if session.link == link]

    def _is_cut(self, link: str) -> bool:
        return self._cut.get(link, 0.0) > self._loop.time()

    # -------------------------------------------------------------- connections

    @contextlib.asynccontextmanager
    async def connection(
        self, *, client_id: str, link: str, will: Will | None, on_dropped: Callable[[], None]
    ) -> AsyncIterator[Connection]:
        """See mqtt_link.MqttPort."""
        process = current_process.get()
        if process is None:
            raise RuntimeError("only a process connects")
        process.step("connect")
        await asyncio.sleep(self._delay("connect:" + link))
        if self._is_cut(link):
            await asyncio.sleep(TIMEOUT_S)
            raise LinkLostError("timed out")
        if self._loop.time() < self._down_until_s:
            raise LinkLostError("connection refused")
        process.step("connected")
        if (before := self._sessions.get(client_id)) is not None:
            self.happened["take-over"] += 1
            self._end(before, say_will=self._rng.random() < 0.5)  # brokers differ
        session = self._sessions[client_id] = Session(client_id, link, process, will, on_dropped)
        self._watcher.connected(process, link)
        if self._loop.time() < self.kick_until_s:
            self._loop.call_later(0.05, self._end, session)
        process.on_death.append(lambda: self._vanished(session))
        try:
            yield Connection(self, session)
        finally:
            if not process.dead:
                self._end(session, say_will=False)

    def _vanished(self, session: Session) -> None:
        """A client died without a word: the broker's kernel hears at once, or only after the keepalive."""
        session.open = False
        delay_s = 0.01 if self._rng.random() < 0.5 else KEEPALIVE_LOST_S  # kill, or power cut
        self._loop.call_later(delay_s, lambda: self._end(session, say_will=True))

    def _end(self, session: Session, say_will: bool = True) -> None:
        if session.alive:
            session.alive = False
            if self._sessions.get(session.client_id) is session:
                del self._sessions[session.client_id]
            for heard in (self._others, *(self._under.get(levels[:-1], []) for _, levels in session.filters)):
                while session in heard:
                    heard.remove(session)
            if say_will and session.will is not None:
                self.accept(session.will.topic, session.will.payload, retain=True)
        if session.open:
            session.open = False
            for waiting in list(session.waiting):
                _fail(waiting)
            _wake(session)

    # -------------------------------------------------------------- messages

    def _delay(self, link: str) -> float:
        """How long the next message of a link takes: by seed, link and number, whatever else happens."""
        self._counts[link] += 1
        return self._latency_s * (0.5 + crc32(f"{link}{self._counts[link]}".encode(), self._seed) / 2**32)

    def slip(self, link: str) -> Slip | None:
        """What happens to the next message of a link."""
        n = self._counts["n:" + link] = self._counts["n:" + link] + 1
        found = self.slips.get((link, n))
        if found is not None:
            self.happened[f"message {found.kind}"] += 1
        return found

    async def publish(self, session: Session, topic: str, payload: bytes, *, retain: bool) -> None:
        """A client's publish at QoS 1: return after PUBACK."""
        session.process.step("publish")
        if not session.open:
            raise LinkLostError("the connection is lost")
        self._watcher.published(session.process, topic, payload)
        link = "up:" + session.link
        slip, delay_s = self.slip(link), self._delay(link)
        acked = self._loop.create_future()
        session.waiting[acked] = None
        kind = slip.kind if slip else ""
        lost = self._is_cut(session.link)
        if not lost and kind not in ("lose", "lie"):
            extra_s = slip.extra_s if slip and kind == "late" else 0.0
            self._loop.call_later(delay_s + extra_s, self._arrive, session, topic, payload, retain)
            if slip and kind == "twice":
                self._loop.call_later(delay_s + slip.extra_s, self._arrive, session, topic, payload, retain)
        if lost or kind in ("lose", "puback"):
            self._loop.call_later(TIMEOUT_S, _fail, acked)
        else:
            self._loop.call_later(delay_s * 2, _succeed, acked)
        try:
            await acked
        finally:
            session.waiting.pop(acked, None)
        session.process.step("puback")

    def _arrive(self, session: Session, topic: str, payload: bytes, retain: bool) -> None:
        if session.alive and not self._is_cut(session.link):
            self.accept(topic, payload, retain=retain)

    def accept(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """A message stands at the broker: a copy for every subscriber, one for each share group."""
        if self._loop.time() < self._down_until_s:
            return
        if retain:
            self._retained[topic] = payload
        levels = topic.split("/")
        shared: dict[str, list[Session]] = {}
        below = [self._under[key] for n in range(len(levels)) if (key := tuple(levels[:n])) in self._under]
        for session in [session for heard in (*below, self._others) for session in heard]:
            for group, wanted in session.filters:
                if _matches(wanted, levels):
                    if group:
                        shared.setdefault(group, []).append(session)
                    else:
                        self._carry_down(session, topic, payload, retained=False)
        for members in shared.values():
            self._carry_down(self._rng.choice(members), topic, payload, retained=False)

    def _carry_down(self, session: Session, topic: str, payload: bytes, *, retained: bool) -> None:
        link = "down:" + session.link
        slip, delay_s = self.slip(link), self._delay(link)
        if self._is_cut(session.link) or (slip and slip.kind not in ("twice", "late")):
            return
        message = Incoming(topic, payload, retained)
        extra_s = slip.extra_s if slip and slip.kind == "late" else 0.0
        self._loop.call_later(delay_s + extra_s, _put, session, message)
        if slip and slip.kind == "twice":
            self._loop.call_later(delay_s + slip.extra_s, _put, session, message)

    async def subscribe(self, session: Session, topic: str) -> None:
        """A client subscribes; what is retained comes at once (not over a shared subscription)."""
        session.process.step("subscribe")
        await asyncio.sleep(self._delay("subscribe:" + session.link))
        if not session.alive or self._is_cut(session.link):
            raise LinkLostError("the connection is lost")
        group, levels = "", topic.split("/")
        if levels[0] == "$share":
            group, levels = levels[1], levels[2:]
        session.filters.append((group, tuple(levels)))
        if not group and levels[-1] == "#" and "+" not in levels:
            self._under.setdefault(tuple(levels[:-1]), []).append(session)
        else:
            self._others.append(session)
        if not group:
            for name, payload in sorted(self._retained.items()):
                if _matches(tuple(levels), name.split("/")):
                    self._carry_down(session, name, payload, retained=True)

    async def messages(self, session: Session) -> AsyncIterator[Incoming]:
        """A client's queue, until its connection is lost."""
        while True:
            while session.inbox:
                message = session.inbox.popleft()
                session.process.step("message")
                self._watcher.delivered(session.process, message)
                yield message
            if not session.open:
                raise LinkLostError("the connection is lost")
            session.listener = self._loop.create_future()
            await session.listener


class Connection:
    """A client's end; see mqtt_link.MqttConnection."""

    def __init__(self, network: Network, session: Session) -> None:
        self._network = network
        self._session = session

    async def subscribe(self, topic: str) -> None:
        await self._network.subscribe(self._session, topic)

    async def publish(self, topic: str, payload: bytes, *, encoding: str = "", retain: bool = False) -> None:  # noqa: ARG002  # zstd's magic tells
        await self._network.publish(self._session, topic, payload, retain=retain)

    def messages(self) -> AsyncIterator[Incoming]:
        return self._network.messages(self._session)


class SimPort:
    """A machine's way to the broker over the link of its name; see mqtt_link.MqttPort."""

    def __init__(self, network: Network, link: str) -> None:
        self._network = network
        self._link = link

    def connect(
        self, *, client_id: str, will: Will | None = None, on_dropped: Callable[[], None]
    ) -> contextlib.AbstractAsyncContextManager[Connection]:
        return self._network.connection(client_id=client_id, link=self._link, will=will, on_dropped=on_dropped)


def _put(session: Session, message: Incoming) -> None:
    if not session.open:
        return
    if len(session.inbox) >= MAX_QUEUED:
        session.on_dropped()
        return
    session.inbox.append(message)
    _wake(session)


def _wake(session: Session) -> None:
    if session.listener is not None and not session.listener.done():
        session.listener.set_result(None)


def _fail(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_exception(LinkLostError("the connection is lost"))


def _succeed(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _matches(wanted: tuple[str, ...], levels: list[str]) -> bool:
    for at, level in enumerate(wanted):
        if level == "#":
            return True
        if at >= len(levels) or level not in ("+", levels[at]):
            return False
    return len(wanted) == len(levels)
