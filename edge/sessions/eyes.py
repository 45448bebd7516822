"""The eyes of a cabinet: one task a lock board polls its doors, one task a scale keeps a window of stable samples.

Polling is paced in real seconds, because a bus lives in real time; the time of a sample is store time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from contracts.clock import Clock
from device_drivers.capabilities import Door, Lock, Scale
from device_drivers.errors import DeviceError
from edge.sessions.core.inputs import Weight
from edge.sessions.core.settlement import same

CLOSED_POLLS = 3
SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Pace:
    """Real seconds between two polls: `near` while a door or a weight matters, else `idle`."""

    near_s: float = 0.1
    idle_s: float = 0.25
    fresh_s: float = 1.0  # a door older than this is not known
    weight_fresh_s: float = 2.0
    tick_s: float = 0.25
    retry_s: float = 1.0  # between two tries of a ledger that is full


@dataclass(slots=True)
class DoorSight:
    """What one door's polls have shown."""

    open: bool | None = None
    closed_polls: int = 0
    heard_s: float | None = None  # real time of the last reply
    frames: int = 0
    fenced: bool = False


class DoorEye:
    """Polls all doors of one lock board. One open poll is an open door; a closed door takes three."""

    def __init__(
        self,
        *,
        lock: Lock,
        channels: Mapping[str, int],
        pace: Pace,
        real_s: Callable[[], float],
        near: Callable[[], bool],
        wake: Callable[[], None],
    ) -> None:
        self._lock, self._channels, self._pace = lock, channels, pace
        self._real_s, self._near, self._wake = real_s, near, wake
        self._sights = {c: DoorSight() for c in channels}
        self._started_s = real_s()

    async def run(self) -> None:
        """Poll until cancelled."""
        self._started_s = self._real_s()
        while True:
            for compartment in self._channels:
                await self._poll(compartment)
            await asyncio.sleep(self._pace.near_s if self._near() else self._pace.idle_s)

    async def _poll(self, compartment: str) -> None:
        sight = self._sights[compartment]
        frames, before = sight.frames, (sight.open, sight.fenced)
        try:
            door = await self._lock.door(self._channels[compartment])
        except DeviceError:
            sight.closed_polls = 0
            if not self.fresh(compartment):
                sight.open = None
        else:
            sight.heard_s = self._real_s()
            sight.fenced = frames == sight.frames  # asked after the last frame, on the same line
            if door is Door.OPEN:
                sight.open, sight.closed_polls = True, 0
            else:
                sight.closed_polls += 1
                if sight.closed_polls >= CLOSED_POLLS:
                    sight.open = False
        if (sight.open, sight.fenced) != before:
            self._wake()

    def frame(self, compartment: str) -> None:
        """An unlock frame is being written now: what was asked before it proves nothing any more."""
        sight = self._sights[compartment]
        sight.frames += 1
        sight.fenced, sight.closed_polls = False, 0

    def fresh(self, compartment: str) -> bool:
        return self.silent_s(compartment) <= self._pace.fresh_s

    def silent_s(self, compartment: str) -> float:
        """Real seconds since the door was heard of."""
        heard_s = self._sights[compartment].heard_s
        return self._real_s() - (self._started_s if heard_s is None else heard_s)

    def heard(self, compartment: str) -> bool:
        """Whether the door's state is known by now."""
        return self._sights[compartment].open is not None

    def open(self, compartment: str) -> bool | None:
        """State of the door; None if it is not known, or no longer."""
        return self._sights[compartment].open if self.fresh(compartment) else None

    def fenced(self, compartment: str) -> bool:
        return self._sights[compartment].fenced


class ScaleEye:
    """Keeps the last five stable samples of one scale, and notices when it has powered up."""

    def __init__(
        self,
        *,
        shelf: str,
        scale: Scale,
        sigma_g: float,
        clock: Clock,
        pace: Pace,
        real_s: Callable[[], float],
        near: Callable[[], bool],
        wake: Callable[[], None],
    ) -> None:
        self.shelf, self._scale, self._sigma_g = shelf, scale, sigma_g
        self._clock, self._pace, self._real_s, self._near, self._wake = clock, pace, real_s, near, wake
        self._window: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self._heard_s: float | None = None
        self._not_before_s = float("-inf")
        self._booked = False
        self.powered_up = False  # and the ledger does not know yet, or the scale has not been told

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await self._sample()
            await asyncio.sleep(self._pace.near_s if self._near() else self._pace.idle_s)

    async def _sample(self) -> None:
        try:
            if self._booked:
                await self._scale.acknowledge_power_on()
                self._booked = self.powered_up = False
            asked_s = self._clock.now_s()
            sample = await self._scale.sample()
        except DeviceError:
            self._window.clear()
            return
        self._heard_s = self._real_s()
        if sample.power_on and not self.powered_up:
            self.powered_up = True
            self._wake()
        if self.powered_up or sample.overload or not sample.stable or asked_s < self._not_before_s:
            self._window.clear()
            return
        if self._window and not same(median(g for _, g in self._window), sample.gross_g, self._sigma_g):
            self._window.clear()  # each sample alone is stable, together they are not
        self._window.append((asked_s, sample.gross_g))
        if len(self._window) == SAMPLES:
            self._wake()

    @property
    def unbooked(self) -> bool:
        """Powered up, and the new epoch is not durable yet."""
        return self.powered_up and not self._booked

    @property
    def heard(self) -> bool:
        return self._heard_s is not None

    def booked(self) -> None:
        """The new epoch is durable: the scale may be told."""
        self._booked = True

    def disturb(self, until_s: float) -> None:
        """The door is open or moving: no sample before this store time counts."""
        self._not_before_s = max(self._not_before_s, until_s)
        self._window.clear()

    def weight(self, epoch: int) -> Weight | None:
        """The median of five stable samples; None while there is none."""
        stale = self._heard_s is None or self._real_s() - self._heard_s > self._pace.weight_fresh_s
        if stale or self.powered_up or len(self._window) < SAMPLES:
            return None
        return Weight(round(median(g for _, g in self._window), 3), epoch, self._window[0][0])
