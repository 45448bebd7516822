"""Keeps a scaled clock honest: when this machine cannot keep up, the speed is lowered, never faked."""

from __future__ import annotations

import asyncio
from collections import deque

from contracts.clock import ScaledClock

TICK_S = 0.05
WINDOW_TICKS = 100
LATE_S = 0.06  # a wake-up this late in the worst twentieth of ticks means that processes wait for a core
SLOWER = 0.8
SLOWEST = 1.0


class Pace:
    """Watches how late this process itself is woken: the same cores carry the whole store."""

    def __init__(self, clock: ScaledClock) -> None:
        self._clock = clock
        self._late: deque[float] = deque(maxlen=WINDOW_TICKS)
        self.lowered: list[float] = []  # each speed it was lowered to

    def note(self, late_s: float) -> None:
        """Take one measurement; lower the speed when the window is full and bad."""
        self._late.append(late_s)
        if len(self._late) < WINDOW_TICKS or sorted(self._late)[WINDOW_TICKS * 95 // 100] < LATE_S:
            return
        self._late.clear()
        speed = max(SLOWEST, self._clock.speed * SLOWER)
        if speed < self._clock.speed:
            self._clock.set_speed(speed)
            self.lowered.append(round(speed, 2))

    async def watch(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            self.note(loop.time() - due_s)
