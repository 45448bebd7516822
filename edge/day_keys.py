"""The secrets behind the pseudonyms of persons: one a day, on this box only, gone after two days."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import date, timedelta

from contracts.clock import Clock
from device_drivers.errors import UnavailableError
from edge.ports import LedgerFullError, LedgerPort, Transaction
from edge.sessions.policy import HoursPolicy

KIND = "day_key"
KEEP = timedelta(days=2)
LOOK_EVERY_S = 600.0


class DayKeys:
    """Makes tomorrow's secret today, so that no reading ever waits for a commit."""

    def __init__(self, *, ledger: LedgerPort, clock: Clock, hours: HoursPolicy) -> None:
        self._ledger = ledger
        self._clock = clock
        self._hours = hours

    def today(self) -> date:
        """The calendar day of the store."""
        return self._hours.local(self._clock.wall()).date()

    def current(self) -> bytes:
        """The secret of today. Raises UnavailableError while there is none: then nobody can be told apart."""
        key = self._ledger.state(KIND).get(self.today().isoformat())
        if key is None:
            raise UnavailableError("the secret of the day is not durable yet")
        return bytes.fromhex(key.decode().strip('"'))

    async def turn(self) -> None:
        """Make the secrets of today and tomorrow durable, and destroy those that are too old."""
        have, today = self._ledger.state(KIND), self.today()
        wanted = [d.isoformat() for d in (today, today + timedelta(days=1))]
        puts = {(KIND, day): f'"{secrets.token_hex(32)}"'.encode() for day in wanted if day not in have}
        oldest = (today - KEEP).isoformat()
        deletes = [(KIND, day) for day in have if day <= oldest]
        if puts or deletes:
            await self._ledger.commit(Transaction(puts=puts, deletes=deletes))

    async def run(self) -> None:
        """Turn the keys until cancelled."""
        while True:
            with suppress(LedgerFullError):  # tobacco needs a writable ledger anyway; the next look tries again
                await self.turn()
            await self._clock.sleep(LOOK_EVERY_S)
