"""Questions that want an answer now; one that comes later is dropped and counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from contracts.ids import check_id, new_uuid
from contracts.messages import Request, Response

MAX_PENDING = 64
MAX_TTL_S = 60.0


class Requests:
    """The questions that wait. `publish(method, request)` sends one and raises TimeoutError or OSError if it cannot."""

    def __init__(self, *, publish: Callable[[str, Request], Awaitable[None]], counters: Counter[str]) -> None:
        self._publish = publish
        self._counters = counters
        self._pending: dict[str, asyncio.Future[Response]] = {}

    async def ask(self, method: str, args: Mapping[str, str | int | None], ttl_s: float) -> Response | None:
        """The answer, or None if there is none within `ttl_s` real seconds of the loop's monotonic clock (at most 60).

        The answer's `ok` says whether the cloud could answer. Raises ValueError for a method that may not stand in a
        topic or a ttl out of range.
        """
        check_id(method, "method")
        if not 0 < ttl_s <= MAX_TTL_S:
            raise ValueError(f"ttl_s: above 0 and at most {MAX_TTL_S}, is {ttl_s}")
        if len(self._pending) >= MAX_PENDING:
            self._counters["request_too_many"] += 1
            return None
        request = Request(id=new_uuid(), ttl_ms=max(1, int(ttl_s * 1000)), args=dict(args))
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._pending[request.id] = answer
        try:
            async with asyncio.timeout(ttl_s):
                await self._publish(method, request)
                return await answer
        except TimeoutError:
            self._counters["request_timeout"] += 1
        except OSError:
            self._counters["request_offline"] += 1
        finally:
            del self._pending[request.id]
        return None

    def answered(self, response: Response) -> None:
        """A response came in."""
        waiting = self._pending.get(response.id)
        if waiting is None or waiting.done():
            self._counters["response_late"] += 1
            return
        waiting.set_result(response)
