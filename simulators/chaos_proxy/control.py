"""A socket by which a person or a program strikes a running proxy: one JSON object a line, one answer a line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import msgspec

from contracts.tasks import end
from simulators.chaos_proxy.faults import Fault
from simulators.chaos_proxy.proxy import ChaosProxy

MAX_LINE_BYTES = 4096
MAX_CLIENTS = 16


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`strike` with a fault (answered at once, it heals by itself), or `status`."""

    cmd: Literal["strike", "status"]
    fault: Fault | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`connections` are open now, `striking` faults are not healed yet; `error` is "" where the order was taken."""

    error: str = ""
    connections: int = 0
    striking: int = 0
    counters: dict[str, int] = {}


class RefusedError(Exception):
    """The proxy did not take an order; the message says why."""


class Control:
    """Takes orders for one proxy on a Unix socket."""

    def __init__(self, proxy: ChaosProxy) -> None:
        self._proxy = proxy
        self._strikes: set[asyncio.Task[None]] = set()
        self._clients = 0

    @contextlib.asynccontextmanager
    async def running(self, path: Path) -> AsyncIterator[None]:
        """Serve at `path` until left; faults that still last end with it. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - one name in a folder, before anything is served
        server = await asyncio.start_unix_server(self._serve, path, limit=MAX_LINE_BYTES)
        try:
            yield
        finally:
            server.close()
            await end(self._strikes)
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - the same, at the end

    def take(self, line: bytes) -> Answer:
        """Carry out one order."""
        try:
            order = msgspec.json.decode(line, type=Order)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return Answer(error=str(error))
        if order.cmd == "strike":
            if order.fault is None:
                return Answer(error="strike: which fault?")
            task = asyncio.create_task(self._proxy.strike(order.fault), name=f"chaos-{order.fault.kind}")
            self._strikes.add(task)
            task.add_done_callback(self._strikes.discard)
        return Answer(
            connections=self._proxy.connections, striking=len(self._strikes), counters=dict(self._proxy.counters)
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            while self._clients <= MAX_CLIENTS and (line := await reader.readline()):
                writer.write(msgspec.json.encode(self.take(line)) + b"\n")
                await writer.drain()
        except (OSError, ValueError):  # ValueError: a line that is too long
            pass
        finally:
            self._clients -= 1
            writer.close()


async def ask(path: Path, order: Order) -> Answer:
    """Send one order to the proxy at `path`. Raises OSError where none runs, RefusedError."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(msgspec.json.encode(order) + b"\n")
        await writer.drain()
        answer = msgspec.json.decode(await reader.readline(), type=Answer)
    except msgspec.MsgspecError as error:
        raise RefusedError(f"{path}: no answer") from error
    finally:
        writer.close()
    if answer.error:
        raise RefusedError(answer.error)
    return answer
