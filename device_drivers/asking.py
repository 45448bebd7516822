"""Questions to a device whose replies name their command and nothing else: a late reply must answer no later question.

The bytes of the line go through one decoder in the order in which they came, whoever waited for them, so that a frame
that falls between two turns is not lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from device_drivers.bus import Bus, Exchange, Priority
from device_drivers.family import Decoder
from device_drivers.faults import OnFault

MAX_STALE_REPLIES = 3
QUEUE_TIMEOUT_S = 5.0  # a question that waits longer is not sent: whoever asked has gone on
F = TypeVar("F")


class Asker(Generic[F]):
    """Asks one device that has a line of its own. `on_other` hears every frame that answers no question; `device` names
    it on the line, as in `Exchange`."""

    def __init__(
        self,
        bus: Bus,
        *,
        device: str,
        decoder: Callable[[OnFault], Decoder[F]],
        on_other: Callable[[F], None],
        timeout_s: float,
        priority: Priority = Priority.STATUS,
    ) -> None:
        self._bus = bus
        self._device = device
        self._make = decoder
        self._decoder = decoder(bus.fault)
        self._on_other = on_other
        self._timeout_s = timeout_s
        self._priority = priority
        self._unanswered: dict[int, int] = {}
        bus.overhear(self._overhear)

    async def ask(
        self, key: int, frame: bytes, answers: Callable[[F], bool], *, extra_s: float = 0.0, amid: bool = False
    ) -> F:
        """The reply to `frame`: the first that `answers` takes. `key` tells questions apart whose replies differ.

        After a question without a reply the next reply may be its late one. Replies keep the order of the questions,
        so the question is asked once more for each that is still owed, and only the last reply counts. `extra_s` is
        how long the device itself may take; `amid`: the device speaks by itself now, so what was begun is kept.
        Raises UnavailableError.
        """
        reply, owed = await self._once(key, frame, answers, extra_s, amid)
        for _ in range(min(owed, MAX_STALE_REPLIES)):
            reply, _owed = await self._once(key, frame, answers, extra_s, amid)
        self._unanswered[key] = 0
        return reply

    async def _once(
        self, key: int, frame: bytes, answers: Callable[[F], bool], extra_s: float, amid: bool
    ) -> tuple[F, int]:
        owed = 0

        def encode() -> bytes:
            nonlocal owed
            owed = self._unanswered.get(key, 0)
            self._unanswered[key] = owed + 1
            if not amid:  # what lies half in the decoder on a silent line is noise, and would swallow the reply
                self._decoder = self._make(self._bus.fault)
            return frame

        def feed(data: bytes) -> tuple[F, int] | None:
            answer: F | None = None
            for heard in self._decoder.feed(data):
                if answer is None and answers(heard):
                    answer = heard
                else:
                    self._on_other(heard)
            if answer is None:
                return None
            self._unanswered[key] -= 1
            return answer, owed

        return await self._bus.request(
            Exchange(
                priority=self._priority,
                encode=encode,
                feed=feed,
                timeout_s=self._timeout_s + extra_s,
                queue_timeout_s=QUEUE_TIMEOUT_S,
                device=self._device,
            )
        )

    def _overhear(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            self._on_other(frame)
