"""Keeps a task running: restarts it with jittered back-off, counts its falls, says since when and why it is down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from contracts.backoff import Backoff
from contracts.clock import Clock
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
        down = False
        while True:
            health.state, health.since_s = "running", self._clock.now_s()
            backoff.up(loop.time())
            try:
                await start()
                error: str = "ended"
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
            await asyncio.sleep(backoff.down(loop.time()))
