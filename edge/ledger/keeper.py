"""Keeps house in the background: looks at the disk every few seconds and works in small jobs while there is work."""

from __future__ import annotations

import asyncio

from contracts.clock import Clock
from edge.ledger.ledger import Ledger

LOOK_EVERY_S = 5.0
BUSY_S = 0.02  # between two jobs: sales pass, and a slow card gets its breath


class Keeper:
    """The task beside an open ledger. Raises LedgerDamagedError when only opening anew can help."""

    def __init__(self, *, ledger: Ledger, clock: Clock, every_s: float = LOOK_EVERY_S) -> None:
        self._ledger = ledger
        self._clock = clock
        self._every_s = every_s

    async def run(self) -> None:
        """Tidy until cancelled."""
        while True:
            found = await self._ledger.tidy()
            if found.wal_held:
                await asyncio.to_thread(self._ledger.checkpoint_aside)
            await self._clock.sleep(BUSY_S if found.more else self._every_s)
