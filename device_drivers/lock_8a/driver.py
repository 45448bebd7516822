"""One lock board on a bus: pulses once, never repeats, and tells what the feedback switch says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from device_drivers.bus import Bus, Exchange, NoReplyError, Priority
from device_drivers.capabilities import Door, UnlockReply, UnlockResult
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.lock_8a import codec
from device_drivers.lock_8a.codec import FeedbackPolarity

QUEUE_TIMEOUT_S = 1.0  # from the call of unlock to its frame, hold-off included
REPLY_TIMEOUT_S = 0.5
HOLD_OFF_S = 0.5  # between two pulses on one board: its solenoids share one supply
MAX_STALE_REPLIES = 3

_NOT_SENT = UnlockReply("not_sent")


class LockBoard8A:
    """A board of up to 24 locks; implements `Lock`.

    `feedback_polarity` says when the feedback switch is closed: while locked, or while open. `echo` is true if the
    RS-485 adapter repeats what we send. `hints` counts frames that the board sent on its own; nothing acts on them.
    """

    def __init__(self, bus: Bus, *, address: int, feedback_polarity: FeedbackPolarity, echo: bool = False) -> None:
        if not 1 <= address <= codec.MAX_BOARD:
            raise MisconfiguredError(f"lock board address {address}: must be in 1..{codec.MAX_BOARD}")
        if feedback_polarity not in ("locked_short", "open_short"):
            raise MisconfiguredError("feedback_polarity: must be locked_short or open_short")
        self.hints = 0
        self._bus = bus
        self._address = address
        self._polarity = feedback_polarity
        self._echo = echo
        self._pulse_turn = asyncio.Lock()
        self._last_pulse_s = float("-inf")
        self._unanswered: dict[int, int] = {}
        self._idle_decoder = codec.FrameDecoder(lambda _kind, _detail: None)  # the bus has counted these bytes as late
        bus.overhear(self._overhear)

    async def unlock(self, channel: int, guard: Callable[[], bool]) -> UnlockReply:
        """Pulse one lock, once, if `guard` still agrees when the frame is at the head of the queue.

        `not_sent` promises that no byte left. Every other result may or may not have moved the bolt. The hold-off
        after the last pulse of this board is waited for before the guard is asked. Raises MisconfiguredError for a
        channel that does not exist.
        """
        command = self._command(codec.open_command, channel)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT_S) as limit, self._pulse_turn:
                await asyncio.sleep(max(0.0, self._last_pulse_s + HOLD_OFF_S - loop.time()))
                deadline_s = limit.when() or loop.time()
                limit.reschedule(None)
                return await self._pulse(command, guard, queue_timeout_s=deadline_s - loop.time())
        except TimeoutError:
            return _NOT_SENT

    async def door(self, channel: int) -> Door:
        """What the feedback switch says now.

        After queries without a reply, a reply may be a late one to an earlier query. Replies come in the order of
        the queries, so the door is asked once more for every query that is still owed, and only the last one counts.
        Raises UnavailableError; a query is not repeated for want of a reply. Raises MisconfiguredError for a channel
        that does not exist.
        """
        command = self._command(codec.query_command, channel)
        func, owed = await self._query(command)
        for _ in range(min(owed, MAX_STALE_REPLIES)):
            func, _owed = await self._query(command)
        self._unanswered[channel] = 0
        return Door.CLOSED if codec.is_locked(func, self._polarity) else Door.OPEN

    def _command(self, make: Callable[[int, int], codec.Frame], channel: int) -> codec.Frame:
        if not 1 <= channel <= codec.MAX_LOCK:
            raise MisconfiguredError(f"lock channel {channel}: must be in 1..{codec.MAX_LOCK}")
        return make(self._address, channel)

    async def _pulse(self, command: codec.Frame, guard: Callable[[], bool], *, queue_timeout_s: float) -> UnlockReply:
        loop = asyncio.get_running_loop()
        frame = command.to_bytes()
        parser = self._parser(command)

        def encode() -> bytes | None:
            if not guard():
                return None
            self._last_pulse_s = loop.time()
            return frame

        def feed(data: bytes) -> UnlockReply | None:
            func = parser.feed(data)
            self._count_hints(parser)
            if func is None:
                return None
            # "Opened" is the switch in its unlocked place; anything else the board calls a failure.
            result: UnlockResult = "refused" if codec.is_locked(func, self._polarity) else "opened"
            return UnlockReply(result, (loop.time() - self._last_pulse_s) * 1000)

        try:
            return await self._bus.request(
                Exchange(
                    priority=Priority.UNLOCK,
                    encode=encode,
                    feed=feed,
                    timeout_s=REPLY_TIMEOUT_S,
                    queue_timeout_s=queue_timeout_s,
                    not_sent=_NOT_SENT,
                )
            )
        except NoReplyError:
            return UnlockReply("no_reply")
        except UnavailableError:
            return _NOT_SENT

    async def _query(self, command: codec.Frame) -> tuple[int, int]:
        """The state byte, and how many earlier queries of this lock had no reply when this one was written."""
        frame = command.to_bytes()
        parser = self._parser(command)
        owed = 0

        def encode() -> bytes:
            nonlocal owed
            owed = self._unanswered.get(command.lock, 0)
            self._unanswered[command.lock] = owed + 1
            return frame

        def feed(data: bytes) -> tuple[int, int] | None:
            func = parser.feed(data)
            self._count_hints(parser)
            if func is None:
                return None
            self._unanswered[command.lock] -= 1
            return func, owed

        return await self._bus.request(
            Exchange(priority=Priority.STATUS, encode=encode, feed=feed, timeout_s=REPLY_TIMEOUT_S)
        )

    def _parser(self, command: codec.Frame) -> codec.ReplyParser:
        return codec.ReplyParser(command, echo=self._echo, on_fault=self._bus.fault)

    def _count_hints(self, parser: codec.ReplyParser) -> None:
        self.hints += sum(frame.board == self._address for frame in parser.pushed)
        parser.pushed.clear()

    def _overhear(self, data: bytes) -> None:
        for frame in self._idle_decoder.feed(data):
            self.hints += frame.head == codec.HEAD_PUSH and frame.board == self._address
