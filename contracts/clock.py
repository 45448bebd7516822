"""Time, passed in: one protocol, a real clock, a scaled clock shared by processes, and one that tests step by hand.

Durations use `CLOCK_BOOTTIME`, which counts suspend; Python's `time.monotonic` does not.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import mmap
import os
import struct
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

CLOCK_FILE_BYTES = 32
_LAYOUT = struct.Struct("<Qddd")  # version (odd while being written), origin_boot_s, origin_store_s, speed
_LONGEST_NAP_S = 0.25  # real seconds; a change of speed is noticed after one nap at the latest


class Clock(Protocol):
    """What every room asks for time. Seconds are store seconds: the same for all processes of one store."""

    def now_s(self) -> float:
        """Seconds since an origin that is fixed for this boot; never goes back."""

    def wall(self) -> datetime:
        """Calendar time, aware, UTC; may jump."""

    async def sleep(self, duration_s: float) -> None:
        """Return after `duration_s` seconds of this clock."""


def boottime_s() -> float:
    """Real seconds since boot, suspend included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def rfc3339(moment: datetime) -> str:
    """UTC, milliseconds, `Z`: the form of every `time` in an event."""
    there = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    text = msgspec.json.encode(there).decode()  # with microseconds, if there are any; six times as quick as isoformat
    return f"{text[1:24]}Z" if there.microsecond else f"{text[1:20]}.000Z"


def unix_ms(moment: datetime) -> int:
    """Milliseconds since 1970, rounded down."""
    return int(moment.timestamp() * 1000)


class SystemClock:
    """The machine's own time."""

    def now_s(self) -> float:
        return boottime_s()

    def wall(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(max(0.0, duration_s))


class ScaledClock:
    """One store time for many processes, read from a 32-byte file.

    `store = origin_store + (boot - origin_boot) * speed`.

    One process creates the file and may change the speed; the others open it. A sequence number that is odd
    while the values are being written makes a torn read visible, so that no reader needs a lock.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), CLOCK_FILE_BYTES)

    @classmethod
    def create(cls, path: Path, *, speed: float, start: datetime) -> ScaledClock:
        """Make the clock file at `path` and start it at `start` (aware) with `speed` store seconds a real second."""
        if speed <= 0:
            raise ValueError(f"speed: must be above 0, is {speed}")
        path.write_bytes(_LAYOUT.pack(0, boottime_s(), start.timestamp(), speed))
        return cls(path)

    def _read(self) -> tuple[float, float, float]:
        while True:
            version, origin_boot_s, origin_store_s, speed = _LAYOUT.unpack(self._map[:])
            if version % 2 == 0 and _LAYOUT.unpack(self._map[:])[0] == version:
                return origin_boot_s, origin_store_s, speed

    @property
    def speed(self) -> float:
        """Store seconds a real second."""
        return self._read()[2]

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on; store time neither jumps nor goes back. Only the creator may call this."""
        if speed <= 0:
            raise ValueError(f"speed: must be above 0, is {speed}")
        version = _LAYOUT.unpack(self._map[:])[0]
        real, store = boottime_s(), self.now_s()
        self._map[:8] = struct.pack("<Q", version + 1)
        self._map[8:] = struct.pack("<ddd", real, store, speed)
        self._map[:8] = struct.pack("<Q", version + 2)

    def now_s(self) -> float:
        origin_boot_s, origin_store_s, speed = self._read()
        return origin_store_s + (boottime_s() - origin_boot_s) * speed

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self.now_s(), UTC)

    async def sleep(self, duration_s: float) -> None:
        until_s = self.now_s() + duration_s
        while (left_s := until_s - self.now_s()) > 0:
            nap_s = min(left_s / self.speed, _LONGEST_NAP_S)
            await asyncio.sleep(nap_s)


class ManualClock:
    """A clock that only `advance` moves: for tests, here so that every room's tests share one."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._now_s = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now_s(self) -> float:
        return self._now_s

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self._start.timestamp() + self._now_s, UTC)

    async def sleep(self, duration_s: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_s + max(0.0, duration_s), next(self._order), waiter))
        await waiter

    def step(self, duration_s: float) -> None:
        """Move time without an event loop (pure tests)."""
        self._now_s += duration_s

    async def advance(self, duration_s: float) -> None:
        """Move time and wake, in order, everyone whose sleep ends on the way; each wake-up runs before the next."""
        target_s = self._now_s + duration_s
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= target_s:
            due_s, _, waiter = heapq.heappop(self._sleepers)
            self._now_s = max(self._now_s, due_s)
            if not waiter.done():
                waiter.set_result(None)
            await self._settle()
        self._now_s = target_s
        await self._settle()

    @staticmethod
    async def _settle() -> None:
        for _ in range(10):  # let tasks run to their next await on time before it moves on
            await asyncio.sleep(0)


def clock_from_env() -> Clock:
    """The clock of this process: the shared file named by `ZHANGGUI_CLOCK`, else the machine's own time."""
    path = os.environ.get("ZHANGGUI_CLOCK")
    return ScaledClock(Path(path)) if path else SystemClock()
