"""Keeps a task running: restarts it with jittered back-off, counts its falls, says since when and why it is down."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from contracts.backoff import Backoff
from contracts.clock import Clock
from contracts.tasks import end
from device_drivers.errors import DeviceError

log = logging.getLogger("zhanggui.edge")


@dataclass(slots=True)
class TaskHealth:
    """How one supervised task fares. `since_s` is store time."""

    name: str
    state: Literal["running", "waiting"] = "waiting"
    since_s: float = 0.0
    restarts: int = 0
    crashes: int = 0  # falls that nobody had foreseen
    last_error: str = ""


class Supervisor:
    """Owns tasks that must outlive their own failures; one that falls never takes a neighbour with it."""

    def __init__(self, *, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self.tasks: dict[str, TaskHealth] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._pauses: dict[str, asyncio.Event] = {}

    async def restart(self, name: str) -> bool:
        """End the task and start it again at once, without a pause; False if there is none of that name. Returns when
        the old one has ended."""
        pause = self._pauses.get(name)
        if pause is None:
            return False
        pause.set()
        if running := self._running.get(name):
            await end([running])
        return True

    async def keep(
        self,
        name: str,
        start: Callable[[], Awaitable[None]],
        *,
        cap_s: float = 30.0,
        fatal: tuple[type[Exception], ...] = (),
    ) -> None:
        """Run `start()` again and again until cancelled. Waits are real time between 0 and `cap_s`.

        What is `fatal` is raised: a person must act, and starting again would not help.
        """
        health = self.tasks.setdefault(name, TaskHealth(name))
        backoff = Backoff(rng=self._rng, base_s=0.25, cap_s=cap_s, stable_s=60.0)
        loop = asyncio.get_running_loop()
        pause = self._pauses[name] = asyncio.Event()
        down = False
        while True:
            pause.clear()
            health.state, health.since_s = "running", self._clock.now_s()
            backoff.up(loop.time())
            try:
                await self._once(name, start)
                error: str = "asked to restart" if pause.is_set() else "ended"
            except fatal:
                raise
            except DeviceError as failure:
                error = f"{type(failure).__name__}: {failure}"
            except Exception as failure:
                # The supervisor's edge: whatever falls here is counted, shown, and started again.
                health.crashes += 1
                error = f"{type(failure).__name__}: {failure}"
                log.exception("%s crashed; it is restarted", name)
            if not down or error != health.last_error:
                log.warning("%s is down: %s", name, error)
            down = True
            health.state, health.since_s = "waiting", self._clock.now_s()
            health.last_error = error[:256]
            health.restarts += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff.down(loop.time())):
                    await pause.wait()

    async def _once(self, name: str, start: Callable[[], Awaitable[None]]) -> None:
        """One run in a task of its own, so that it can be ended without its keeper. Raises what it raised."""

        async def run() -> None:
            await start()

        task = self._running[name] = asyncio.create_task(run(), name=f"{name}:run")
        try:
            await asyncio.wait({task})
        finally:
            await end([task])
            self._running.pop(name, None)
        if not task.cancelled():
            task.result()
