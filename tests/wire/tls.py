"""A broker behind TLS whose certificate a test can change: an end of TLS in front of the plain test broker."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import trustme

NOW = datetime.now(UTC)
EXPIRED = (NOW - timedelta(days=30), NOW - timedelta(days=1))
NOT_YET = (NOW + timedelta(days=300), NOW + timedelta(days=400))
VALID = (NOW - timedelta(days=1), NOW + timedelta(days=30))


class TlsFront:
    """Listens with TLS and hands on what it hears to the broker at `port`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ca = trustme.CA()
        self._server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""

    def use(self, valid: tuple[datetime, datetime], host: str = "127.0.0.1") -> None:
        """Present a certificate of this time and host from now on."""
        fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(host, not_before=valid[0], not_after=valid[1]).configure_cert(fresh)
        self._server = fresh

    def trust(self) -> ssl.SSLContext:
        """What a client needs to believe our certificates."""
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        return context

    @contextlib.asynccontextmanager
    async def on(self) -> AsyncIterator[TlsFront]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"mqtts://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await writer.start_tls(self._server)
            back, forth = await asyncio.open_connection("127.0.0.1", self._port)
            self._writers |= {writer, forth}
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pump(reader, forth), name="tls-up")
                tasks.create_task(_pump(back, writer), name="tls-down")
        writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()
