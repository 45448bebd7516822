"""An event loop whose time jumps to the next timer: no sockets, no threads, the same order in every run."""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import base_events
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Self

from simulators.faultworld.process import Process, current_process


class StuckError(RuntimeError):
    """Nobody will ever wake anybody again."""


class _SimTask(asyncio.Task[Any]):
    """A task whose hash is its number: sets of tasks, as in TaskGroup, are walked in the same order in every run."""

    _made = 0
    _serial: int

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        task = super().__new__(cls)
        _SimTask._made += 1
        task._serial = _SimTask._made
        return task

    def __hash__(self) -> int:
        return self._serial


class _Jump:
    """Stands where a selector stands: instead of waiting it moves the time on."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise StuckError("nothing is ready, nothing is due: the simulation would wait for ever")
        self._loop.jump(timeout)
        return []

    def close(self) -> None:
        pass


class VirtualLoop(base_events.BaseEventLoop):
    """Runs callbacks in order; when none is ready, `time()` is set to the next timer's."""

    def __init__(self) -> None:
        super().__init__()
        self._virtual_s = 0.0
        self._selector = _Jump(self)  # asked by BaseEventLoop
        self._clock_resolution = 1e-9
        self.set_task_factory(_make_task)
        self.steps = 0
        """Callbacks run so far."""

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_s

    def jump(self, duration_s: float) -> None:
        """Move the time on."""
        self._virtual_s += duration_s

    def _run_once(self) -> None:
        self.steps += 1
        super()._run_once()  # type: ignore[misc]  # not in the stubs of typeshed

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody else could have called."""

    def run_in_executor(self, _executor: Any, func: Callable[..., Any], *_args: Any) -> Any:  # type: ignore[override]  # nobody may call it
        """Refused: a thread would have its own order."""
        raise RuntimeError(f"{func} asked for a thread; nothing here may have one")


def _make_task(
    loop: asyncio.AbstractEventLoop,
    coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
    context: contextvars.Context | None = None,
) -> asyncio.Future[Any]:
    task = _SimTask(coro, loop=loop, context=context)
    process: Process | None = current_process.get() if context is None else context.get(current_process)
    if process is not None:
        process.tasks[task] = None
        task.add_done_callback(process.forget)
    return task
