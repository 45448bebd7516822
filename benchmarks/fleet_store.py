"""Thousands of stores in one process, each a light client that speaks the real contract: the uplink's own machine, the
real events, chains and messages, a socket of its own; only the ledger is in memory and the MQTT client bare.

Run as a program it takes orders, one word a line, and answers each with one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import islice
from random import Random
from typing import Any

import msgspec

from benchmarks.sales import sale_events
from benchmarks.stand import memory_mib
from contracts.backoff import Backoff
from contracts.clock import SystemClock, rfc3339, unix_ms
from contracts.envelope import Stamp, encode_event, next_hash, root_hash
from contracts.event_types import LANES, EventData, Lane
from contracts.ids import new_uuid
from contracts.messages import Ack, Batch, Hello, HelloAnswer, Message, Presence, decode_message, encode_message
from contracts.topics import StoreTopics
from edge.ledger import Mark
from edge.uplink.machine import Action, Confirm, LaneMachine, SendBatch, SendHello

TENANT = "fleet"
BOOT = "benchmark"
EVENTS_A_SALE = 12
HEARTBEAT_S, KEEPALIVE_S, TICK_S = 30.0, 60, 0.5
BASE_S, CAP_S, SPREAD_S = 1.0, 30.0, 40.0  # of a reconnect: what edge.uplink.Uplink does by itself
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90, 0xC0


# ------------------------------------------------------------------ MQTT 5, as much as a store needs


def _varint(number: int) -> bytes:
    found = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        found.append(low | (0x80 if number else 0))
        if not number:
            return bytes(found)


def _text(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


def _packet(head: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((head,)) + _varint(len(body)) + body


class Line(asyncio.Protocol):
    """One connection: clean start, session expiry 0, QoS 1 both ways, a last will."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._buffer = bytearray()
        self._number = 0
        self._waiting: dict[int, Callable[[], None]] = {}
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        topic, payload = self._store.topics.presence.encode(), self._store.presence(online=False)
        flags = 0x02 | 0x04 | 0x08 | 0x20  # clean start; a will, QoS 1, retained
        head = _text(b"MQTT") + bytes((5, flags)) + struct.pack(">H", KEEPALIVE_S) + b"\0"
        transport.write(_packet(CONNECT, head, _text(self._store.client_id), b"\0", _text(topic), _text(payload)))

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by whomever."""
        del exc
        self._store.lost()

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.abort()

    def ping(self) -> None:
        """Say that somebody is there."""
        if self._transport is not None:
            self._transport.write(bytes((PINGREQ, 0)))

    def publish(self, topic: str, payload: bytes, then: Callable[[], None], *, retain: bool = False) -> None:
        """`then` is called once the broker has acknowledged."""
        assert self._transport is not None
        self._number = self._number % 65535 + 1
        self._waiting[self._number] = then
        packet = _packet(
            PUBLISH | 0x02 | retain, _text(topic.encode()), struct.pack(">H", self._number), b"\0", payload
        )
        self._transport.write(packet)

    def data_received(self, data: bytes) -> None:
        """Take whole packets apart; keep the rest."""
        self._buffer += data
        while (packet := self._next()) is not None:
            self._take(*packet)

    def _next(self) -> tuple[int, bytes] | None:
        size, shift, at = 0, 0, 1
        while True:
            if at >= len(self._buffer):
                return None
            size |= (self._buffer[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not self._buffer[at - 1] & 0x80:
                break
        if len(self._buffer) < at + size:
            return None
        head, body = self._buffer[0], bytes(self._buffer[at : at + size])
        del self._buffer[: at + size]
        return head, body

    def _take(self, head: int, body: bytes) -> None:
        assert self._transport is not None
        kind = head & 0xF0
        if kind == CONNACK:
            if body[1]:
                self._store.counters["connack_refused"] += 1
                self._transport.abort()
                return
            wanted = _text(self._store.topics.all_down.encode()) + b"\x01"
            self._transport.write(_packet(SUBSCRIBE, b"\0\1\0", wanted))
        elif kind == SUBACK & 0xF0:
            self._store.connected(self)
        elif kind == PUBACK:
            self._waiting.pop(struct.unpack_from(">H", body)[0], _nothing)()
        elif kind == PUBLISH:
            (length,) = struct.unpack_from(">H", body)
            at, qos = 2 + length, head >> 1 & 3
            if qos:
                self._transport.write(_packet(PUBACK, body[at : at + 2]))
                at += 2
            properties, shift = 0, 0
            while True:
                byte, at = body[at], at + 1
                properties, shift = properties | (byte & 0x7F) << shift, shift + 7
                if not byte & 0x80:
                    break
            self._store.heard(body[2 : 2 + length].decode(), body[at + properties :])


def _nothing() -> None:
    """Nobody waits for this acknowledgement any more."""


# ------------------------------------------------------------------ a store


class MemoryLane:
    """A lane of a ledger that is not there: the real bytes and chain of what the cloud has not confirmed."""

    def __init__(self, name: Lane) -> None:
        self.name: Lane = name
        self.stream = new_uuid()
        self.parent = None
        self.tail = self.freed = Mark(0, root_hash(self.stream))
        self._kept: deque[tuple[bytes, bytes, float]] = deque()  # of each: bytes, hash, when it was appended

    def append(self, data: EventData, source: str, stamp: Stamp, now_s: float) -> None:
        """One event more."""
        raw = encode_event(data, stream=self.stream, seq=self.tail.seq + 1, source=source, stamp=stamp)
        self.tail = Mark(self.tail.seq + 1, next_hash(self.tail.hash, raw))
        self._kept.append((raw, self.tail.hash, now_s))

    def hash_at(self, seq: int) -> bytes | None:
        """The chain's hash at a sequence that is kept."""
        if seq == self.freed.seq:
            return self.freed.hash
        place = seq - self.freed.seq - 1
        return self._kept[place][1] if 0 <= place < len(self._kept) else None

    def batch(self, nonce: str, after_seq: int, max_events: int, max_bytes: int) -> Batch:
        """What follows `after_seq`."""
        start, size, events = after_seq - self.freed.seq, 0, list[msgspec.Raw]()
        last = first = self.hash_at(after_seq) or b""
        for raw, digest, _ in islice(self._kept, start, start + max_events):
            size += len(raw) + 1
            if events and size > max_bytes:
                break
            events.append(msgspec.Raw(raw))
            last = digest
        return Batch(
            stream=self.stream,
            nonce=nonce,
            first_seq=after_seq + 1,
            prev_hash=first.hex(),
            events=events,
            last_hash=last.hex(),
        )

    def free(self, seq: int) -> list[float]:
        """The cloud has everything up to `seq`; when each of these was appended."""
        digest, appended = self.hash_at(seq), []
        assert digest is not None
        while self.freed.seq < seq:
            appended.append(self._kept.popleft()[2])
            self.freed = Mark(self.freed.seq + 1, digest)
        return appended


class Store:
    """One store: a line, two lanes with the uplink's machine, reconnects as the uplink does."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        self.topics = StoreTopics(TENANT, f"s{number:05d}")
        self.client_id = f"s{number:05d}.benchmark".encode()
        self.counters = fleet.counters
        self.lanes = {name: MemoryLane(name) for name in LANES}
        self._fleet = fleet
        self._machines = {
            name: LaneMachine(lane=lane, rng=fleet.rng, new_nonce=new_uuid, counters=fleet.counters)
            for name, lane in self.lanes.items()
        }
        self._inbox: dict[Lane, deque[HelloAnswer | Ack]] = {name: deque() for name in LANES}
        self._busy: set[Lane] = set()  # a publication is out: no other input until the broker has it
        self._backoff = Backoff(
            rng=fleet.rng, base_s=BASE_S, cap_s=CAP_S, spread_s=fleet.spread_s, stable_s=fleet.stable_s
        )
        self._line: Line | None = None
        self._conn = 0
        self._beat_s = 0.0

    @property
    def ready(self) -> bool:
        """The cloud has answered both lanes."""
        return all(machine.state == "ready" for machine in self._machines.values())

    def presence(self, *, online: bool) -> bytes:
        """What is said of this connection."""
        said = Presence(
            online=online, boot=BOOT, conn=self._conn, instance="benchmark", agent_version="0", since=1_700_000_000_000
        )
        return encode_message(said)[0]

    async def connect(self) -> None:
        """One try; what comes of it is told by `connected` or `lost`."""
        self._conn += 1
        try:
            await asyncio.get_running_loop().create_connection(lambda: Line(self), self._fleet.host, self._fleet.port)
        except OSError:
            self.counters["connect_failed"] += 1
            self.lost()

    def connected(self, line: Line) -> None:
        """Subscribed: say presence and hello."""
        self._line = line
        now_s = time.monotonic()
        self._fleet.connects.append(now_s)
        self._backoff.up(now_s)
        self._beat(now_s)
        for lane, machine in self._machines.items():
            self._do(lane, machine.connected(now_s))

    def lost(self) -> None:
        """No line: try again after a pause."""
        self._line = None
        self._busy.clear()
        for lane, machine in self._machines.items():
            machine.disconnected()
            self._inbox[lane].clear()
        self._fleet.again(self, self._backoff.down(time.monotonic()))

    def sell(self, now_s: float) -> None:
        """One sale's events, in the ledger at once."""
        stamp = Stamp(rfc3339(self._fleet.clock.wall()), BOOT, int(now_s * 1e9), "synced")
        for event in islice(self._fleet.events, EVENTS_A_SALE):
            self.lanes["ledger"].append(event, f"/{TENANT}/{self.topics.store}/S1", stamp, now_s)
        self._turn("ledger", now_s)

    def tick(self, now_s: float) -> None:
        """Time has passed."""
        if self._line is None:
            return
        for lane, machine in self._machines.items():
            if lane not in self._busy:
                self._do(lane, machine.tick(now_s))
        if now_s - self._beat_s >= HEARTBEAT_S:
            self._beat(now_s)

    def heard(self, topic: str, payload: bytes) -> None:
        """A message of the cloud."""
        kind, _, name = topic.removeprefix(f"{self.topics.base}/down/").partition("/")
        if name in self.lanes and kind in ("hello", "ack"):
            lane: Lane = "ledger" if name == "ledger" else "telemetry"
            inbox = self._inbox[lane]
            inbox.append(decode_message(payload, HelloAnswer) if kind == "hello" else decode_message(payload, Ack))
            self._turn(lane, time.monotonic())

    def _beat(self, now_s: float) -> None:
        self._beat_s = now_s - self._fleet.rng.uniform(0, 1)
        if self._line is not None:
            self._line.publish(self.topics.presence, self.presence(online=True), _nothing, retain=True)

    def _turn(self, lane: Lane, now_s: float) -> None:
        machine, inbox = self._machines[lane], self._inbox[lane]
        while inbox and lane not in self._busy:
            message = inbox.popleft()
            if isinstance(message, HelloAnswer):
                self._do(lane, machine.answered(message, now_s))
            else:
                self._do(lane, machine.acked(message, now_s))
        if lane not in self._busy:
            self._do(lane, machine.grew(now_s))

    def _do(self, lane: Lane, actions: Sequence[Action]) -> None:
        held = self.lanes[lane]
        for action in actions:
            match action:
                case SendHello():
                    said = Hello(
                        stream=action.stream,
                        instance="benchmark",
                        nonce=action.nonce,
                        next_seq=action.next_seq,
                        tail_hash=action.tail_hash.hex(),
                        t0=unix_ms(self._fleet.clock.wall()),
                    )
                    self._publish(lane, self.topics.hello_up(lane), said, None)
                case SendBatch():
                    batch = held.batch(action.nonce, action.after_seq, action.max_events, action.max_bytes)
                    self._publish(lane, self.topics.events(lane), batch, action)
                case Confirm():
                    now_s = time.monotonic()
                    self._fleet.acked.extend((now_s, now_s - at) for at in held.free(action.seq))
                case _:
                    self.counters[f"unexpected_{type(action).__name__}"] += 1

    def _publish(self, lane: Lane, topic: str, message: Message, batch: SendBatch | None) -> None:
        """Under way until the broker has it, as the uplink's runner does."""
        if self._line is None:
            return
        line, conn = self._line, self._conn
        self._busy.add(lane)

        def then() -> None:
            if self._line is not line or conn != self._conn:
                return
            self._busy.discard(lane)
            now_s = time.monotonic()
            if batch is not None and isinstance(message, Batch):
                last = message.first_seq + len(message.events) - 1
                self._do(lane, self._machines[lane].sent(batch.nonce, last, now_s))
            self._turn(lane, now_s)

        line.publish(topic, encode_message(message)[0], then)


# ------------------------------------------------------------------ all of them


class Fleet:
    """All stores of this process, and what was seen of them."""

    def __init__(self, host: str, port: int, count: int, *, stable_s: float, spread_s: float) -> None:
        self.host, self.port, self.stable_s, self.spread_s = host, port, stable_s, spread_s
        self.rng, self.clock = Random(7), SystemClock()
        self.events = sale_events(Random(8))
        self.counters: Counter[str] = Counter()
        self.connects: list[float] = []
        self.acked: list[tuple[float, float]] = []  # when, and seconds since the append
        self.stores = [Store(self, number) for number in range(count)]
        self._due: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticking = asyncio.get_running_loop().create_task(self._tick(), name="fleet-tick")

    def again(self, store: Store, pause_s: float) -> None:
        """Have a store connect after a pause."""
        asyncio.get_running_loop().call_later(pause_s, self._start, store)

    def _start(self, store: Store) -> None:
        task = asyncio.get_running_loop().create_task(store.connect(), name="fleet-connect")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tick(self) -> None:
        """Every store in turn, a slice at a time, so that none waits for all."""
        slices = 10
        while True:
            for number in range(slices):
                now_s = time.monotonic()
                for store in self.stores[number::slices]:
                    store.tick(now_s)
                await asyncio.sleep(max(0.0, now_s + TICK_S / slices - time.monotonic()))

    async def settle(self, within_s: float) -> float:
        """Wait until the cloud has answered every store and holds everything; seconds that took, -1 for never."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < within_s:
            if all(s.ready and s.lanes["ledger"].tail.seq == s.lanes["ledger"].freed.seq for s in self.stores):
                return time.monotonic() - began_s
            await asyncio.sleep(0.1)
        return -1.0

    async def order(self, word: str, number: float) -> dict[str, Any]:
        """`connect RATE`, `sell SECONDS` (each store once in that time), `watch SECONDS`."""
        began_s = time.monotonic()
        self.connects.clear()
        self.acked.clear()
        if word == "connect":
            for place, store in enumerate(self.stores):
                self.again(store, place / number)
            settled_s = await self.settle(len(self.stores) / number + 60)
        elif word == "sell":
            for place, store in enumerate(self.rng.sample(self.stores, len(self.stores))):
                due_s = began_s + number * place / len(self.stores)
                if (pause_s := due_s - time.monotonic()) > 0:
                    await asyncio.sleep(pause_s)
                store.sell(time.monotonic())
            settled_s = await self.settle(120)
        else:
            await asyncio.sleep(number)
            settled_s = await self.settle(120)
        latencies = sorted(took_s for _, took_s in self.acked)
        per_s = Counter(int(at - began_s) for at in self.connects)
        return {
            "settled_s": settled_s,
            "took_s": time.monotonic() - began_s,
            "acked": len(latencies),
            "acked_s": max((at for at, _ in self.acked), default=began_s) - began_s,
            "latency_ms": [1000 * latencies[int(share * (len(latencies) - 1))] for share in (0.5, 0.99, 1.0)]
            if latencies
            else [],
            "connects": len(self.connects),
            "connects_peak_s": max(per_s.values(), default=0),
            "connects_spread_s": max(self.connects, default=0) - min(self.connects, default=0),
            "rss_mib": memory_mib(os.getpid())["rss"],
            "counters": dict(self.counters),
        }


async def main(host: str, port: int, count: int, stable_s: float, spread_s: float) -> None:
    """Serve orders from standard input until it ends."""
    empty_mib = memory_mib(os.getpid())["rss"]
    fleet = Fleet(host, port, count, stable_s=stable_s, spread_s=spread_s)
    print(json.dumps({"rss_mib": empty_mib}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        word, number = line.split()
        print(json.dumps(await fleet.order(word, float(number))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])))
