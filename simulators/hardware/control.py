"""A socket by which a person or a test plays in the simulated store: one JSON object a line, one answer a line."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta

from simulators.hardware.faults import FaultPlan
from simulators.hardware.rig import Rig
from simulators.world import DoorClosedError, DoorLockedError, NotThereError, World

MAX_LINE_BYTES = 8192
MAX_CLIENTS = 16
log = logging.getLogger("zhanggui.simulators")
Name = Annotated[str, Meta(max_length=128)]
Grams = Annotated[float, Meta(ge=-100_000.0, le=100_000.0)]


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line from a client. Each command reads the fields it needs."""

    cmd: Name
    bus: Name = ""
    device: Name = ""  # also the scanner or the card reader
    scanner: Name = ""
    cabinet: Name = ""
    compartment: Name = ""
    shelf: Name = ""
    sku: Name = ""
    member: Name = ""
    visit: Name = ""
    code: Annotated[str, Meta(max_length=1024)] = ""
    number: Annotated[str, Meta(max_length=18)] | None = None
    qty: Annotated[int, Meta(ge=1, le=1000)] = 1
    grams: Grams = 0.0
    to: Literal["open", "closed"] | None = None
    on: bool = True
    drop_p: float = 0.0
    corrupt_p: float = 0.0
    wrong_addr_p: float = 0.0
    delay_ms: float = 0.0


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line to a client."""

    ok: bool
    error: str = ""
    result: dict[str, object] = {}


Result = dict[str, object]
REFUSALS = (NotThereError, DoorClosedError, DoorLockedError, ValueError, OSError)


class Hand:
    """The player: at most one visit a cabinet, begun by arriving or by a scan, ended by leaving or the next scan."""

    def __init__(self, world: World, rig: Rig, members: Mapping[str, str]) -> None:
        self._world = world
        self._rig = rig
        self._members = members
        self._visits: dict[str, str] = {}
        self._scanned: set[str] = set()
        self._count = 0

    def arrive(self, cabinet: str, member: str) -> str:
        """A new visit of the player; an old one at that cabinet ends."""
        self.leave(cabinet)
        self._count += 1
        visit = f"hand-{self._count}"
        self._world.arrive(visit, cabinet, member)
        self._visits[cabinet] = visit
        return visit

    def leave(self, cabinet: str) -> None:
        """The player walks away from a cabinet; nothing if they are not there."""
        if (visit := self._visits.pop(cabinet, None)) is not None:
            self._world.leave(visit)

    def leave_all(self) -> None:
        """The player goes home."""
        for cabinet in list(self._visits):
            self.leave(cabinet)

    def at(self, cabinet: str) -> str:
        """The player's visit at a cabinet, or ''."""
        return self._visits.get(cabinet, "")

    def scan(self, scanner: str, code: str) -> tuple[str, bool]:
        """Show a code; whose it is, is looked up among the known members."""
        cabinet = self._rig.cabinet_at(scanner)
        member = self._members.get(code, "")
        visit = self.at(cabinet)
        if not visit or visit in self._scanned:
            visit = self.arrive(cabinet, member)
        self._scanned.add(visit)
        return visit, self._rig.scan(scanner, code, visit=visit, member=member)


class Control:
    """Carries out orders, and serves them on a Unix socket."""

    def __init__(self, world: World, rig: Rig, hand: Hand, *, stop: Callable[[], None]) -> None:
        self._world = world
        self._rig = rig
        self._hand = hand
        self._stop = stop
        self._clients: set[asyncio.StreamWriter] = set()
        self.counters: Counter[str] = Counter()
        self._commands: dict[str, Callable[[Order], Result | None]] = {
            "unplug": lambda o: rig.unplug(o.bus),
            "replug": lambda o: rig.replug(o.bus),
            "faults": self._faults,
            "reboot": lambda o: rig.reboot(o.device),
            "stuck": self._stuck,
            "force_door": lambda o: world.force(o.compartment, self._visit(o)),
            "open": lambda o: world.open(o.compartment, self._visit(o)),
            "close": lambda o: world.close(o.compartment, self._visit(o)),
            "take": lambda o: world.take(o.shelf, o.sku, o.qty, self._visit(o)),
            "put_back": lambda o: world.put_back(o.shelf, o.sku, o.qty, self._visit(o)),
            "stock": lambda o: world.stock(o.shelf, o.sku, o.qty, self._visit(o)),
            "foreign": lambda o: world.foreign(o.shelf, o.grams, self._visit(o)),
            "lean": lambda o: world.lean(o.shelf, o.grams),
            "card": self._card,
            "scan": self._scan,
            "arrive": lambda o: {"visit": hand.arrive(o.cabinet, o.member)},
            "leave": lambda o: hand.leave(o.cabinet),
            "stop": lambda _: stop(),
            "status": lambda _: self.status(),
        }

    def carry_out(self, line: bytes) -> Answer:
        """The answer to one line; a bad order is refused with its reason and changes nothing."""
        try:
            order = msgspec.json.decode(line, type=Order)
            command = self._commands.get(order.cmd)
            if command is None:
                raise NotThereError(
                    f"no command is called {order.cmd!r}; there is: {', '.join(sorted(self._commands))}"
                )
            result = command(order)
        except (msgspec.MsgspecError, *REFUSALS) as error:
            self.counters["refused"] += 1
            return Answer(ok=False, error=str(error))
        self.counters["orders"] += 1
        return Answer(ok=True, result=result or {})

    def status(self) -> Result:
        """Doors, goods, ports, visits and every counter, as plain values."""
        world = self._world
        return {
            "doors": {
                door.name: "open" if door.is_open else "free" if world.is_free(door.name) else "locked"
                for door in world.doors.values()
            },
            "shelves": {
                shelf.name: {"units": dict(shelf.units()), "true_g": round(shelf.true_g, 2)}
                for shelf in world.shelves.values()
            },
            "ports": {bus: port.plugged for bus, port in self._rig.ports.items()},
            "visits": dict(world.visits),
            "counters": self._rig.counters() | dict(self.counters),
        }

    # -------------------------------------------------------------- the socket

    async def serve(self, path: Path) -> None:
        """Serve orders at `path` until cancelled; a socket left by a dead process is replaced."""
        _clear(path)
        server = await asyncio.start_unix_server(self._client, path, limit=MAX_LINE_BYTES)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            for client in list(self._clients):
                client.close()
            _clear(path)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            self.counters["clients_refused"] += 1
            writer.close()
            return
        self._clients.add(writer)
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(self.carry_out(line)) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # gone, or a line beyond the limit
            self.counters["clients_lost"] += 1
        finally:
            self._clients.discard(writer)
            writer.close()

    # -------------------------------------------------------------- orders with a body

    def _visit(self, order: Order) -> str:
        if order.visit:
            if order.visit not in self._world.visits:
                raise NotThereError(f"no visit is called {order.visit!r}")
            return order.visit
        compartment = order.compartment or self._world.shelf(order.shelf).compartment
        return self._hand.at(self._world.cabinet_of.get(compartment, ""))

    def _faults(self, order: Order) -> None:
        plan = FaultPlan(order.drop_p, order.corrupt_p, order.wrong_addr_p, order.delay_ms)
        self._rig.set_faults(order.bus, plan)

    def _stuck(self, order: Order) -> None:
        if order.shelf:
            self._rig.stick_scale(order.shelf, order.on)
        else:
            self._rig.stick_door(order.compartment, order.to)

    def _card(self, order: Order) -> None:
        visit = self._hand.at(self._rig.cabinet_at(order.device))
        self._rig.lay_card(order.device, order.number, visit=visit)

    def _scan(self, order: Order) -> Result:
        visit, heard = self._hand.scan(order.scanner or order.device, order.code)
        return {"visit": visit, "heard": heard}


def _clear(path: Path) -> None:
    if path.is_socket():
        path.unlink()


class SimRefusedError(Exception):
    """The simulated store refused an order; the message is its reason."""


class SimControl:
    """Client of the control socket. `async with SimControl(path) as sim: await sim.call("open", compartment="a1")`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_unix_connection(self._path, limit=1 << 20)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._writer is not None
        self._writer.close()

    async def call(self, cmd: str, **fields: str | float | bool | None) -> Result:
        """Send one order and return its result. Raises SimRefusedError; ConnectionError if the store is gone."""
        assert self._reader is not None
        assert self._writer is not None
        async with self._turn:
            self._writer.write(msgspec.json.encode({"cmd": cmd, **fields}) + b"\n")
            await self._writer.drain()
            line = await self._reader.readline()
        if not line:
            raise ConnectionError("the simulated store is gone")
        answer = msgspec.json.decode(line, type=Answer)
        if not answer.ok:
            raise SimRefusedError(answer.error)
        return answer.result
