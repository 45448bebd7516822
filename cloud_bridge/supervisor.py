"""Keeps the bridge's services running: one that falls is counted, shown and started again, never its neighbours."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from contracts.backoff import Backoff
from contracts.clock import Clock

log = logging.getLogger("zhanggui.cloud_bridge")


@dataclass(slots=True)
class ServiceHealth:
    """How one service fares. `last_error` stays after a restart, for whoever asks why it fell."""

    name: str
    running: bool = False
    crashes: int = 0
    last_error: str = ""


class Supervisor:
    """Runs services for ever; `services` tells how each of them fares."""

    def __init__(self, *, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self.services: dict[str, ServiceHealth] = {}

    async def keep(self, name: str, start: Callable[[], Awaitable[None]]) -> None:
        """Run `start()` again and again, with jittered back-off, until cancelled."""
        health = self.services.setdefault(name, ServiceHealth(name))
        backoff = Backoff(rng=self._rng, base_s=0.25)
        while True:
            backoff.up(self._clock.now_s())
            health.running = True
            try:
                await start()
                error = "ended"
            except Exception as failure:  # the supervisor's edge: counted, shown, started again
                error = f"{type(failure).__name__}: {failure}"
                if error != health.last_error:
                    log.exception("%s fell; it is started again", name)
            finally:
                health.running = False
            health.crashes += 1
            health.last_error = error[:256]
            await self._clock.sleep(backoff.down(self._clock.now_s()))
