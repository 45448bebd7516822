"""One lock board on a bus: pulses once, never repeats, and tells what the feedback switch says.

Shared by all families of lock boards; each brings its `BoardFrames`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from device_drivers.bus import Bus, Exchange, NoReplyError, Priority
from device_drivers.capabilities import Door, UnlockReply
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.lock_frames import BoardFrames, Debt, PulseSaid, Question
from device_drivers.lock_profile import Profile

T = TypeVar("T")

QUEUE_TIMEOUT_S = 1.0  # from the call of unlock to its frame, hold-off included
REPLY_TIMEOUT_S = 0.5
SETTLE_S = 0.15  # for which the line is left to a board that says nothing to a pulse
# For the question that such a board may lose: a door that opens and shuts meanwhile would not be seen.
LOST_S = 0.15
LATE_S = 2.0  # a reply that has not come by then never will
MAX_STALE_REPLIES = 8  # more than can go unanswered within LATE_S

_NOT_SENT = UnlockReply("not_sent")


class LockBoard:
    """A board of electronic locks; implements `Lock`."""

    def __init__(self, bus: Bus, frames: BoardFrames, profile: Profile, *, address: int) -> None:
        self.profile = profile
        self._name = f"lock board {address}"
        self._bus = bus
        self._frames = frames
        self._pulse_turn = asyncio.Lock()
        self._last_pulse_s = float("-inf")
        self._cool_until_s: dict[int, float] = {}
        self._debts: dict[Debt, deque[float]] = {}  # when each question was written that has no reply yet
        self._may_swallow = False
        bus.overhear(self._overhear)

    @property
    def channels(self) -> int:
        """How many locks this board has."""
        return self._frames.channels

    async def unlock(self, channel: int, guard: Callable[[], bool]) -> UnlockReply:
        """Pulse one lock, once, if `guard` still agrees when the frame is at the head of the queue.

        `not_sent` promises that no byte left. Every other result may or may not have moved the bolt. The hold-off
        after the last pulse of this board is waited for before the guard is asked. A board that says nothing to a
        pulse is asked for its door afterwards: `opened` if it is open by then, else `no_reply`. Raises
        MisconfiguredError for a channel that does not exist.
        """
        self._must_exist(channel)
        question = self._frames.pulse(channel)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT_S) as limit:
                await asyncio.sleep(self._cool_until_s.get(channel, 0.0) - loop.time())
                async with self._pulse_turn:
                    await asyncio.sleep(self._last_pulse_s + self.profile.hold_off_s - loop.time())
                    deadline_s = limit.when() or loop.time()
                    limit.reschedule(None)
                    return await self._pulse(channel, question, guard, queue_timeout_s=deadline_s - loop.time())
        except TimeoutError:
            cooling = self._cool_until_s.get(channel, 0.0) > loop.time()
            return UnlockReply("not_sent", reason="cooldown") if cooling else _NOT_SENT

    async def door(self, channel: int) -> Door:
        """What the feedback switch says now.

        After questions without a reply, a reply may be a late one to an earlier question. Replies come in the order of
        the questions, so the door is asked once more for every one that is still owed, and only the last one counts.
        Raises UnavailableError; a query is not repeated for want of a reply, unless the board is known to lose the
        frame behind a pulse. Raises MisconfiguredError for a channel that does not exist.
        """
        self._must_exist(channel)
        return (await self._ask(self._frames.door(channel)))[channel]

    async def status(self) -> dict[int, Door]:
        """Every door of the board. A channel without a lock looks like a broken contact. Raises UnavailableError."""
        doors: dict[int, Door] = {}
        for question in self._frames.status():
            found = await self._ask(question)
            doors |= found
        return doors

    def _must_exist(self, channel: int) -> None:
        if not 1 <= channel <= self._frames.channels:
            raise MisconfiguredError(f"lock channel {channel}: must be in 1..{self._frames.channels}")

    # -------------------------------------------------------------- the pulse

    async def _pulse(
        self, channel: int, question: Question[PulseSaid], guard: Callable[[], bool], *, queue_timeout_s: float
    ) -> UnlockReply:
        loop = asyncio.get_running_loop()
        listen = question.listen()
        stale = 0

        def encode() -> bytes | None:
            nonlocal stale
            if not guard():
                return None
            self._last_pulse_s = loop.time()
            self._may_swallow = self._frames.swallows
            if self._frames.answers_pulses:
                stale = self._owed(question.debt)
                self._owe(question.debt)
            return question.frame

        def feed(data: bytes) -> UnlockReply | None:
            nonlocal listen, stale
            said = listen(data)
            if said is None:
                return None
            self._pay(question.debt)
            if stale:  # perhaps the reply to an earlier pulse: a pulse is never repeated to find out
                stale -= 1
                listen = question.listen()
                return None
            if said.cool_s:
                self._cool_until_s[channel] = loop.time() + said.cool_s
            return UnlockReply(said.result, (loop.time() - self._last_pulse_s) * 1000, said.reason)

        try:
            return await self._bus.request(
                Exchange(
                    priority=Priority.UNLOCK,
                    encode=encode,
                    feed=feed,
                    timeout_s=REPLY_TIMEOUT_S if self._frames.answers_pulses else SETTLE_S,
                    queue_timeout_s=queue_timeout_s,
                    not_sent=_NOT_SENT,
                    device=self._name,
                    may_be_silent=not self._frames.answers_pulses,
                )
            )
        except NoReplyError:
            if self._frames.answers_pulses:
                return UnlockReply("no_reply")
        except UnavailableError:
            return _NOT_SENT
        return await self._seen_after_pulse(channel)

    async def _seen_after_pulse(self, channel: int) -> UnlockReply:
        """The only word there is of a pulse that the board does not answer. A closed door denies nothing."""
        try:
            door = await self.door(channel)
        except UnavailableError:
            return UnlockReply("no_reply")
        return UnlockReply("opened" if door is Door.OPEN else "no_reply")

    # -------------------------------------------------------------- questions

    async def _ask(self, question: Question[T]) -> T:
        """The answer of now: asked once more for every late reply that may still come."""
        try:
            return await self._fresh(question)
        except NoReplyError:
            if not self._may_swallow:
                raise
            self._may_swallow = False
            return await self._fresh(question)

    async def _fresh(self, question: Question[T]) -> T:
        answer, owed = await self._query(question)
        for _ in range(min(owed, MAX_STALE_REPLIES)):
            answer, _owed = await self._query(question)
        return answer

    async def _query(self, question: Question[T]) -> tuple[T, int]:
        """An answer, and how many late replies might have been taken for it."""
        listen = question.listen()
        owed = 0

        def encode() -> bytes:
            nonlocal owed
            owed = self._owed(question.debt, *question.taken_for)
            self._owe(question.debt)
            return question.frame

        def feed(data: bytes) -> tuple[T, int] | None:
            answer = listen(data)
            if answer is None:
                return None
            self._pay(question.debt)
            self._may_swallow = False
            if not owed:  # the reply to this very question: whatever was to come before it has come
                self._debts.clear()
            return answer, owed

        return await self._bus.request(
            Exchange(
                priority=Priority.STATUS,
                encode=encode,
                feed=feed,
                timeout_s=LOST_S if self._may_swallow else REPLY_TIMEOUT_S,
                device=self._name,
            )
        )

    # -------------------------------------------------------------- replies that are owed

    def _owed(self, *debts: Debt) -> int:
        """How many replies may still come late."""
        return sum(len(self._written(debt)) for debt in debts)

    def _owe(self, debt: Debt) -> None:
        self._written(debt).append(asyncio.get_running_loop().time())

    def _pay(self, debt: Debt) -> None:
        """One reply of this kind came: the oldest one that was owed, for replies keep their order."""
        if written := self._written(debt):
            written.popleft()

    def _written(self, debt: Debt) -> deque[float]:
        """When the questions were written whose replies may still come."""
        written = self._debts.setdefault(debt, deque(maxlen=2 * MAX_STALE_REPLIES))
        while written and asyncio.get_running_loop().time() - written[0] >= LATE_S:
            written.popleft()
        return written

    def _overhear(self, data: bytes) -> None:
        for debt in self._frames.late(data):
            self._pay(debt)
