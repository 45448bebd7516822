"""What every driver and every codec must hold, written once: cases go in, a sentence of what broke comes out.

A driver asks its device one harmless question, often, over every kind of line. Over a true line each answer is right;
over any other an answer is right or there is none (a DeviceError), and some do come. A codec takes any bytes, cut
anywhere, holds no more than its cap, and finds the same frames however they were cut.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from device_drivers.bus import Bus
from device_drivers.errors import DeviceError, UnavailableError
from device_drivers.family import Decoder
from device_drivers.faults import OnFault
from simulators.conformance.lines import ECHOING, TRUE, Line
from simulators.conformance.memory_link import MemoryLink, Peer, bus_on
from simulators.conformance.virtual_time import VirtualLoop

ASKED = 40
AGAIN_S = 0.1
PAUSE_S = 1.0  # after a question without an answer, as a poll has it

Ask = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverCase:
    """One driver and the device it speaks with. `drive` makes the driver on a bus (told whether the line echoes) and
    returns its harmless question; `expected` is what the device of `device()` truly is. `avoid` are lines that the
    family cannot stand, each with the reason (a protocol without any check sum believes noise). `quiet_s`: how long its
    driver asks nothing after a cable was out, for safety's sake."""

    name: str
    device: Callable[[], Peer]
    drive: Callable[[Bus, bool], Ask]
    expected: object
    least_answers: int = 10
    avoid: tuple[tuple[Line, str], ...] = ()
    quiet_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecCase:
    """One decoder: how it is made, the bytes of some whole frames, and the most it may hold back."""

    name: str
    decoder: Callable[[OnFault], Decoder[Any]]
    frames: Sequence[bytes]
    most_buffered: int


def check_driver(case: DriverCase, line: Line, seed: int) -> str:
    """Ask over `line` in virtual time; "" or what was wrong."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_asked(case, line, seed))


async def _asked(case: DriverCase, line: Line, seed: int) -> str:
    answers = 0
    async with bus_on(MemoryLink(case.device(), line=line, seed=seed)) as bus:
        ask = case.drive(bus, line in ECHOING)
        for number in range(ASKED):
            try:
                answer = await ask()
            except DeviceError as error:
                if line in TRUE:
                    return f"question {number} over a true line: {type(error).__name__}: {error}"
                await asyncio.sleep(PAUSE_S)
                continue
            answers += 1
            if answer != case.expected:
                return f"question {number} was answered {answer!r}, the truth is {case.expected!r}"
    return "" if answers >= case.least_answers else f"{answers} answers to {ASKED} questions"


DAY_S = 24 * 3600.0


def check_day(case: DriverCase) -> str:
    """A day of virtual time, asked every two minutes, the cable out once an hour; "" or what was left behind."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_a_day(case))


async def _a_day(case: DriverCase) -> str:
    device, links = case.device(), list[MemoryLink]()

    async def opened() -> MemoryLink:
        links[:] = [*[link for link in links if not link.closed], MemoryLink(device)]
        return links[-1]

    bus, loop = Bus(name="test", open_link=opened, on_fault=_deaf), asyncio.get_running_loop()
    owner = asyncio.create_task(_keep(bus), name="keeper")
    ask, sizes, ends_s = case.drive(bus, False), list[int](), loop.time() + DAY_S
    try:
        for hour in range(24):
            while loop.time() < ends_s - DAY_S + (hour + 1) * 3600:
                await asyncio.sleep(120)
                try:
                    answer = await ask()
                except DeviceError:
                    continue
                if answer != case.expected:
                    return f"hour {hour}: answered {answer!r}, the truth is {case.expected!r}"
            links[-1].unplug()
            await asyncio.sleep(5)
            links[-1].sent.clear()
            if hour in {1, 23}:  # warm, and at the end
                gc.collect()
                sizes.append(len(gc.get_objects()))
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
    left = sorted(task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task())
    if left or len(links) > 1 or not links[0].closed:
        return f"tasks {left} and {len(links)} links are left"
    grown = sizes[1] - sizes[0]
    return "" if grown < GROWTH_OBJECTS else f"{grown} objects more after a day"


GROWTH_OBJECTS = 50  # caches of the interpreter breathe; a leak of one object a question would be thousands
UNPLUGGED = ("open", "read", "write", "flush", "while it waits", "twice")  # where the cable may go
_MOMENTS_S = (0.0, 0.001, 0.0025, 0.005, 0.02)  # into a question: before the write, before the reply, after it


def check_unplug(case: DriverCase, where: str, seed: int) -> str:
    """Pull the cable in one kind of moment, put it back, and ask on; "" or what was wrong."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_unplugged(case, where, Random(seed)))


async def _unplugged(case: DriverCase, where: str, rng: Random) -> str:
    device, links, closed_ports = case.device(), list[MemoryLink](), {"open": 3, "twice": 0}.get(where, 0)

    async def opened() -> MemoryLink:
        nonlocal closed_ports
        if closed_ports:
            closed_ports -= 1
            raise UnavailableError("the port is not there")
        link = MemoryLink(device)
        if len(links) == 0 and where in {"read", "write", "flush"}:
            link.unplug_on = where  # type: ignore[assignment]  # one of the three
        if len(links) == 1 and where == "twice":
            link.unplug_on = "write"  # again, while it starts
        links.append(link)
        return link

    bus = Bus(name="test", open_link=opened, on_fault=_deaf)

    owner = asyncio.create_task(_keep(bus), name="keeper")
    try:
        await asyncio.sleep(0.01)
        ask = case.drive(bus, False)
        if where in {"while it waits", "twice"}:
            loop = asyncio.get_running_loop()
            loop.call_later(rng.choice(_MOMENTS_S), links[0].unplug)
        wrong = await _until_well(case, ask)
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
    if any(not link.closed for link in links):
        return "a port was not given back"
    if len(asyncio.all_tasks()) > 1:
        return f"tasks are left: {sorted(task.get_name() for task in asyncio.all_tasks())}"
    return wrong or ("" if len(links) > 1 or where == "open" else "the cable was never out")


async def _keep(bus: Bus) -> None:
    while True:
        try:
            await bus.run()
        except UnavailableError:
            await asyncio.sleep(0.2)


async def _until_well(case: DriverCase, ask: Ask) -> str:
    """Ask until three answers in a row are right; no wrong one may come on the way."""
    row = 0
    for _ in range(ASKED + int(2 * case.quiet_s / AGAIN_S)):  # the cable is out twice at most
        try:
            answer = await ask()
        except DeviceError:
            row = 0
            await asyncio.sleep(AGAIN_S)
            continue
        if answer != case.expected:
            return f"answered {answer!r}, the truth is {case.expected!r}"
        row += 1
        if row == 3:
            return ""
    return "never came back"


def check_codec(case: CodecCase, seed: int) -> str:
    """Feed frames cut anywhere, then rubbish of all kinds; "" or what was wrong."""
    rng = Random(seed)
    stream = b"".join(case.frames)
    whole = case.decoder(_deaf).feed(stream)
    if len(whole) != len(case.frames):
        return f"{len(whole)} frames found of {len(case.frames)}"
    cut, found, at = case.decoder(_deaf), [], 0
    while at < len(stream):
        piece = stream[at : at + rng.randint(1, 7)]
        found += cut.feed(piece)
        at += len(piece)
    if found != whole:
        return "cut into pieces, the same bytes gave other frames"
    return _rubbish(case, rng)


def _rubbish(case: CodecCase, rng: Random) -> str:
    decoder = case.decoder(_deaf)
    for _ in range(200):
        frame = rng.choice(case.frames)
        kind = rng.randrange(4)
        data = rng.randbytes(rng.randrange(64)) if kind == 0 else frame[: rng.randrange(len(frame) + 1)]
        if kind == 2:
            data = frame[:1] * rng.randrange(2000)
        elif kind == 3:
            spoilt = bytearray(frame)
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
            data = bytes(spoilt)
        decoder.feed(data)
        if decoder.buffered > case.most_buffered:
            return f"holds {decoder.buffered} bytes, at most {case.most_buffered} are allowed"
    return ""


def _deaf(_kind: object, _detail: str) -> None:
    """Faults are told, and here nobody minds."""
