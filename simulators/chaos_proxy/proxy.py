"""The proxy: one listener, one server behind it, and the faults that stand between them now."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Self

from contracts.clock import Clock
from contracts.tasks import end
from simulators.chaos_proxy.faults import Fault, Weather
from simulators.chaos_proxy.line import Line, Pair, reset

MAX_CONNECTIONS = 20_000
CONNECT_WITHIN_S = 10.0
_BACKLOG = 4096


class BadAddressError(ValueError):
    """An address that is not `host:port`."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or to connect; port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`host:port`. Raises BadAddressError."""
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
            raise BadAddressError(f"{text!r} is no address: write host:port, as in 127.0.0.1:1884")
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class ChaosProxy:
    """Connections to `listen` are carried on to `target`. Use `running()`, then `strike` faults or let `weather` rage.

    `counters`: connections_accepted, connections_refused, connections_unreachable, connections_cut, bytes_up,
    bytes_down, bytes_swallowed, and `fault_…` for each kind.
    """

    def __init__(self, *, listen: Address, target: Address, clock: Clock) -> None:
        self.listen = listen
        self.target = target
        self.counters: Counter[str] = Counter()
        self._clock = clock
        self._up = Line(clock)
        self._down = Line(clock)
        self._refusing = 0
        self._pairs: set[Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve until left; `listen` then tells the port. Raises OSError when the address cannot be listened on."""
        listener = socket.create_server((self.listen.host, self.listen.port), backlog=_BACKLOG)
        self.listen = Address(self.listen.host, listener.getsockname()[1])
        server = await asyncio.start_server(self._accept, sock=listener)
        try:
            yield
        finally:
            server.close()
            self.cut()
            await end(self._tasks)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await server.wait_closed()

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._pairs)

    # -------------------------------------------------------------- faults

    async def strike(self, fault: Fault) -> None:
        """Let one fault happen; return when it is over and healed. Faults may overlap."""
        self.counters[f"fault_{fault.kind}"] += 1
        match fault.kind:
            case "cut":
                self.cut()
            case "refuse":
                self._refusing += 1
                self.cut()
                try:
                    await self._clock.sleep(fault.duration_s)
                finally:
                    self._refusing -= 1
            case "stall":
                with self._up.stalled(), self._down.stalled():
                    await self._clock.sleep(fault.duration_s)
            case "stall_up" | "stall_down":
                with self._line(fault.kind).stalled():
                    await self._clock.sleep(fault.duration_s)
            case "delay":
                with self._up.slowed(fault.delay_ms / 1000.0), self._down.slowed(fault.delay_ms / 1000.0):
                    await self._clock.sleep(fault.duration_s)
            case "throttle":
                with self._up.throttled(fault.bytes_s), self._down.throttled(fault.bytes_s):
                    await self._clock.sleep(fault.duration_s)
            case "swallow_up" | "swallow_down":
                with self._line(fault.kind).swallowing():
                    await self._clock.sleep(fault.duration_s)
                self.cut()
            case "orphan_server" | "orphan_client":
                await self._orphan(fault)

    async def weather(self, weather: Weather) -> None:
        """Let it rage until cancelled, one fault after the other."""
        while True:
            await self._clock.sleep(weather.calm_s())
            await self.strike(weather.fault())

    def cut(self) -> None:
        """End every connection with a reset, at both ends."""
        for pair in list(self._pairs):
            self.counters["connections_cut"] += 1
            pair.cut()

    def _line(self, kind: Literal["stall_up", "stall_down", "swallow_up", "swallow_down"]) -> Line:
        return self._up if kind.endswith("up") else self._down

    async def _orphan(self, fault: Fault) -> None:
        orphans = list(self._pairs)
        for pair in orphans:
            self.counters["connections_cut"] += 1
            pair.orphan(keep="server" if fault.kind == "orphan_server" else "client")
        try:
            await self._clock.sleep(fault.duration_s)
        finally:
            for pair in orphans:
                pair.cut()

    # -------------------------------------------------------------- connections

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing or len(self._pairs) >= MAX_CONNECTIONS:
            self.counters["connections_refused"] += 1
            reset(writer)
            return
        task = asyncio.create_task(self._carry(reader, writer), name="chaos-connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                server = await asyncio.open_connection(self.target.host, self.target.port)
        except (OSError, TimeoutError):
            self.counters["connections_unreachable"] += 1
            reset(writer)
            return
        pair = Pair(client=(reader, writer), server=server, up=self._up, down=self._down, counters=self.counters)
        self._pairs.add(pair)
        self.counters["connections_accepted"] += 1
        try:
            if self._refusing:  # it began while we connected
                pair.cut()
            await pair.run()
        finally:
            self._pairs.discard(pair)
