"""A simulated LLRP reader on a TCP port: one client at a time, as readers have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from simulators.hardware.llrp import TAKEN, LlrpConversation
from simulators.hardware.rfid_field import Field

TICK_S = 0.02


class LlrpServer:
    """`conversation` is that of the client who is connected now; `mute`: the reader hangs and says nothing."""

    def __init__(self, fields: Mapping[int, Field]) -> None:
        self.fields = dict(fields)
        self.conversation: LlrpConversation | None = None
        self.port = 0
        self.mute = False
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[LlrpServer]:
        """Listen on a free port of this machine."""
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.hang_up()
            await server.wait_closed()

    def hang_up(self) -> None:
        """The network cable is out: every connection is gone."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        talk = LlrpConversation(self.fields, loop.time())
        self._writers.add(writer)
        try:
            if self.conversation is not None:
                writer.write(talk.greeting(TAKEN))
                await writer.drain()
                return
            self.conversation = talk
            writer.write(talk.greeting())
            while not talk.closed:
                try:
                    async with asyncio.timeout(TICK_S):
                        data = await reader.read(4096)
                except TimeoutError:
                    said = talk.tick(loop.time())
                else:
                    if not data:
                        return
                    said = talk.receive(data, loop.time()) + talk.tick(loop.time())
                if not self.mute:
                    writer.write(said)
                    await writer.drain()
        except ConnectionError:
            return
        finally:
            if self.conversation is talk:
                self.conversation = None
            self._writers.discard(writer)
            writer.close()
