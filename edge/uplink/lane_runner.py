"""Carries out what one lane's machine decides: reads the ledger, publishes, frees, forks; one step after the other.

Two things go on beside the steps, for a disk is slow and the line need not wait for it: the next slice is read while
a batch is on its way, and what the cloud confirmed is freed, several confirmations at once while more is on its way.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import assert_never

from msgspec import Raw

from contracts.clock import Clock, unix_ms
from contracts.ids import new_uuid
from contracts.messages import Ack, Batch, Hello, HelloAnswer
from edge.ledger import ForkRefusedError, LaneView, Ledger, Slice
from edge.ports import LedgerFullError
from edge.uplink.machine import Action, Alarm, Confirm, Fork, LaneMachine, SendBatch, SendHello

MAX_INBOX = 256
FREE_ROWS = 4096  # confirmed events that may wait for more, to be freed in one transaction
_log = logging.getLogger("zhanggui.uplink")


@dataclass(frozen=True, slots=True)
class Answered:
    """A believed hello: when we sent it and heard of it (seconds of our clock), and what the cloud said."""

    sent_s: float
    received_s: float
    answer: HelloAnswer


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A slice that is being read before anybody asked for it; None comes of it if it is not retained any more."""

    stream: str
    after_seq: int
    max_events: int
    max_bytes: int
    reading: asyncio.Task[Slice | None]

    def is_for(self, stream: str, action: SendBatch) -> bool:
        asked = (stream, action.after_seq, action.max_events, action.max_bytes)
        return asked == (self.stream, self.after_seq, self.max_events, self.max_bytes)


class LaneRunner:
    """One lane of the uplink. `publish` takes a Hello or a Batch and returns once the broker has it."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        lane: LaneView,
        clock: Clock,
        rng: Random,
        instance: str,
        publish: Callable[[LaneView, Hello | Batch], Awaitable[None]],
        on_answer: Callable[[Answered], Awaitable[None]],
        progress_timeout_s: float,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.machine = LaneMachine(
            lane=lane, rng=rng, new_nonce=new_uuid, progress_timeout_s=progress_timeout_s, counters=self.counters
        )
        self._ledger = ledger
        self._lane = lane
        self._clock = clock
        self._instance = instance
        self._publish = publish
        self._on_answer = on_answer
        self._tick_s = progress_timeout_s / 10
        self._inbox: deque[tuple[HelloAnswer | Ack, float]] = deque()
        self._wake = asyncio.Event()
        self._hello_sent_s = 0.0
        self._tasks: asyncio.TaskGroup | None = None
        self._ahead: _Ahead | None = None
        self._confirmed: tuple[str, int] | None = None  # stream and sequence that wait to be freed
        self._to_free = asyncio.Event()
        self._freeing = asyncio.Lock()  # a fork never comes between the look at the stream and the freeing of it

    def offer(self, message: HelloAnswer | Ack) -> None:
        """Hand in a message of the cloud; dropped and counted when too many wait."""
        if len(self._inbox) >= MAX_INBOX:
            self.counters["inbox_full"] += 1
            return
        self._inbox.append((message, self._clock.now_s()))
        self._wake.set()

    async def run(self) -> None:
        """Talk over one connection until cancelled."""
        self._inbox.clear()
        self._ahead = None
        self._lane.watch(self._wake)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._tick(), name=f"uplink-{self._lane.name}-tick")
                tasks.create_task(self._free(), name=f"uplink-{self._lane.name}-free")
                await self._do(self.machine.connected(self._clock.now_s()))
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    await self._step()
        finally:
            self._tasks = None
            self._lane.unwatch(self._wake)
            self.machine.disconnected()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(self._tick_s)
            self._wake.set()
            if self._confirmed is not None:  # too few, or the disk did not take it: no ack need come on an idle lane
                self._to_free.set()

    async def _step(self) -> None:
        while self._inbox:
            message, received_s = self._inbox.popleft()
            if isinstance(message, HelloAnswer):
                if self.machine.state in ("hello", "probe") and message.nonce == self.machine.nonce:
                    await self._on_answer(Answered(self._hello_sent_s, received_s, message))
                await self._do(self.machine.answered(message, self._clock.now_s()))
            else:
                await self._do(self.machine.acked(message, self._clock.now_s()))
        await self._do(self.machine.grew(self._clock.now_s()))
        await self._do(self.machine.tick(self._clock.now_s()))

    async def _do(self, actions: Iterable[Action]) -> None:
        """Each action is finished before the next input: the machine's belief and the ledger never run apart."""
        todo = deque(actions)
        while todo:
            action = todo.popleft()
            match action:
                case SendHello():
                    await self._send_hello(action)
                case SendBatch():
                    todo.extend(await self._send_batch(action))
                case Confirm():
                    self._confirmed = (self._lane.stream, action.seq)
                    if action.seq == self.machine.sent_seq or action.seq - self._lane.freed.seq >= FREE_ROWS:
                        self._to_free.set()  # else more confirmations are on their way, or a tick ends the wait
                case Fork():
                    todo.extend(await self._fork(action))
                case Alarm():
                    self.counters[f"alarm_{action.name}"] += 1
                    _log.error("%s lane: %s: %s", self._lane.name, action.name, action.detail)
                case _:
                    assert_never(action)

    async def _send_hello(self, action: SendHello) -> None:
        async with self._freeing:  # the answer may say that the cloud has less: then nothing older frees any more
            self._confirmed = None
        self._hello_sent_s = self._clock.now_s()
        await self._publish(
            self._lane,
            Hello(
                stream=action.stream,
                instance=self._instance,
                nonce=action.nonce,
                next_seq=action.next_seq,
                tail_hash=action.tail_hash.hex(),
                t0=unix_ms(self._clock.wall()),
                parent=action.parent,
                probe=action.probe,
            ),
        )

    async def _send_batch(self, action: SendBatch) -> Iterable[Action]:
        part = await self._next_slice(action)
        self._read_ahead(part, action)
        self.machine.read(sum(map(len, part.events)))
        if part.events or part.gap:
            await self._publish(
                self._lane,
                Batch(
                    stream=part.stream,
                    nonce=action.nonce,
                    first_seq=part.first_seq,
                    prev_hash=part.prev_hash.hex(),
                    events=[Raw(raw) for raw in part.events],
                    last_hash=part.last_hash.hex(),
                    gap=part.gap,
                ),
            )
            self.counters["batches"] += 1
            self.counters["events"] += len(part.events)
        return self.machine.sent(action.nonce, part.last_seq, self._clock.now_s())

    async def _next_slice(self, action: SendBatch) -> Slice:
        """What to send now: read ahead if the guess was right."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.is_for(self._lane.stream, action):
            found = await ahead.reading
            if found is not None:
                return found
        return await self._lane.read(action.after_seq, action.max_events, action.max_bytes)

    def _read_ahead(self, part: Slice, action: SendBatch) -> None:
        """Begin to read what will most likely be asked for next, if a whole batch more waits."""
        if self._tasks is None or self._lane.tail.seq - part.last_seq < action.max_events:
            return
        stream, after_seq = self._lane.stream, part.last_seq
        if part.stream != stream:
            return

        async def read() -> Slice | None:
            try:
                return await self._lane.read(after_seq, action.max_events, action.max_bytes)
            except ValueError:  # a fork or a drop came between
                return None

        reading = self._tasks.create_task(read(), name=f"uplink-{self._lane.name}-ahead")
        self._ahead = _Ahead(stream, after_seq, action.max_events, action.max_bytes, reading)

    async def _free(self) -> None:
        """Free what is confirmed; what comes in meanwhile is freed with the next."""
        while True:
            await self._to_free.wait()
            self._to_free.clear()
            async with self._freeing:
                confirmed, self._confirmed = self._confirmed, None
                if confirmed is not None and confirmed[0] == self._lane.stream:
                    await self._confirm(confirmed[1])

    async def _confirm(self, seq: int) -> None:
        try:
            await self._ledger.confirm(self._lane.name, seq)
        except LedgerFullError:  # it stays retained; a tick, or the next ack or hello, tries again
            self.counters["confirm_failed"] += 1
            self._confirmed = self._confirmed or (self._lane.stream, seq)

    async def _fork(self, action: Fork) -> Iterable[Action]:
        try:
            async with self._freeing:
                await self._ledger.fork(
                    self._lane.name, action.common, action.reason, stream=self._lane.stream, lost=action.lost
                )
        except (LedgerFullError, ForkRefusedError):
            return self.machine.fork_failed(self._clock.now_s())
        return self.machine.forked(self._clock.now_s())
