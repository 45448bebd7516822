"""A small store for the desk's tests, and a backend that answers as it is told."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import msgspec

from edge.desk.messages import Ask, CabinetDesk, CompartmentDesk, DeskState, Goods, Reply, SessionDesk

COLA = Goods(sku="cola", name_zh="可乐", name_en="Cola", price_fen=350, units=8)


def state(*, seconds_left: float | None = None, counters: dict[str, int] | None = None) -> DeskState:
    """One snack cabinet; with `seconds_left`, a session whose countdown runs."""
    session = None
    if seconds_left is not None:
        session = SessionDesk(
            session="s1", compartment="k1", mode="self_service", state="open", seconds_left=seconds_left
        )
    return DeskState(
        store_zh="南山店",
        store_en="Nanshan",
        cabinets=(
            CabinetDesk(
                cabinet="c1",
                name_zh="零食柜",
                name_en="Snacks",
                mode="self_service",
                compartments=(CompartmentDesk(compartment="k1", goods=(COLA,), available=True),),
                session=session,
            ),
        ),
        staff=(),
        counters=counters or {},
    )


class Backend:
    """Remembers every request; answers at once, or when `gate` opens; raises when `broken`."""

    def __init__(self) -> None:
        self.now = state()
        self.asked: list[Ask] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False

    def state(self) -> DeskState:
        return self.now

    async def ask(self, ask: Ask) -> Reply:
        self.asked.append(ask)
        await self.gate.wait()
        if self.broken:
            raise RuntimeError("planted")
        return Reply(id="", ok=True, session="s1")


class RawPage:
    """A page that speaks bytes, so that tests can speak badly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._ids = itertools.count(1)

    @classmethod
    async def connect(cls, path: Path) -> RawPage:
        return cls(*await asyncio.open_unix_connection(str(path), limit=1 << 21))

    async def next(self) -> DeskState | Reply:
        line = await self.reader.readuntil(b"\n")
        return msgspec.json.decode(line, type=DeskState | Reply)

    async def next_reply(self) -> Reply:
        while True:
            message = await self.next()
            if isinstance(message, Reply):
                return message

    def send(self, line: bytes) -> None:
        self.writer.write(line)

    def ask(self, action: str = "cancel", **fields: object) -> str:
        number = f"r{next(self._ids)}"
        self.send(msgspec.json.encode({"type": "ask", "id": number, "action": action, **fields}) + b"\n")
        return number

    async def closed(self) -> None:
        """Return once the server has closed; what is still on the line is thrown away."""
        try:
            while await self.reader.read(1 << 16):
                pass
        except ConnectionError:
            pass

    def close(self) -> None:
        self.writer.transport.abort()


async def until(true: object) -> None:
    """Let the loop turn until `true()`; a real socket needs real turns, not real time."""
    for _ in range(20_000):
        if true():  # type: ignore[operator]  # any callable
            return
        await asyncio.sleep(0)
    raise AssertionError("never became true")
