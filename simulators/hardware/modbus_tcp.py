"""The same devices behind Modbus TCP: `TRANSACTION 0 0 LENGTH UNIT`, then function and data; and a server for them."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Mapping
from random import Random

from simulators.hardware.device import FrameBuffer
from simulators.hardware.faults import Faults
from simulators.hardware.modbus_rtu import bench_units
from simulators.hardware.modbus_unit import NO_TARGET, Unit, answer

HEADER_BYTES = 7
LONGEST = 254  # unit, function and data
READ_BYTES = 4096
MAX_CONNECTIONS = 8


class ModbusTcpLine:
    """One connection. A unit that is not there is answered by the gateway: exception 11."""

    def __init__(self, units: Mapping[int, Unit]) -> None:
        self.units = dict(units)
        self.counters: Counter[str] = Counter()
        self._buffer = FrameBuffer(self.counters)

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        self._buffer.add(data, real_s)
        held = self._buffer.bytes
        frames = []
        while len(held) > HEADER_BYTES:
            protocol, length = struct.unpack_from(">HH", held, 2)
            if protocol or not 2 <= length <= LONGEST:
                self._buffer.skip()
                continue
            if len(held) < 6 + length:
                break
            frames.append(self._buffer.cut(6 + length))
        return frames

    def answer(self, frame: bytes, real_s: float) -> bytes:  # noqa: ARG002  # these devices have no real time
        address, said = frame[6], frame[HEADER_BYTES:]
        unit = self.units.get(address)
        if unit is None:
            self.counters["foreign_address"] += 1
            reply = bytes((said[0] | 0x80, NO_TARGET))
        else:
            reply = answer(unit, address, said, self.counters)
        return frame[:4] + struct.pack(">HB", 1 + len(reply), address) + reply

    def disguise(self, reply: bytes) -> bytes:
        return reply[:6] + bytes((reply[6] % 247 + 1,)) + reply[HEADER_BYTES:]


class ModbusTcpServer:
    """Devices on a TCP port. `faults` spoils the replies, as on a line."""

    def __init__(self, units: Mapping[int, Unit], faults: Faults | None = None) -> None:
        self.units = dict(units)
        self.counters: Counter[str] = Counter()
        self._faults = faults or Faults(rng=Random(0))
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; the port."""
        self._server = await asyncio.start_server(self._serve, host, port)
        where: tuple[str, int] = self._server.sockets[0].getsockname()
        return where[1]

    def hang_up(self) -> None:
        """Every connection is lost; the port stays open."""
        for writer in list(self._writers):
            writer.close()

    async def close(self) -> None:
        """Give the port back, and wait until every connection has ended."""
        if self._server is not None:
            self._server.close()
        self.hang_up()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) >= MAX_CONNECTIONS:
            self.counters["connections_refused"] += 1
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self._writers.add(writer)
        line, loop = ModbusTcpLine(self.units), asyncio.get_running_loop()
        try:
            while data := await reader.read(READ_BYTES):
                for frame in line.split(data, loop.time()):
                    await self._reply(line, frame, writer)
        except ConnectionError:
            self.counters["connections_lost"] += 1
        finally:
            self.counters.update(line.counters)
            self._writers.discard(writer)
            writer.close()

    async def _reply(self, line: ModbusTcpLine, frame: bytes, writer: asyncio.StreamWriter) -> None:
        faults = self._faults
        lost = faults.loses()
        reply = b"" if lost == "request" else line.answer(frame, 0.0)
        if not reply or lost == "reply":
            return
        if faults.misaddresses():
            reply = line.disguise(reply)
        await asyncio.sleep(faults.delay_s())
        writer.write(faults.corrupted(reply))
        await writer.drain()


def on_bench() -> ModbusTcpLine:
    """The bench's devices behind one connection."""
    return ModbusTcpLine(bench_units())
