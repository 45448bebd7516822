"""An event loop whose time jumps to the next timer: no sockets, no threads, the same order in every run."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from asyncio import base_events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Self, TypeVarTuple

from simulators.faultworld.process import Process, current_process


class StuckError(RuntimeError):
    """Nobody will ever wake anybody again."""


_SAME_MOMENT_S = 1e-9
_Ts = TypeVarTuple("_Ts")


class _SimTask(asyncio.Task[Any]):
    """A task whose hash is its number: sets of tasks, as in TaskGroup, are walked in the same order in every run."""

    made = 0
    _serial: int

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        task = super().__new__(cls)  # asyncio asks for the hash while it makes the task
        _SimTask.made += 1
        task._serial = _SimTask.made
        return task

    def __hash__(self) -> int:
        return self._serial


class _Call(asyncio.TimerHandle):
    """A callback that is ready or due. A run makes thousands of them, so they hold what `_run` needs and no more."""

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__
    _source_traceback = None  # asyncio's own keeps it in debug mode

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        self._loop = loop
        self._callback: Callable[..., object] | None = callback
        self._args: tuple[Any, ...] = args
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._callback, self._args = None, ()  # what they hold may go now

    def __lt__(self, _other: object) -> bool:
        return False  # of two timers of one moment neither is the earlier one: then the heap's own order counts


class VirtualLoop(base_events.BaseEventLoop):
    """Runs callbacks in order; when none is ready, `time()` is set to the next timer's."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        """Rounds of callbacks run so far."""
        _SimTask.made = 0  # numbers of a run must not depend on the runs before it
        self._virtual_s = 0.0
        self._ready: deque[_Call] = deque()
        self._due: list[tuple[float, _Call]] = []
        self._stopping = False
        self.set_task_factory(_make_task)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_s

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> _Call:
        call = _Call(self, callback, args, context)
        self._ready.append(call)
        return call

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> _Call:
        call = _Call(self, callback, args, context)
        heapq.heappush(self._due, (self._virtual_s + delay, call))
        return call

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> _Call:
        call = _Call(self, callback, args, context)
        heapq.heappush(self._due, (when, call))
        return call

    def _run_once(self) -> None:
        """Rounds of callbacks until somebody stops the loop: BaseEventLoop asks for one and is content with many."""
        ready, due = self._ready, self._due
        while True:
            self.steps += 1
            while due and due[0][1]._cancelled:  # noqa: SLF001  # a class of this module
                heapq.heappop(due)
            if not ready:
                if not due:
                    raise StuckError("nothing is ready, nothing is due: the simulation would wait for ever")
                self._virtual_s += max(0.0, due[0][0] - self._virtual_s)
            now_s = self._virtual_s + _SAME_MOMENT_S
            while due and due[0][0] < now_s:
                ready.append(heapq.heappop(due)[1])
            for _ in range(len(ready)):
                call = ready.popleft()
                if not call._cancelled:  # noqa: SLF001  # the same
                    call._run()  # noqa: SLF001  # the same
            if self._stopping:
                return

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
        process.own(task)
    return task
