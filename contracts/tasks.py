"""Ending tasks for sure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_S = 0.2  # real seconds


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until each of them has ended; their errors stay with whoever owns them.

    Before Python 3.12 a `wait_for` that finishes in the very moment of a cancellation swallows it, so that one cancel
    may not be enough for a task that waits for acknowledgements.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
