"""Carries out what the machine of commands decides: commits, shuts, starts effects, and tells it how they ended."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol, assert_never

import msgspec

from contracts.clock import Clock
from contracts.event_types import Lane
from contracts.messages import Command
from edge.commands.handler import Handler, Handlers
from edge.commands.machine import Action, Append, Close, CommandMachine, Effect, Facts, Look, state_of
from edge.commands.records import FLOOR_KEY, FLOOR_KIND, KIND, UNREADABLE, Result, Row, decode_row
from edge.ports import LedgerFullError, LedgerPort, Record, Standing, Transaction

TICK_S = 0.1  # seconds of the clock, while a command is open
EFFECT_MAX_S = 30.0  # real seconds: the loop's own time
log = logging.getLogger("zhanggui.commands")


class Mark(Protocol):
    """A place in the chain."""

    @property
    def seq(self) -> int: ...


class LaneFacts(Protocol):
    """What the runner asks of the ledger lane."""

    @property
    def stream(self) -> str: ...
    @property
    def tail(self) -> Mark: ...


class CommandLedger(LedgerPort, Protocol):
    """The ledger as commands use it."""

    def lane(self, name: Lane) -> LaneFacts:
        """One of the two lanes."""


class CommandRunner:
    """Async shell of one `CommandMachine`. `offer` may be called from anywhere in the loop, `run` once at a time."""

    def __init__(
        self, *, ledger: CommandLedger, standing: Callable[[], Standing], clock: Clock, handlers: Handlers
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._ledger = ledger
        self._standing = standing
        self._clock = clock
        self._handlers = handlers
        self._wake = asyncio.Event()
        self._todo: deque[Action] = deque()
        self._group: asyncio.TaskGroup | None = None
        self._machine = self._new_machine()
        self._ready = False

    def _new_machine(self) -> CommandMachine:
        return CommandMachine(why_not=lambda kind, args: self._handler(kind).why_not(args), counters=self.counters)

    def offer(self, command: Command) -> None:
        """A copy of a command has arrived. A closer closes before this returns."""
        if not self._ready:
            self.counters["dropped_starting"] += 1  # the bridge says it again after the next hello
            return
        self._queue(self._machine.received(command, self._facts()))
        self._wake.set()

    @property
    def open(self) -> int:
        """How many commands are under way."""
        return len(self._machine.open)

    async def run(self) -> None:
        """Take up what the ledger left open, then serve until cancelled."""
        self._ready = False
        with suppress(LedgerFullError):  # commits are made in order: one of a run that fell may still be on its way
            await self._ledger.commit(Transaction())
        self._machine = self._new_machine()
        self._todo.clear()
        try:
            async with asyncio.TaskGroup() as self._group:
                self._queue(self._machine.started(self._rows(), self._floor_ms(), self._facts()))
                self._ready = True
                while True:
                    await self._turn()
                    await self._nap()
        finally:
            self._ready, self._group = False, None

    # -------------------------------------------------------------- one turn

    async def _turn(self) -> None:
        """Everything that is due; what comes meanwhile wakes the next turn."""
        self._wake.clear()
        self._queue(self._machine.look(self._facts()))
        while self._todo:
            match action := self._todo.popleft():
                case Append():
                    await self._append(action)
                case Effect():
                    if instead := self._machine.begin(action.command, self._facts()):
                        self._queue(instead)
                    else:
                        self._begin(action)
                case Look():
                    self._look(action)
                case Close():  # done when it was queued
                    pass
                case _:
                    assert_never(action)

    async def _nap(self) -> None:
        """Until a command comes or ends; while one is open, a tick at most."""
        if not self._machine.open:
            await self._wake.wait()
            return
        tick = asyncio.ensure_future(self._clock.sleep(TICK_S))
        wake = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({tick, wake}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tick.cancel()
            wake.cancel()

    def _queue(self, actions: Iterable[Action]) -> None:
        """What closes is done here and now; the rest waits its turn."""
        for action in actions:
            if isinstance(action, Close):
                self._handler(action.kind).close(action.args)
            else:
                self._todo.append(action)

    async def _append(self, append: Append) -> None:
        puts, deletes = state_of(append)
        if append.with_state:
            run = self._machine.open[append.command]
            assert run.args is not None
            puts |= self._handler(run.command.type).state(run.args)
        seq: int | None
        try:
            await self._ledger.commit(
                Transaction(records=[Record(append.word, "commands")], puts=puts, deletes=deletes)
            )
            seq = self._ledger.lane("ledger").tail.seq  # the event stands here or before
        except LedgerFullError:
            seq = None
        self._queue(self._machine.appended(append.command, self._facts(), seq=seq))

    def _begin(self, effect: Effect) -> None:
        """A task a turn later: a handler whose moment matters asks once more in its first step."""
        assert self._group is not None
        self._group.create_task(self._carry_out(effect), name=f"command:{effect.kind}:{effect.command}")

    async def _carry_out(self, effect: Effect) -> None:
        try:
            async with asyncio.timeout(EFFECT_MAX_S):
                result = await self._handler(effect.kind).run(effect.args)
        except TimeoutError:
            result = Result("unknown", "timed_out")
        log.info("command %s (%s): %s %s", effect.command, effect.kind, result.outcome, result.detail)
        self._queue(self._machine.ended(effect.command, result, self._facts()))
        self._wake.set()

    def _look(self, look: Look) -> None:
        so = self._handler(look.kind).so(look.args) if look.args is not None and look.kind in self._handlers else ""
        log.warning("command %s (%s): the agent fell in between; it is not done again", look.command, look.kind)
        self._queue(self._machine.looked(look.command, so or "crashed", self._facts()))

    # -------------------------------------------------------------- what is known

    def _handler(self, kind: str) -> Handler[Any]:
        return self._handlers[kind]

    def _facts(self) -> Facts:
        now = self._standing()
        return Facts(
            now_s=self._clock.now_s(),
            link=now.link,
            stream=self._ledger.lane("ledger").stream,
            watermark=now.watermark,
            latest_ms=now.latest_ms,
        )

    def _rows(self) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for command, raw in self._ledger.state(KIND).items():
            try:
                found[command] = decode_row(raw)
            except msgspec.MsgspecError:
                self.counters["row_unreadable"] += 1
                found[command] = UNREADABLE  # nobody knows what became of it: it is not done again
        return found

    def _floor_ms(self) -> int | None:
        raw = self._ledger.state(FLOOR_KIND).get(FLOOR_KEY)
        return None if raw is None else msgspec.json.decode(raw, type=int)
