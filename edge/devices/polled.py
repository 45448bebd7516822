"""Devices that are asked now and then: what they show becomes telemetry, and an alarm where limits say so.

One task a device: a question that waits for a silent one delays no other. Nothing here writes to a device.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from contracts.clock import Clock
from contracts.event_types import DeviceReading, EventData
from device_drivers.errors import DeviceError
from edge.devices.alarm_book import AlarmBook
from edge.devices.health import DeviceHealth
from edge.devices.limits import Limit, LimitWatch, Values

AGAIN_S = 1.0  # after a question without an answer
TELL_EVERY_S = 60.0  # what has not changed
TELL_AT_MOST_S = 5.0  # what changes all the time
STEP = 0.25  # a number that moved less has not changed
MAX_VALUES = 64
MAX_CHARS = 64

Ask = Callable[[], Awaitable[Values]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """One device. `ask` brings what it shows; it raises DeviceError. `company` runs beside it for as long as the agent,
    where a driver needs a task of its own. `counters` are what was dropped on the way. `test` is `device.test`."""

    device: str
    kind: str
    bus: str
    ask: Ask
    health: DeviceHealth
    poll_s: float
    limits: tuple[Limit, ...] = ()
    company: Callable[[], Awaitable[None]] | None = None
    counters: Callable[[], Mapping[str, int]] = dict
    test: Ask | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # no driver of these is for two callers at once

    async def look(self) -> Values:
        """What it shows. Raises DeviceError."""
        async with self.turn:
            return await self.ask()

    async def try_out(self) -> Values:
        """Its own harmless test, or else what it shows. Raises DeviceError."""
        async with self.turn:
            return await (self.test or self.ask)()


def tidy(values: Values) -> dict[str, float | str]:
    """As an event may hold it: no endless number, no endless word, not too many."""
    found: dict[str, float | str] = {}
    for name, value in list(values.items())[:MAX_VALUES]:
        if isinstance(value, str):
            found[name[:MAX_CHARS]] = value[:MAX_CHARS]
        elif math.isfinite(value):
            found[name[:MAX_CHARS]] = round(float(value), 3)
    return found


@dataclass(slots=True)
class Poller:
    """Asks one device until cancelled."""

    polled: Polled
    clock: Clock
    tell: Callable[[EventData, str], None]
    alarms: AlarmBook
    _told: dict[str, float | str] = field(default_factory=dict)
    _told_s: float = float("-inf")

    async def run(self) -> None:
        """Ask, tell, wait. A device that does not answer is asked again soon."""
        polled = self.polled
        watch = LimitWatch(polled.limits, self.alarms.active(polled.device))
        while True:
            try:
                values = tidy(await polled.look())
            except DeviceError as error:
                polled.health.failed(str(error))
                await self.clock.sleep(min(AGAIN_S, polled.poll_s))
                continue
            polled.health.ok()
            now_s = self.clock.now_s()
            self._say(values, now_s)
            await self.alarms.tell(polled.device, polled.kind, watch.see(values, now_s))
            await self.clock.sleep(polled.poll_s)

    def _say(self, values: dict[str, float | str], now_s: float) -> None:
        wait_s = TELL_AT_MOST_S if _changed(self._told, values) else TELL_EVERY_S
        if now_s - self._told_s < wait_s or not values:
            return
        self._told, self._told_s = values, now_s
        self.tell(DeviceReading(device=self.polled.device, kind=self.polled.kind, values=values), self.polled.device)


def _changed(before: Values, now: Values) -> bool:
    if before.keys() != now.keys():
        return True
    for name, value in now.items():
        old = before[name]
        if isinstance(value, str) or isinstance(old, str):
            if value != old:
                return True
        elif abs(value - old) >= STEP:
            return True
    return False
