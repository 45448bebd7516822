"""The life of a device: connecting → online → degraded → offline, told by the outcome of what is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from contracts.clock import Clock
from device_drivers.capabilities import Door, Lock, Scale, UnlockReply, WeightSample
from device_drivers.errors import DeviceError

State = Literal["connecting", "online", "degraded", "offline"]
OFFLINE_AFTER_S = 3.0


@dataclass(slots=True)
class DeviceHealth:
    """State of one device, since when (store seconds), and its last error."""

    device: str
    kind: str
    clock: Clock
    on_change: Callable[[DeviceHealth, State], None]
    state: State = "connecting"
    since_s: float = 0.0
    last_error: str = ""
    failures: int = 0
    answers: int = 0  # in all
    _last_ok_s: float | None = None
    _first_failure_s: float | None = None

    def ok(self) -> None:
        """It answered."""
        self.answers += 1
        self._last_ok_s, self._first_failure_s, self.failures = self.clock.now_s(), None, 0
        self._become("online")

    def failed(self, detail: str) -> None:
        """It did not answer. One failure degrades; `OFFLINE_AFTER_S` without any answer is offline."""
        now_s = self.clock.now_s()
        self.failures += 1
        self.last_error = detail[:256]
        if self._first_failure_s is None:
            self._first_failure_s = now_s
        if now_s - self._first_failure_s >= OFFLINE_AFTER_S:
            self._become("offline")
        elif self.state == "online":
            self._become("degraded")

    def _become(self, state: State) -> None:
        if state != self.state:
            before, self.state, self.since_s = self.state, state, self.clock.now_s()
            self.on_change(self, before)


class WatchedLock:
    """A lock board whose answers also tell how it fares."""

    def __init__(self, lock: Lock, health: DeviceHealth) -> None:
        self._lock = lock
        self.health = health

    async def unlock(self, channel: int, guard: Callable[[], bool]) -> UnlockReply:
        """See `Lock.unlock`. The outcome says nothing of health: an unlock is resolved by the fence after it."""
        return await self._lock.unlock(channel, guard)

    async def door(self, channel: int) -> Door:
        """See `Lock.door`."""
        try:
            state = await self._lock.door(channel)
        except DeviceError as error:
            self.health.failed(str(error))
            raise
        self.health.ok()
        return state


class WatchedScale:
    """A scale whose answers also tell how it fares; keeps its last sample for telemetry."""

    def __init__(self, scale: Scale, health: DeviceHealth) -> None:
        self._scale = scale
        self.health = health
        self.last: WeightSample | None = None

    async def sample(self) -> WeightSample:
        """See `Scale.sample`."""
        try:
            self.last = await self._scale.sample()
        except DeviceError as error:
            self.health.failed(str(error))
            raise
        self.health.ok()
        return self.last

    async def acknowledge_power_on(self) -> None:
        """See `Scale.acknowledge_power_on`."""
        await self._scale.acknowledge_power_on()
