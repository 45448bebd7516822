"""The money of one cabinet on its way: one task a hold, one task for every void or capture the ledger asks for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from random import Random

from contracts.clock import Clock
from edge.ports import Payment, PaymentUnansweredError
from edge.sessions.core import money
from edge.sessions.core.draft import Step
from edge.sessions.core.inputs import Answer, Authorise
from edge.sessions.core.records import Session
from edge.sessions.policy import TimeoutsPolicy


class Cashier:
    """Carries table M between the ledger and the provider; decides nothing."""

    def __init__(
        self,
        *,
        cabinet: str,
        payment: Payment,
        timeouts: TimeoutsPolicy,
        clock: Clock,
        rng: Random,
        retry_s: float,
        session: Callable[[str], Session | None],
        answer: Callable[[Answer], Awaitable[Step | None]],
        counters: Counter[str],
    ) -> None:
        """`session`: the ledger's word on a key. `answer`: hand an answer to the machine; None if it could not be
        written. `retry_s`: real seconds until it is tried again."""
        self._cabinet, self._payment, self._timeouts = cabinet, payment, timeouts
        self._clock, self._rng, self._retry_s = clock, rng, retry_s
        self._session, self._answer, self._counters = session, answer, counters
        self._group: asyncio.TaskGroup | None = None
        self._moving: set[str] = set()

    def open(self, group: asyncio.TaskGroup) -> None:
        """The tasks belong to this group from now on."""
        self._group = group
        self._moving.clear()

    def authorise(self, asked: Authorise) -> None:
        """Ask for a hold, once."""
        assert self._group is not None
        self._group.create_task(self._authorise(asked), name=f"{self._cabinet}:authorise:{asked.session}")

    def move(self, sessions: Iterable[Session]) -> None:
        """See to it that every session whose ledger entry asks for money to move has a task."""
        assert self._group is not None
        for session in sessions:
            if money.want(session) and session.id not in self._moving:
                self._moving.add(session.id)
                self._group.create_task(self._repeat(session.id), name=f"{self._cabinet}:money:{session.id}")

    async def _authorise(self, asked: Authorise) -> None:
        try:
            word = await self._payment.authorise(asked.session, asked.amount_fen)
        except PaymentUnansweredError:
            self._counters["authorise_unanswered"] += 1
            return  # T_pay ends the session with a void; an authorise is never repeated
        while (step := await self._answer(Answer(asked.session, "authorise", word))) is None:  # noqa: ASYNC110 - a disk tells nobody when it has room
            await asyncio.sleep(self._retry_s)
        self._count_stale(step)

    async def _repeat(self, key: str) -> None:
        """Void or capture with the same key until a final answer; no end."""
        failures = 0
        try:
            while (session := self._session(key)) is not None and (want := money.want(session)):
                if failures:
                    await self._clock.sleep(self._pause_s(failures))
                failures += 1
                try:
                    if want == "void":
                        answer = Answer(key, "void", await self._payment.void(key))
                    else:
                        answer = Answer(key, "capture", await self._payment.capture(key, session.amount_fen))
                except PaymentUnansweredError:
                    self._counters[f"{want}_unanswered"] += 1
                    continue
                self._count_stale(await self._answer(answer))
        finally:
            self._moving.discard(key)

    def _pause_s(self, failures: int) -> float:
        ceiling_s = min(self._timeouts.retry_max, self._timeouts.retry_min * 2.0 ** min(failures - 1, 16))
        return self._rng.uniform(0.0, ceiling_s)

    def _count_stale(self, step: Step | None) -> None:
        if step is not None and step.answer == "stale":
            self._counters["stale_answer"] += 1
