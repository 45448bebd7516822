"""A simulated MDB adapter at the end of a line in memory, and a bus on it that acknowledges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from device_drivers.bus import Bus
from device_drivers.mdb import MdbLine, acknowledging
from device_drivers.mdb.words import Coding
from simulators.conformance.lines import Line, perfect
from simulators.conformance.memory_link import MemoryLink
from simulators.hardware.mdb import MdbAdapter, Peripheral


class AdapterPeer:
    """`lose` is asked of each block of the host, and of its reply: True and it is gone."""

    def __init__(self, adapter: MdbAdapter) -> None:
        self.adapter = adapter
        self.lose: Callable[[bytes, bool], bool] = lambda _block, _is_reply: False
        self.spoil: Callable[[bytes], bytes] = lambda reply: reply

    def receive(self, data: bytes) -> bytes:
        now_s = asyncio.get_running_loop().time()
        said = b""
        for block in self.adapter.split(data, now_s):
            if self.lose(block, False):
                continue
            reply = self.adapter.answer(block, now_s)
            if reply and not self.lose(block, True):
                said += self.spoil(reply)
        return said


class Bench:
    def __init__(self, link: MemoryLink, peer: AdapterPeer, line: MdbLine, faults: list) -> None:
        self.link, self.peer, self.line, self.faults = link, peer, line, faults

    def sent(self, start: bytes) -> int:
        """How many blocks were written that begin so (in words)."""
        return sum(frame.startswith(start) for frame in self.link.frames)


@asynccontextmanager
async def bench(
    peripherals: dict[int, Peripheral],
    *,
    line: Line = perfect,
    seed: int = 0,
    coding: Coding = "words",
    acknowledge: bool = True,
) -> AsyncIterator[Bench]:
    peer = AdapterPeer(MdbAdapter(peripherals, coding=coding, acknowledges=False))
    link = MemoryLink(peer, line=line, seed=seed)
    faults: list = []

    async def plain() -> MemoryLink:
        return link

    opened = acknowledging(plain, coding=coding) if acknowledge else plain
    bus = Bus(name="mdb", open_link=opened, on_fault=lambda kind, detail: faults.append((kind, detail)))
    owner = asyncio.create_task(bus.run(), name="mdb")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    try:
        yield Bench(link, peer, MdbLine(bus, coding=coding), faults)
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
