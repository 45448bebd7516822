"""The simulated receipt printer as a network printer: it reads no faster than it prints."""

from __future__ import annotations

import asyncio
import contextlib

from simulators.hardware.escpos import Printer

READ_BYTES = 256
TICK_S = 0.002


class PrinterServer:
    """Serves one printer on a port of this machine; one host after the other, as such printers do."""

    def __init__(self, printer: Printer) -> None:
        self.printer = printer
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Listen on a port that is free."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=READ_BYTES)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """The printer loses its network."""
        if self._server is not None:
            self._server.close()
        self.hang_up()
        await asyncio.sleep(0)

    def hang_up(self) -> None:
        """Every connection ends now, whatever is on its way."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            async with self._turn:
                await self._talk(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop, printer = asyncio.get_running_loop(), self.printer
        while True:
            data = b""
            if printer.room >= READ_BYTES:  # else the network holds the host up
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        data = await reader.read(READ_BYTES)
                        if not data:
                            return
            else:
                await asyncio.sleep(TICK_S)
            said = b"".join(printer.answer(unit, loop.time()) for unit in printer.split(data, loop.time()))
            said += printer.tick(loop.time())
            if said:
                writer.write(said)
