"""Scanners that are told when to look: Honeywell, Newland, GM65. The codes come by themselves, as from any scanner.

A GM65 acknowledges without saying what. So one question is asked at a time, and after one without an answer nothing is
asked until its answer cannot come any more.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Generic, Literal, TypeVar

from contracts.clock import Clock
from device_drivers.errors import DeviceError, MisconfiguredError, RefusedError, UnavailableError
from device_drivers.exchange import Link, NoReplyError
from device_drivers.faults import OnFault
from device_drivers.scanner import gm65, honeywell, newland
from device_drivers.scanner.reader import LinkReader
from device_drivers.scanner.stream import Reply, TalkDecoder

REPLY_S = 0.5
LATEST_REPLY_S = 2.0  # after its question; no module takes longer, whatever stands in between
MAX_ASKING = 8

T = TypeVar("T")


class _Question(Generic[T]):
    """A frame on the line. `means` gives the answer in a reply, None if it answers something else; may raise."""

    def __init__(self, means: Callable[[Reply], T | None]) -> None:
        self.means = means
        self.answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def hear(self, reply: Reply) -> bool:
        """Whether this reply was the answer, good or bad."""
        if self.answer.done():
            return False
        try:
            answer = self.means(reply)
        except DeviceError as error:
            self.answer.set_exception(error)
            return True
        if answer is not None:
            self.answer.set_result(answer)
        return answer is not None


class TriggeredScanner(LinkReader):
    """A scanner that looks from `start_looking` until it has read a code or `stop_looking`. See `LinkReader`."""

    def __init__(
        self,
        *,
        name: str = "scanner",
        open_link: Callable[[], Awaitable[Link]],
        clock: Clock,
        suffix: bytes | None = None,
        on_fault: OnFault = lambda _kind, _detail: None,
    ) -> None:
        super().__init__(name=name, open_link=open_link, clock=clock)
        self._on_fault = on_fault
        self._decoder = TalkDecoder(on_fault, suffix)
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._question: _Question[Any] | None = None
        self._quiet_until_s = float("-inf")

    @abstractmethod
    async def start_looking(self) -> None:
        """Look for a code now. Raises UnavailableError, and more where the family acknowledges."""

    @abstractmethod
    async def stop_looking(self) -> None:
        """Look no more. The same errors."""

    def _say(self, frame: bytes) -> None:
        """Write a frame that nobody acknowledges. Raises UnavailableError."""
        if self._link is None:
            raise UnavailableError(f"scanner {self._name}: port is not open")
        self._link.write(frame)

    async def _ask(self, frame: bytes, means: Callable[[Reply], T | None]) -> T:
        """Write a frame and wait for its reply. Raises NoReplyError, UnavailableError and what `means` raises."""
        if self._waiting >= MAX_ASKING:
            raise UnavailableError(f"scanner {self._name}: {MAX_ASKING} commands wait already")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._ask_now(frame, means)
        finally:
            self._waiting -= 1

    async def _ask_now(self, frame: bytes, means: Callable[[Reply], T | None]) -> T:
        loop = asyncio.get_running_loop()
        if (left_s := self._quiet_until_s - loop.time()) > 0:
            await asyncio.sleep(left_s)
        if self._link is None:  # nothing is written, so nothing will be owed
            raise UnavailableError(f"scanner {self._name}: port is not open")
        question = _Question(means)
        asked_s = loop.time()
        self._question = question
        try:
            self._say(frame)
            async with asyncio.timeout(REPLY_S):
                answer = await question.answer
        except TimeoutError:
            self._on_fault("timeout", f"no reply within {REPLY_S:g} s")
            raise NoReplyError(f"scanner {self._name}: no reply within {REPLY_S:g} s") from None
        finally:
            self._question = None
            if not question.answer.done() or question.answer.cancelled():
                self._quiet_until_s = asked_s + LATEST_REPLY_S
        return answer

    def _texts(self, data: bytes) -> Iterator[str]:
        for item in self._decoder.feed(data):
            if isinstance(item, str):
                yield item
            elif self._question is None or not self._question.hear(item):
                self._on_fault("unexpected", "a reply to no question")

    def _forget(self, reason: str) -> None:
        self._decoder.forget()
        question = self._question
        if question is not None and not question.answer.done():
            self._quiet_until_s = asyncio.get_running_loop().time() + LATEST_REPLY_S
            question.answer.set_exception(NoReplyError(f"scanner {self._name}: {reason}"))

    def _lost_bytes(self) -> None:
        self._decoder.lost()

    def _undecoded(self) -> Mapping[str, int]:
        return self._decoder.counters


class HoneywellScanner(TriggeredScanner):
    """Nothing acknowledges a trigger: a command that was written may still not have been heard."""

    async def start_looking(self) -> None:
        """See `TriggeredScanner`."""
        self._say(honeywell.Command(on=True).to_bytes())

    async def stop_looking(self) -> None:
        """See `TriggeredScanner`."""
        self._say(honeywell.Command(on=False).to_bytes())


class NewlandScanner(TriggeredScanner):
    """Every command is acknowledged by its name. Settings are never kept over a power cut: flash wears out.

    Commands also raise NoReplyError, MisconfiguredError for one that the module does not know, RefusedError for a
    value that it does not take.
    """

    async def start_looking(self) -> None:
        """See `TriggeredScanner`."""
        await self._command(newland.start())

    async def stop_looking(self) -> None:
        """See `TriggeredScanner`."""
        await self._command(newland.stop())

    def trigger_short(self) -> None:
        """Look once, by the short trigger that some modules know; nothing acknowledges it. Raises UnavailableError."""
        self._say(newland.ShortTrigger().to_bytes())

    async def set_mode(self, mode: Literal["0", "2"]) -> None:
        """Look while triggered (LEVEL) or always (AUTO), until the next power cut."""
        await self._command(newland.mode(mode))

    async def mode(self) -> str:
        """The value of the present mode."""
        return await self._command(newland.ask_mode())

    async def _command(self, command: newland.Command) -> str:
        def means(reply: Reply) -> str | None:
            return _newland_means(command, reply)

        return await self._ask(command.to_bytes(), means)


class GM65Scanner(TriggeredScanner):
    """Every command is acknowledged, namelessly. Commands also raise NoReplyError, and RefusedError for "no"."""

    async def start_looking(self) -> None:
        """See `TriggeredScanner`."""
        await self._ask(gm65.trigger(), _done)

    async def stop_looking(self) -> None:
        """See `TriggeredScanner`."""
        await self._ask(gm65.write_zone(gm65.ZONE_TRIGGER, b"\x00"), _done)

    async def alive(self) -> None:
        """Return if the module answers its heartbeat."""
        await self._ask(gm65.heartbeat(), lambda reply: _is_heartbeat(reply) or None)

    async def read_zone(self, zone: int, count: int) -> bytes:
        """`count` bytes of settings from `zone` on. Raises ProtocolError(local) for more than 64."""

        def means(reply: Reply) -> bytes | None:
            return reply.data if _done(reply) and isinstance(reply, gm65.Reply) and len(reply.data) == count else None

        return await self._ask(gm65.read_zone(zone, count), means)


def _newland_means(command: newland.Command, reply: Reply) -> str | None:
    if not isinstance(reply, newland.Reply) or (reply.name, reply.kept) != (command.name, command.kept):
        return None
    asks = command.value == newland.ASK
    if reply.status != "ack":
        if not asks and reply.value != command.value:
            return None
        if reply.status == "enq":
            raise MisconfiguredError(f"the scanner knows no command {command.name}: is it of this family?")
        raise RefusedError(f"the scanner takes no value {command.value!r} for {command.name}")
    # The reply to a question holds the present value, the one to a setting repeats it.
    return reply.value if asks or reply.value == command.value else None


def _done(reply: Reply) -> Literal[True] | None:
    if not isinstance(reply, gm65.Reply) or reply.kind != "command":
        return None
    if not reply.ok:
        raise RefusedError(f"the scanner says no: status {reply.status:#04x}")
    return True


def _is_heartbeat(reply: Reply) -> bool:
    return isinstance(reply, gm65.Reply) and reply.kind == "heartbeat"
