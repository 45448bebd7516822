"""One serial line and its only owner: turns by priority, one frame at a time, a limit for everything.

Drivers ask for a turn with an `Exchange`; the owner encodes, writes, listens and answers. All time here is real time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, NoReturn, TypeVar

from device_drivers.errors import MisconfiguredError, ProtocolError, UnavailableError
from device_drivers.exchange import Exchange, Link, NoReplyError, Priority, until_lost
from device_drivers.faults import FaultKind, OnFault

__all__ = ["MAX_WAITING", "Bus", "Exchange", "Link", "NoReplyError", "Priority"]

T = TypeVar("T")

MAX_WAITING = 64  # requests; one more is refused
MAX_WAITING_A_DEVICE = 16  # of those, of one device that says who it is: nobody fills the queue for all
MAX_DEVICES = 256  # whose turns are remembered; far more than a line can hold
PATIENCE_S = 1.0  # whoever waits longer goes before all but unlocks, so that no priority starves another
BUSY_MAX_S = 0.25  # a line that never falls silent is spoken over after this long
WATCHED_S = 0.005  # before an unlock so much of a gap is watched, turn by turn of the loop: a timer comes late
MAX_STILL = 64  # turns of the loop in which its clock did not move

_COUNTERS = (
    "opened",  # ports
    "lost",  # ports
    "requests",  # frames written
    "replies",
    "no_reply",
    "not_sent",  # guard said no, or too long in the queue
    "cancelled",  # the caller left while its request waited
    "refused_full",
    "late_bytes",  # nobody waited for them
    "dropped_bytes",  # came faster than they were read
    "line_busy",
    "crc",
    "timeout",
    "framing",
    "unexpected",
)

_log = logging.getLogger("zhanggui.device_drivers")


@dataclass(slots=True, eq=False)
class _Request(Generic[T]):
    """An exchange on its way through the queue."""

    exchange: Exchange[T]
    order: int
    asked_s: float
    reply: asyncio.Future[T]
    heard: asyncio.Future[T] = field(init=False)  # the owner's own: it outlives a caller who left

    def fail(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)

    def answer(self, value: T) -> None:
        if not self.reply.done():
            self.reply.set_result(value)


class Bus:
    """A line shared by several devices. `run` owns the port; drivers call `request`.

    `on_fault` hears of every fault on the line; `counters` hold the same and every drop, by name.
    """

    def __init__(
        self, *, name: str, open_link: Callable[[], Awaitable[Link]], on_fault: OnFault, gap_s: float = 0.005
    ) -> None:
        self.counters: dict[str, int] = dict.fromkeys(_COUNTERS, 0)
        self._name = name
        self._open_link = open_link
        self._on_fault = on_fault
        self._gap_s = gap_s
        self._open = False
        self._told_down = False
        self._waiting: list[_Request[Any]] = []
        self._active: _Request[Any] | None = None
        self._order = itertools.count()
        self._turns: dict[str, int] = {}  # the last turn of each device, the oldest first
        self._turn = itertools.count()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()  # an unlock has come
        self._last_byte_s = float("-inf")
        self._eavesdroppers: list[Callable[[bytes], None]] = []

    def overhear(self, listener: Callable[[bytes], None]) -> None:
        """Hand all bytes that answer no request to `listener` too: some boards speak by themselves."""
        self._eavesdroppers.append(listener)

    def fault(self, kind: FaultKind, detail: str) -> None:
        """Count a fault of the line and tell the owner. `detail` never holds bytes of a reply."""
        self.counters[kind] += 1
        self._on_fault(kind, detail)

    async def run(self) -> None:
        """Own the port until cancelled.

        Raises UnavailableError when the port is lost or not there, MisconfiguredError when it can never be opened.
        All requests fail at that moment. May be called again afterwards.
        """
        try:
            link = await self._open_link()
        except (UnavailableError, MisconfiguredError) as error:
            self._tell_down(error)
            raise
        self._open = True
        self._told_down = False
        self.counters["opened"] += 1
        _log.info("bus %s: port is open", self._name)
        reason = "the bus was stopped"
        try:
            reason = await until_lost(f"bus[{self._name}]", listen=self._listen(link), serve=self._serve(link))
        finally:
            self._open = False
            self._fail_all(reason)
            link.close()
        # Only a lost port gets here: cancellation and every other error have left above.
        self.counters["lost"] += 1
        lost = UnavailableError(f"bus {self._name}: {reason}")
        self._tell_down(lost)
        raise lost

    async def request(self, exchange: Exchange[T]) -> T:
        """Wait for a turn and its reply. A caller that is cancelled while it waits for its turn is never sent.

        Raises NoReplyError after a write without a good reply, and UnavailableError if nothing was written.
        """
        if not self._open:
            raise UnavailableError(f"bus {self._name}: port is not open")
        if len(self._waiting) >= MAX_WAITING:
            self.counters["refused_full"] += 1
            raise UnavailableError(f"bus {self._name}: {MAX_WAITING} requests wait already")
        if device := exchange.device:
            mine = sum(request.exchange.device == device for request in self._waiting)
            if mine >= MAX_WAITING_A_DEVICE:
                self.counters["refused_full"] += 1
                raise UnavailableError(f"bus {self._name}: {mine} requests of {device} wait already")
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[T] = loop.create_future()
        request = _Request(exchange, next(self._order), loop.time(), reply)
        self._waiting.append(request)
        self._wake.set()
        if exchange.priority is Priority.UNLOCK:
            self._hurry.set()
        timer = None
        if exchange.queue_timeout_s is not None:
            timer = loop.call_later(exchange.queue_timeout_s, self._expire, request)
        try:
            return await reply
        finally:
            if timer is not None:
                timer.cancel()
            if request in self._waiting:
                self._waiting.remove(request)
                self.counters["cancelled"] += 1

    async def _listen(self, link: Link) -> NoReturn:
        loop = asyncio.get_running_loop()
        dropped_before = self.counters["dropped_bytes"]
        while True:
            data = await link.read()
            self._last_byte_s = loop.time()
            self.counters["dropped_bytes"] = dropped_before + link.dropped_bytes
            active = self._active
            if active is None or active.heard.done():
                self._late(data)
                continue
            try:
                value = active.exchange.feed(data)
            except ProtocolError as error:
                self.fault("framing", str(error))
                continue
            if value is not None:
                active.heard.set_result(value)
                active.answer(value)  # here, so that the caller need not wait for the owner's next step

    async def _serve(self, link: Link) -> NoReturn:
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            await self._silence()
            request = self._head()
            if request is not None and self._send(link, request):
                await self._await_reply(request)

    async def _silence(self) -> None:
        """Return when the line has been silent for the gap, or has been busy for too long."""
        loop = asyncio.get_running_loop()
        limit_s = loop.time() + BUSY_MAX_S
        while (left_s := self._last_byte_s + self._gap_s - loop.time()) > 0:
            if loop.time() >= limit_s:
                self.counters["line_busy"] += 1
                self.fault("unexpected", "the line does not fall silent")
                return
            if any(request.exchange.priority is Priority.UNLOCK for request in self._waiting):
                await self._watch(left_s)
                continue
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._hurry.wait()

    async def _watch(self, left_s: float) -> None:
        """Wait so long and hardly longer: the loop's timers count whole milliseconds, and a sleeping processor wakes
        late. It costs `WATCHED_S` of processor for each unlock, so nothing else waits like this."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + left_s
        if left_s > WATCHED_S:
            await asyncio.sleep(left_s - WATCHED_S)
        still = 0
        while (now_s := loop.time()) < until_s:
            if still >= MAX_STILL:  # a clock that a test moves
                await asyncio.sleep(until_s - now_s)
                return
            await asyncio.sleep(0)
            still = still + 1 if loop.time() == now_s else 0

    def _head(self) -> _Request[Any] | None:
        """The request whose turn it is; it stays in the queue until its frame is encoded."""
        now_s = asyncio.get_running_loop().time()

        def turn(request: _Request[Any]) -> tuple[int, bool, int, int]:
            priority = request.exchange.priority
            overdue = now_s - request.asked_s > PATIENCE_S and priority is not Priority.UNLOCK
            last_turn = -1 if overdue else self._turns.get(request.exchange.device, -1)
            return (Priority.STATUS if overdue else priority), not overdue, last_turn, request.order

        # A caller that was cancelled a moment ago has not run yet to leave the queue: its future tells already.
        alive = [request for request in self._waiting if not request.reply.done()]
        self.counters["cancelled"] += len(self._waiting) - len(alive)
        self._waiting = alive
        return min(alive, key=turn, default=None)

    def _send(self, link: Link, request: _Request[Any]) -> bool:
        """Flush, ask and write, with no await between: True if a frame is on the line."""
        loop = asyncio.get_running_loop()
        exchange = request.exchange
        if exchange.queue_timeout_s is not None and loop.time() - request.asked_s > exchange.queue_timeout_s:
            self._expire(request)
            return False
        stale = link.flush()
        if stale:
            self._late(stale)
        frame = exchange.encode()
        if frame is None:
            self._expire(request)
            return False
        self._waiting.remove(request)
        request.heard = loop.create_future()
        self._active = request
        self._turns.pop(exchange.device, None)
        self._turns[exchange.device] = next(self._turn)
        if len(self._turns) > MAX_DEVICES:
            del self._turns[next(iter(self._turns))]
        link.write(frame)
        self._last_byte_s = loop.time()
        self.counters["requests"] += 1
        return True

    async def _await_reply(self, request: _Request[Any]) -> None:
        """Listen until the reply is whole or the time is over, also for a caller who left: the reply still comes."""
        try:
            async with asyncio.timeout(request.exchange.timeout_s):
                await request.heard
        except TimeoutError:
            self._active = None
            if not request.exchange.may_be_silent:
                self.counters["no_reply"] += 1
                self.fault("timeout", f"no reply within {request.exchange.timeout_s:g} s")
            request.fail(NoReplyError(f"bus {self._name}: no reply within {request.exchange.timeout_s:g} s"))
        else:
            self._active = None
            self.counters["replies"] += 1

    def _expire(self, request: _Request[Any]) -> None:
        """Answer a waiting request as not sent."""
        if request not in self._waiting:
            return
        self._waiting.remove(request)
        self.counters["not_sent"] += 1
        if request.exchange.not_sent is not None:
            request.answer(request.exchange.not_sent)
        else:
            request.fail(UnavailableError(f"bus {self._name}: not sent"))

    def _late(self, data: bytes) -> None:
        self.counters["late_bytes"] += len(data)
        for listener in self._eavesdroppers:
            listener(data)

    def _fail_all(self, reason: str) -> None:
        active, self._active = self._active, None
        if active is not None:
            active.fail(NoReplyError(f"bus {self._name}: {reason}"))
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            request.fail(UnavailableError(f"bus {self._name}: {reason}"))

    def _tell_down(self, error: Exception) -> None:
        """Log once until the port is open again: a supervisor tries every few seconds."""
        if not self._told_down:
            self._told_down = True
            _log.warning("bus %s: %s", self._name, error)
