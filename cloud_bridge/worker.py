"""A bridge that only takes in: no pages, no API, and as little memory as that needs. Several share one database."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from random import Random, SystemRandom

import msgspec

from cloud_bridge.bridge import Bridge
from cloud_bridge.settings import Settings
from contracts.clock import Clock

MAX_REQUEST_BYTES = 4096
ANSWER_WITHIN_S = 5.0


async def work(settings: Settings, *, clock: Clock, listener: socket.socket | None = None) -> None:
    """Serve until SIGTERM or SIGINT; with `listener`, GET /healthz is answered there.

    Raises StorageError, OSError, ValueError (the address of the broker).
    """
    bridge = Bridge(settings, clock=clock, rng=Random(SystemRandom().getrandbits(64)))
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    async with bridge.running(), contextlib.AsyncExitStack() as exits:
        if listener is not None:
            health = Health(bridge)
            server = await asyncio.start_server(health.serve, sock=listener, limit=MAX_REQUEST_BYTES)
            exits.callback(server.close)
        await ending.wait()


class Health:
    """The one page of such a bridge, in the words of the API: 200 if every service does its work, else 503."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self.answer(head.split(b"\r\n", 1)[0]))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def answer(self, line: bytes) -> bytes:
        """The whole answer to a request that begins with `line`."""
        if line.split()[:2] != [b"GET", b"/healthz"]:
            return _http("404 Not Found", b'{"error":"not_found","detail":"only GET /healthz"}')
        services = await self._bridge.pings()
        ok = all(ping.ok for ping in services.values())
        body = msgspec.json.encode({"ok": ok, "services": services, "counters": self._bridge.counters.snapshot()})
        return _http("200 OK" if ok else "503 Service Unavailable", body)


def _http(status: str, body: bytes) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    ).encode() + body
