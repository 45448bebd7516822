"""A simulated process: its tasks, and its end at any step.

A process dies in two moves. First it is fenced: nothing it does from then on reaches the network, the disk or the
clock. Then its tasks are cancelled, so that their `finally` blocks run into the void, as if they had never run.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

current_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("current_process", default=None)
REAP_S = 0.2
FEW_TASKS = 32


class Process:
    """One incarnation of a program, from its start to its end.

    `on_step(process, what)` is called at every touch of the world and may call `die`; `part` is whose process it is.
    """

    def __init__(self, name: str, *, on_step: Callable[[Process, str], None], part: object = None) -> None:
        self.name = name
        self.part = part
        self.dead = False
        self.fenced = False
        self.connects: list[float] = []  # when the broker accepted it
        self.on_death: list[Callable[[], None]] = []
        self._on_step = on_step
        self._tasks: list[asyncio.Task[Any]] = []
        self._look_at = FEW_TASKS

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """Its tasks that have not ended, the oldest first."""
        self._tasks = [task for task in self._tasks if not task.done()]
        return self._tasks

    def own(self, task: asyncio.Task[Any]) -> None:
        """A task of this process was made."""
        self._tasks.append(task)
        if len(self._tasks) > self._look_at:  # to be told of each end would cost a callback a task
            self._look_at = FEW_TASKS + 2 * len(self.tasks)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start `work` as a task of this process; its own tasks belong to it too."""
        context = contextvars.copy_context()
        context.run(current_process.set, self)
        return asyncio.get_running_loop().create_task(work, name=f"{self.name}-{name}", context=context)

    def step(self, what: str) -> None:
        """The process touches the world. Raises CancelledError when it is dead, or dies of it."""
        if not (self.dead or self.fenced):
            self._on_step(self, what)
        if self.dead or self.fenced:
            raise asyncio.CancelledError

    def die(self) -> None:
        """End now, wherever its tasks stand."""
        if self.dead:
            return
        self.dead = True
        for tell in self.on_death:
            tell()
        context = contextvars.copy_context()
        context.run(current_process.set, None)
        asyncio.get_running_loop().create_task(self._reap(), name=f"reap-{self.name}", context=context)

    def fence(self) -> None:
        """Reach nothing any more; `die` will follow at once."""
        self.fenced = True

    async def _reap(self) -> None:
        while self.tasks:
            for task in self.tasks:
                task.cancel()
            await asyncio.sleep(REAP_S)

    async def gone(self) -> None:
        """Return once every task has ended."""
        while self.tasks:  # noqa: ASYNC110  # the loop is virtual: a wait costs nothing
            await asyncio.sleep(REAP_S)
