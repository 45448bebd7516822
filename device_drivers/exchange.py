"""What ports, the owner of a line and drivers agree on: a link, a turn, and what a missing reply means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from device_drivers.errors import UnavailableError

T = TypeVar("T")


class NoReplyError(UnavailableError):
    """A frame was written, wholly or in part, and no good reply came.

    Any other UnavailableError of a bus promises that not one byte of the request was written.
    """


class Priority(IntEnum):
    """Whose turn is next, at every border between two frames."""

    UNLOCK = 0
    STATUS = 1
    WEIGHT = 2
    TEMPERATURE = 3


class Link(Protocol):
    """One open port. Each call raises UnavailableError once the port is gone; `close` never raises.

    What comes faster than it is read is dropped, oldest first, beyond a cap.
    """

    @property
    def dropped_bytes(self) -> int:
        """How many bytes were dropped since the port was opened."""

    async def read(self) -> bytes:
        """At least one byte."""

    def flush(self) -> bytes:
        """Everything received so far, taken without waiting."""

    def write(self, data: bytes) -> None:
        """Hand all bytes to the operating system, or raise."""

    def close(self) -> None:
        """Give the port back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(Generic[T]):
    """One turn on the bus: one frame out, one reply in.

    `encode` is asked with the request at the head of the queue, and its bytes are written before anything else runs.
    None means that nothing is sent; an error in it sends nothing either and takes the bus down.

    `feed` takes received bytes and answers once the reply is whole. It may raise ProtocolError for bytes that it
    throws away. `timeout_s` runs from the write.

    `device` names who is asked, for fairness: of equals, whoever had a turn longest ago goes first, and one device may
    fill no more than its share of the queue.

    Some devices say nothing to an act: with `may_be_silent` that is no fault of the line, but NoReplyError as ever.

    A request that waits longer than `queue_timeout_s` is not sent. `not_sent` is the answer to a request that was not
    sent; without it, UnavailableError is raised.
    """

    priority: Priority
    encode: Callable[[], bytes | None]
    feed: Callable[[bytes], T | None]
    timeout_s: float
    queue_timeout_s: float | None = None
    not_sent: T | None = None
    device: str = ""
    may_be_silent: bool = False


async def until_lost(owner: str, **halves: Coroutine[Any, Any, NoReturn]) -> str:
    """Run what reads and what writes one link until one of them raises UnavailableError, and say why.

    A lost link is no error of the group that runs them: Python 3.11 loses a cancellation that meets one there, and
    whoever opens the link again and again would never end. Every other error is raised in its group.
    """
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_lost(half), name=f"{owner}.{name}") for name, half in halves.items()]
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        reason = next(half.result() for half in running if half.done())
        for half in running:
            half.cancel()
    return reason


async def _lost(half: Awaitable[NoReturn]) -> str:
    try:
        await half
    except UnavailableError as error:
        return str(error)
