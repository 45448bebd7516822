"""A lane that must leave its stream and cannot: until it can, nothing of it reaches the cloud, so a person must know.

The uplink tries again by itself and only counts. This looks at its count, and tells: at once on the store's pages and
in the log, in the ledger when that takes it, once for each lane. What was told survives a restart, for an alarm that
nobody takes back would stand in the cloud for ever.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from contracts.clock import Clock
from contracts.event_types import LANES, DeviceFault, DeviceRecovered, EventData, Lane
from edge.ledger import LaneView
from edge.ports import LedgerFullError, LedgerPort, Record, Transaction

KIND = "cannot_fork"  # of the durable state
DEVICE = "ledger"
EVERY_S = 5.0
_log = logging.getLogger("zhanggui.edge")


class LanesPort(LedgerPort, Protocol):
    """A ledger whose lanes can be looked at."""

    def lane(self, name: Lane) -> LaneView:
        """One of the two lanes."""


class ForkWatch:
    """`failures` is how often a lane's fork was not made durable, since the agent started."""

    def __init__(self, *, ledger: LanesPort, failures: Callable[[Lane], int], clock: Clock) -> None:
        self._ledger = ledger
        self._failures = failures
        self._clock = clock
        self._seen = {lane: failures(lane) for lane in LANES}
        told_before = [lane for lane in LANES if lane in ledger.state(KIND)]
        self._told: dict[Lane, float] = dict.fromkeys(told_before, clock.now_s())  # since when, in this boot
        self._stuck = dict(self._told)
        self._places = {lane: self._place(lane) for lane in LANES}
        self.counters: Counter[str] = Counter()

    @property
    def stuck(self) -> Mapping[Lane, float]:
        """The lanes that cannot go on, and since when."""
        return self._stuck

    async def run(self) -> None:
        """Look and tell until cancelled."""
        while True:
            self.look()
            await self.tell()
            await self._clock.sleep(EVERY_S)

    def look(self) -> None:
        """A lane is stuck from a fork that failed on, until it stands in a new stream or the cloud confirms more."""
        for lane in LANES:
            failures, place = self._failures(lane), self._place(lane)
            if failures > self._seen[lane]:
                self._seen[lane], self._places[lane] = failures, place
                if lane not in self._stuck:
                    self._stuck[lane] = self._clock.now_s()
                    _log.error("the %s lane must fork and cannot: %s", lane, self._why(lane))
            elif lane in self._stuck and place != self._places[lane]:
                del self._stuck[lane]
                _log.warning("the %s lane goes on", lane)

    async def tell(self) -> None:
        """Bring the ledger up to date; what it does not take is tried again at the next look."""
        stuck = dict(self._stuck)
        begun, over = sorted(stuck.keys() - self._told.keys()), sorted(self._told.keys() - stuck.keys())
        now_s = self._clock.now_s()
        if not begun and not over:
            return
        events: list[EventData] = [
            *(DeviceFault(device=DEVICE, kind=DEVICE, code=_code(lane), detail=self._why(lane)) for lane in begun),
            *(
                DeviceRecovered(device=DEVICE, kind=DEVICE, code=_code(lane), down_s=now_s - self._told[lane])
                for lane in over
            ),
        ]
        said = Transaction(
            records=[Record(event, DEVICE) for event in events],
            puts={(KIND, lane): b"true" for lane in begun},
            deletes=[(KIND, lane) for lane in over],
        )
        try:
            await self._ledger.commit(said)
        except LedgerFullError:
            self.counters["cannot_fork_not_written"] += 1
        else:
            self._told = stuck

    def _place(self, lane: Lane) -> tuple[str, int]:
        view = self._ledger.lane(lane)
        return view.stream, view.freed.seq

    def _why(self, lane: Lane) -> str:
        waiting = self._ledger.lane(lane).waiting
        return f"no room to write {waiting} events again, in one piece; make room on the disk"


def _code(lane: Lane) -> str:
    return f"{lane}_cannot_fork"
