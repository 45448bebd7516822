"""A ledger that takes nothing: the cabinet says so once, waits between its tries, and goes on by itself."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from edge.ports import LedgerFullError, LedgerPort, Transaction

log = logging.getLogger("zhanggui.sessions")


class DiskPause:
    """Knows whether a commit is worth a try. `told(paused)` hears each change, `changed` each thing worth a look."""

    def __init__(
        self,
        *,
        cabinet: str,
        ledger: LedgerPort,
        retry_s: float,
        real_s: Callable[[], float],
        told: Callable[[bool], None],
        changed: Callable[[], None],
        counters: Counter[str],
    ) -> None:
        self._cabinet, self._ledger, self._retry_s, self._real_s = cabinet, ledger, retry_s, real_s
        self._told, self._changed, self._counters = told, changed, counters
        self._until_s = self._probe_s = float("-inf")
        self._paused = False

    @property
    def waits(self) -> bool:
        """A commit has failed a moment ago."""
        return self._real_s() < self._until_s

    def full(self) -> None:
        """A commit has failed: nothing of it happened."""
        self._counters["ledger_full"] += 1
        self._until_s = self._real_s() + self._retry_s
        self._pause()
        self._changed()

    def well(self) -> None:
        """A commit has been made. What is open may be closed in the reserve, so that alone ends no pause."""
        self._until_s = float("-inf")
        if self._paused and self._ledger.writable:
            self._paused = False
            log.info("cabinet %s: the ledger takes events again", self._cabinet)
            self._told(False)
            self._changed()

    def _pause(self) -> None:
        """Say it once. What is open may still be closed in the ledger's reserve; nothing new begins (T14)."""
        if not self._paused:
            self._paused = True
            log.error("cabinet %s: the ledger takes nothing; no door will be opened until it does", self._cabinet)
            self._told(True)
            self._changed()

    async def probe(self) -> None:
        """A full ledger becomes writable by a successful append; where no step wants one, try an empty word."""
        if self._ledger.writable:
            self.well()
            return
        self._pause()
        if self._real_s() < max(self._until_s, self._probe_s):
            return
        self._probe_s = self._real_s() + self._retry_s
        try:
            await self._ledger.commit(Transaction(puts={("probe", self._cabinet): b"1"}))
        except LedgerFullError:
            self.full()
        else:
            self.well()
