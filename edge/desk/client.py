"""A page's end of the local socket: always the latest state, and an answer to every request."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, TypedDict, Unpack

import msgspec

from contracts.backoff import Backoff
from contracts.clock import Clock
from edge.desk.messages import MAX_LINE_BYTES, MAX_STATE_BYTES, Action, Ask, DeskState, Reply, Wish

AGENT_UNREACHABLE: Final = "agent_unreachable"
ASK_TIMEOUT_S = 10.0
STALE_S = 30.0  # the server sends a state at least every ten seconds
MAX_PENDING = 64
_SWEEP_S = 0.5

log = logging.getLogger("zhanggui.desk")


class AskFields(TypedDict, total=False):
    """The fields of `Ask` that a page may fill."""

    cabinet: str
    compartment: str
    session: str
    sku: str
    qty: int
    code: str
    staff_id: str
    pin: str
    terminal: str
    reason: str
    accept: bool
    target: str
    units: dict[str, int]
    lines: tuple[Wish, ...]


@dataclass(slots=True)
class _Pending:
    answer: asyncio.Future[Reply]
    deadline_s: float


class DeskClient:
    """Follows the agent at `path`; reconnects by itself. One for all browsers of a process."""

    def __init__(self, path: Path, clock: Clock, *, rng: Random | None = None) -> None:
        self._path = path
        self._clock = clock
        self._backoff = Backoff(rng or Random(), base_s=0.2, cap_s=3.0, stable_s=5.0)
        self._writer: asyncio.StreamWriter | None = None
        self._heard_s = 0.0
        self._was_stale = True
        self._logged_down = False
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._pending: dict[str, _Pending] = {}
        self._ids = itertools.count(1)
        self.state: DeskState | None = None
        self.counters: Counter[str] = Counter()

    @property
    def stale(self) -> bool:
        """True while `state` may be old: no connection, or silence for longer than the agent's beat allows."""
        return self._writer is None or self.state is None or self._clock.now_s() - self._heard_s > STALE_S

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` whenever `state` or `stale` is another; call what is returned to end it."""
        number = next(self._ids)
        self._callbacks[number] = callback

        def end() -> None:
            self._callbacks.pop(number, None)

        return end

    async def ask(self, action: Action, *, timeout_s: float = ASK_TIMEOUT_S, **fields: Unpack[AskFields]) -> Reply:
        """The agent's word. Never raises: `ok=False` with reason `agent_unreachable` when there is none in time
        (the agent may have acted all the same: the state tells), `malformed` for a value beyond its cap."""
        number = str(next(self._ids))
        if self._writer is None:
            return Reply(id=number, ok=False, reason=AGENT_UNREACHABLE)
        if len(self._pending) >= MAX_PENDING:
            return Reply(id=number, ok=False, reason="too_many_asks")
        try:
            ask = msgspec.convert({"type": "ask", "id": number, "action": action, **fields}, Ask)
        except msgspec.ValidationError:
            return Reply(id=number, ok=False, reason="malformed")
        line = msgspec.json.encode(ask) + b"\n"
        assert len(line) <= MAX_LINE_BYTES, "the caps of Ask keep a line short"
        pending = _Pending(asyncio.get_running_loop().create_future(), self._clock.now_s() + timeout_s)
        self._pending[number] = pending
        try:
            self._writer.write(line)
            return await pending.answer
        finally:
            self._pending.pop(number, None)

    async def run(self) -> None:
        """Follow the agent until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(), name="desk.client.follow")
                group.create_task(self._sweep(), name="desk.client.sweep")
        finally:
            self._lost()

    async def _follow(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path), limit=MAX_STATE_BYTES + 1)
            except OSError as error:
                self._log_down(type(error).__name__)
                await self._clock.sleep(self._backoff.down(self._clock.now_s()))
                continue
            try:
                self._writer = writer
                self._backoff.up(self._clock.now_s())
                await self._listen(reader)
            except (OSError, asyncio.IncompleteReadError):
                self.counters["connection_lost"] += 1
                self._log_down("connection lost")
            except (msgspec.DecodeError, UnicodeDecodeError, asyncio.LimitOverrunError):
                self.counters["malformed"] += 1
                self._log_down("it sent what is no desk message")
            finally:
                writer.transport.abort()
                self._lost()
            await self._clock.sleep(self._backoff.down(self._clock.now_s()))

    def _log_down(self, why: str) -> None:
        if not self._logged_down:
            log.warning("no agent at %s (%s); trying on", self._path.name, why)
        self._logged_down = True

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while True:
            message = _FROM_AGENT.decode(await reader.readuntil(b"\n"))
            self._heard_s = self._clock.now_s()
            if isinstance(message, DeskState):
                if self._logged_down:
                    log.info("the agent answers again")
                self._logged_down = False
                self.state = message
                self._tell()
            else:
                self._settle(message)

    def _settle(self, reply: Reply) -> None:
        pending = self._pending.pop(reply.id, None)
        if pending is None or pending.answer.done():
            self.counters["reply_unasked"] += 1  # too late, or a complaint about a line that had no id
        else:
            pending.answer.set_result(reply)

    async def _sweep(self) -> None:
        """Answer what has waited too long, and notice silence."""
        while True:
            await self._clock.sleep(_SWEEP_S)
            now_s = self._clock.now_s()
            for number, pending in list(self._pending.items()):
                if now_s >= pending.deadline_s:
                    self.counters["ask_timed_out"] += 1
                    self._settle(Reply(id=number, ok=False, reason=AGENT_UNREACHABLE))
            if self.stale != self._was_stale:
                self._tell()

    def _lost(self) -> None:
        self._writer = None
        for number in list(self._pending):
            self._settle(Reply(id=number, ok=False, reason=AGENT_UNREACHABLE))
        self._tell()

    def _tell(self) -> None:
        self._was_stale = self.stale
        for callback in list(self._callbacks.values()):
            callback()


_FROM_AGENT: msgspec.json.Decoder[DeskState | Reply] = msgspec.json.Decoder(DeskState | Reply)
