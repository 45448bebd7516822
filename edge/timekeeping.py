"""Whether the calendar time of this box can be trusted; rules of age, licence and hours deny without it.

The rules read the clock of the box as it stands, so a clock that is known to be wrong (`estimated`) is no better than
one nobody knows. The cloud's word is heard only while there is a line: a clock that is set meanwhile shows against
the monotonic one.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from contracts.clock import Clock
from contracts.envelope import ClockQuality
from edge.ports import LedgerFullError, LedgerPort, Transaction

KIND, KEY = "clock", "latest_known"
NOTE_EVERY_S = 60.0
SLACK_S = 5.0


class Timekeeping:
    """Remembers, across restarts, the latest moment that was known to be right: time before it is not known.

    A step of the calendar by more than `SLACK_S` makes it unknown until it is undone, or the cloud has compared anew.
    """

    def __init__(self, *, ledger: LedgerPort, clock: Clock, quality: Callable[[], ClockQuality]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._quality = quality
        raw = ledger.state(KIND).get(KEY)
        self._latest_s: float = msgspec.json.decode(raw, type=float) if raw else 0.0
        self._ahead_s: float | None = None  # of the calendar before the monotonic clock, while they go together

    def known(self) -> bool:
        """True if the clock is right by the cloud, not set since, and not behind what was known before."""
        if self._quality() != "synced":
            self._ahead_s = None
            return False
        wall_s = self._clock.wall().timestamp()
        ahead_s = wall_s - self._clock.now_s()
        if self._ahead_s is None:
            self._ahead_s = ahead_s
        return abs(ahead_s - self._ahead_s) <= SLACK_S and wall_s >= self._latest_s - SLACK_S

    async def run(self) -> None:
        """Note the known time once a minute until cancelled."""
        while True:
            await self._clock.sleep(NOTE_EVERY_S)
            await self.note()

    async def note(self) -> None:
        """Make the present moment the latest known one, if it is known."""
        if not self.known():
            return
        now_s = self._clock.wall().timestamp()
        self._ahead_s = now_s - self._clock.now_s()  # the two drift apart slowly; only a step is suspicious
        try:
            await self._ledger.commit(Transaction(puts={(KIND, KEY): msgspec.json.encode(round(now_s, 3))}))
        except LedgerFullError:
            return  # an older mark is only less strict; the next minute tries again
        self._latest_s = now_s
