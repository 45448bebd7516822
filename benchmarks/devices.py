"""What the device bus costs: questions a second against bare serial and pymodbus, an unlock between polls, a day.

The devices are at the far end of real pseudo-terminals, in a process of their own. The limit beside the questions is
the least that asks over a serial port without blocking: a descriptor in the event loop and a future.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from random import Random

import serial

from benchmarks.stand import BenchmarkError, options, run
from benchmarks.table import Figure, percentile, show
from device_drivers.bus import Bus
from device_drivers.capabilities import Door
from device_drivers.exchange import Link
from device_drivers.lock_8a import LockBoard8A
from device_drivers.modbus_rtu.pdu import READ_HOLDING, Read
from device_drivers.modbus_rtu.station import Station
from device_drivers.serial_link import open_serial
from simulators.conformance.memory_link import DevicePeer
from simulators.conformance.suite import DriverCase, check_day
from simulators.hardware.bench import bench_device
from simulators.lifeline import ends_with_us

QUESTION, REPLY_BYTES = bytes.fromhex("010300500002C41A"), 9
BAUD = 9600
OPEN = 0x8A  # a frame that opens, of the family that is asked here
FRAME_S = 10 * 5 / BAUD  # five bytes of ten bits
GAP_S = 0.005  # the bus's own silence between frames
OURS_MS = 2.0
BOARDS = 16
PAUSE_S = (0.03, 0.06)  # at any moment of a poll; no board is asked again before its hold-off is over
BUSES, DEVICES_A_BUS, POLL_S = 8, 8, 0.5
WIRE_BAUD = 115_200  # of the line that the questions are asked over; a pseudo-terminal itself takes no time
WIRE_MS = 1000 * 10 * (len(QUESTION) + REPLY_BYTES) / WIRE_BAUD
RAW, BLOCKING, PYMODBUS = "raw asynchronous serial", "blocking pyserial", "pymodbus"
Ask = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Asked:
    """One contender: questions a second of each round, and the seconds of every question."""

    rates: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)


@contextlib.contextmanager
def far(ports: int, reply_after_ms: float = 0.0) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """The far end of so many lines: their folder, and the process."""
    with tempfile.TemporaryDirectory(prefix="zhanggui-lines-") as name:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.devices_far", name, str(ports), str(reply_after_ms)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=ends_with_us(),  # noqa: PLW1509  # one call of libc
        )
        assert process.stdout is not None
        if "ready" not in process.stdout.readline():
            raise BenchmarkError("the far end did not start")
        try:
            yield Path(name), process
        finally:
            process.kill()
            process.wait()


class Noted:
    """A port that notes when its bus last got bytes and when it handed a frame that opens to the system."""

    def __init__(self) -> None:
        self.heard_ns = self.opened_ns = self.free_ns = 0

    def around(self, link: Link) -> Link:
        """The same port, with notes."""
        self._link = link
        return self

    @property
    def dropped_bytes(self) -> int:
        """See `Link`."""
        return self._link.dropped_bytes

    async def read(self) -> bytes:
        """See `Link`."""
        data = await self._link.read()
        self.heard_ns = time.monotonic_ns()
        return data

    def flush(self) -> bytes:
        """See `Link`."""
        return self._link.flush()

    def write(self, data: bytes) -> None:
        """See `Link`."""
        self._link.write(data)
        if data[0] == OPEN:
            self.free_ns, self.opened_ns = self.heard_ns, time.monotonic_ns()

    def close(self) -> None:
        """See `Link`."""
        self._link.close()


@contextlib.asynccontextmanager
async def bus_at(path: Path, gap_s: float = GAP_S, noted: Noted | None = None) -> AsyncIterator[Bus]:
    """The product's bus on a port."""

    async def open_link() -> Link:
        link = await open_serial(str(path), BAUD)
        return noted.around(link) if noted else link

    bus = Bus(name=path.name, open_link=open_link, on_fault=_deaf, gap_s=gap_s)
    owner = asyncio.create_task(bus.run(), name=path.name)
    await asyncio.sleep(0.05)
    try:
        yield bus
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)


def _deaf(_kind: object, _detail: str) -> None:
    """A clean line has nothing to tell."""


# ------------------------------------------------------------------ questions a second


async def timed(ask: Ask, count: int, found: Asked) -> None:
    """Ask one question after the other."""
    began_s = time.perf_counter()
    for _ in range(count):
        asked_s = time.perf_counter()
        await ask()
        found.took_s.append(time.perf_counter() - asked_s)
    found.rates.append(count / (time.perf_counter() - began_s))


@contextlib.asynccontextmanager
async def raw(path: Path) -> AsyncIterator[Ask]:
    """The least: write, and a future that the ninth byte resolves."""
    loop = asyncio.get_running_loop()
    with contextlib.closing(serial.Serial(str(path), BAUD, timeout=0)) as port:
        heard, waiting = bytearray(), list[asyncio.Future[bytes]]()

        def readable() -> None:
            heard.extend(os.read(port.fileno(), 4096))
            if len(heard) >= REPLY_BYTES:
                waiting.pop().set_result(bytes(heard))
                heard.clear()

        async def ask() -> bytes:
            done: asyncio.Future[bytes] = loop.create_future()
            waiting.append(done)
            os.write(port.fileno(), QUESTION)
            return await done

        loop.add_reader(port.fileno(), readable)
        yield ask
        loop.remove_reader(port.fileno())


@contextlib.asynccontextmanager
async def blocking(path: Path) -> AsyncIterator[Ask]:
    """pyserial as most programs use it; nothing else can run meanwhile."""
    with contextlib.closing(serial.Serial(str(path), BAUD, timeout=1)) as port:

        async def ask() -> bytes:
            port.write(QUESTION)
            data: bytes = port.read(REPLY_BYTES)
            return data

        yield ask


@contextlib.asynccontextmanager
async def ours(path: Path) -> AsyncIterator[Ask]:
    """Our bus with the Modbus of our drivers, without a silence between frames: the others keep none either."""
    async with bus_at(path, gap_s=0.0) as bus:
        station, request = Station(bus, address=1), Read(READ_HOLDING, 80, 2)
        yield lambda: station.read(request)


@contextlib.asynccontextmanager
async def theirs(path: Path) -> AsyncIterator[Ask]:
    """pymodbus's asynchronous client."""
    from pymodbus.client import AsyncModbusSerialClient  # noqa: PLC0415  # an extra

    client = AsyncModbusSerialClient(str(path), baudrate=BAUD, timeout=1)
    if not await client.connect():
        raise BenchmarkError("pymodbus does not open the port")
    try:
        yield lambda: client.read_holding_registers(80, count=2, device_id=1)
    finally:
        client.close()


async def questions(count: int, rounds: int, wire_ms: float) -> dict[str, Asked]:
    """Every contender, in turns, over a line that takes so long for a question and its answer."""
    contenders = {RAW: raw, "ours": ours, BLOCKING: blocking}
    if find_spec("pymodbus") is not None:
        contenders[PYMODBUS] = theirs
    found = {name: Asked() for name in contenders}
    with far(1, wire_ms) as (folder, _):
        for _ in range(rounds):
            for name, contender in contenders.items():
                async with contender(folder / "line-0") as ask:
                    await timed(ask, max(10, count // 20), Asked())  # warm
                    await timed(ask, count, found[name])
    return found


# ------------------------------------------------------------------ an unlock between polls


@dataclass(slots=True)
class Unlocks:
    """Milliseconds: from the call to the frame at its board; what of them the line was free and the bus not done; from
    the system, which had the frame, to the board; and what a bare timer of the gap's length is late meanwhile."""

    whole_ms: list[float] = field(default_factory=list)
    ours_ms: list[float] = field(default_factory=list)
    system_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)


async def unlocks(count: int) -> Unlocks:
    """Open now and then, while every board of a full line is asked as fast as the line allows."""
    found, noted, gap_ns, rng = Unlocks(), Noted(), int(GAP_S * 1e9), Random(1)
    with far(1, reply_after_ms=2 * FRAME_S * 1000) as (folder, process):
        async with bus_at(folder / "line-0", noted=noted) as bus:
            boards = [LockBoard8A(bus, address=n, feedback_polarity="locked_short") for n in range(1, BOARDS + 1)]

            async def poll(board: LockBoard8A) -> None:
                while True:
                    await board.door(1)

            async with asyncio.TaskGroup() as tasks:
                polls = [tasks.create_task(poll(board), name="poll") for board in boards]
                await asyncio.sleep(0.3)
                for number in range(count):
                    await asyncio.sleep(rng.uniform(*PAUSE_S))
                    began_ns = time.monotonic_ns()
                    await asyncio.sleep(GAP_S)
                    found.late_ms.append((time.monotonic_ns() - began_ns - gap_ns) / 1e6)
                    called_ns = time.monotonic_ns()
                    await boards[number % BOARDS].unlock(2, lambda: True)
                    told = await asyncio.to_thread(process.stdout.readline)  # type: ignore[union-attr]  # it is a pipe
                    came_ns = json.loads(told)["came_ns"]
                    found.whole_ms.append((came_ns - called_ns) / 1e6)
                    found.ours_ms.append((noted.opened_ns - max(called_ns, noted.free_ns + gap_ns)) / 1e6)
                    found.system_ms.append((came_ns - noted.opened_ns) / 1e6)
                for task in polls:
                    task.cancel()
    return found


# ------------------------------------------------------------------ many devices


async def many(seconds: float) -> float:
    """The share of one core that eight buses with eight polled boards each take."""
    with far(BUSES, reply_after_ms=2 * FRAME_S * 1000) as (folder, _):
        async with contextlib.AsyncExitStack() as stack:
            buses = [await stack.enter_async_context(bus_at(folder / f"line-{n}")) for n in range(BUSES)]

            async def poll(bus: Bus, address: int) -> None:
                board = LockBoard8A(bus, address=address, feedback_polarity="locked_short")
                while True:
                    await board.door(1)
                    await asyncio.sleep(POLL_S)

            async with asyncio.TaskGroup() as tasks:
                polls = [
                    tasks.create_task(poll(bus, address), name="poll")
                    for bus in buses
                    for address in range(1, DEVICES_A_BUS + 1)
                ]
                await asyncio.sleep(1.0)
                before_s, began_s = _processor_s(), time.perf_counter()
                await asyncio.sleep(seconds)
                share = (_processor_s() - before_s) / (time.perf_counter() - began_s)
                for task in polls:
                    task.cancel()
    return share


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# ------------------------------------------------------------------ a day


@dataclass(slots=True)
class Day:
    """What a day of virtual time left behind."""

    wrong: str
    descriptors: int
    kib: float


def a_day() -> Day:
    """Twice: the second day tells what grows."""
    case = DriverCase(
        name="lock_8a: a day",
        device=lambda: DevicePeer(bench_device("lock_8a")),
        drive=lambda bus, echo: partial(
            LockBoard8A(bus, address=1, feedback_polarity="locked_short", echo=echo).door, 3
        ),
        expected=Door.CLOSED,
    )
    wrong = check_day(case)
    tracemalloc.start()
    before, files = tracemalloc.get_traced_memory()[0], _descriptors()
    wrong = wrong or check_day(case)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return Day(wrong, _descriptors() - files, grown / 1024)


# ------------------------------------------------------------------ the table


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _against(asked: dict[str, Asked], what: str, *, aims: bool) -> Iterator[Figure]:
    """Our rate against each of the others, as medians of the ratios that each round gave."""
    mine = asked["ours"]
    rate = statistics.median(mine.rates)
    for name, least in ((RAW, 0.8), (PYMODBUS, 1.0), (BLOCKING, None)):
        if name not in asked:
            yield Figure(f"{name}: not installed: pip install pymodbus", 0, "")
            continue
        ratio = statistics.median(a / b for a, b in zip(mine.rates, asked[name].rates, strict=True))
        row = Figure(what, rate, "1/s", ratio, name)
        yield row.aims_at(f"ratio ≥ {least}", met=ratio >= least) if aims and least is not None else row


def figures(asked: dict[str, Asked], bare: dict[str, Asked], opened: Unlocks, share: float, day: Day) -> list[Figure]:
    """All rows."""
    rows = list(_against(asked, f"questions and answers on one bus of {WIRE_BAUD:,} baud", aims=True))
    for name, one in asked.items():
        rows.append(Figure(f"   {name}: p99", 1e6 * percentile(one.took_s, 0.99), "µs"))
    rows += _against(bare, "the same on a line that takes no time", aims=False)
    whole, own, late = (percentile(ms, 0.99) for ms in (opened.whole_ms, opened.ours_ms, opened.late_ms))
    border_ms = (2 * FRAME_S + GAP_S) * 1000  # the question that is on the line, its answer, and the silence
    rows.append(
        Figure(
            f"unlock while {BOARDS} boards are polled, p99", whole, "ms", whole / border_ms, "the frames on the line"
        )
    )
    rows.append(Figure("   of it ours: line free → frame handed over, p50", percentile(opened.ours_ms, 0.5), "ms"))
    ours_p99 = Figure("   the same, p99", own, "ms", own / late, f"a bare timer of {GAP_S * 1000:g} ms, late by")
    rows.append(ours_p99.aims_at(f"≤ {OURS_MS:g} ms", met=own <= OURS_MS))
    rows.append(
        Figure("   of it the system's: handed over → at the board, p99", percentile(opened.system_ms, 0.99), "ms")
    )
    total = BUSES * DEVICES_A_BUS
    rows.append(
        Figure(f"{total} devices on {BUSES} buses, each asked twice a second", share * 100, "% of a core").aims_at(
            "< 10 %", met=share < 0.1
        )
    )
    rows.append(Figure("a day of virtual time, 24 unplugs: descriptors left", day.descriptors, ""))
    rows.append(Figure("   memory grown over the second day", day.kib, "KiB"))
    return rows


def main() -> int:
    """Measure and print; 1 if a day left something behind."""
    parser = options("devices", __doc__, "--questions 4000 --rounds 5")
    parser.add_argument("--questions", type=int, default=4000, help="of each contender in each round")
    parser.add_argument("--rounds", type=int, default=5, help="medians are taken over so many")
    parser.add_argument("--unlocks", type=int, default=300, help="doors that are opened between polls")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the many devices are polled")
    asked = parser.parse_args()
    if asked.quick:
        asked.questions, asked.rounds, asked.unlocks, asked.seconds = 100, 1, 10, 1.0
    try:
        found = asyncio.run(questions(asked.questions, asked.rounds, WIRE_MS))
        bare = asyncio.run(questions(asked.questions, asked.rounds, 0.0))
        opened = asyncio.run(unlocks(asked.unlocks))
        share = asyncio.run(many(asked.seconds))
        day = a_day()
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    show(
        f"devices: {asked.questions} questions, {asked.rounds} rounds, medians",
        figures(found, bare, opened, share, day),
        as_json=asked.json,
    )
    if day.wrong:
        print(day.wrong, file=sys.stderr)
    return 1 if day.wrong or day.descriptors else 0


if __name__ == "__main__":
    run(main)
