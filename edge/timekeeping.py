"""Whether the calendar time of this box can be trusted; rules of age, licence and hours deny without it."""

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
    """Remembers, across restarts, the latest moment that was known to be right: time before it is not known."""

    def __init__(self, *, ledger: LedgerPort, clock: Clock, quality: Callable[[], ClockQuality]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._quality = quality
        raw = ledger.state(KIND).get(KEY)
        self._latest_s: float = msgspec.json.decode(raw, type=float) if raw else 0.0

    def known(self) -> bool:
        """True if the quality is known and the clock has not gone back behind what was known before."""
        return self._quality() != "unknown" and self._clock.wall().timestamp() >= self._latest_s - SLACK_S

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
        try:
            await self._ledger.commit(Transaction(puts={(KIND, KEY): msgspec.json.encode(round(now_s, 3))}))
        except LedgerFullError:
            return  # an older mark is only less strict; the next minute tries again
        self._latest_s = now_s
