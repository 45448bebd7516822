"""Looking at a line without a store: who is there, what is said, and a frame by hand that moves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

from device_drivers.bus import Bus
from device_drivers.errors import DeviceError, MisconfiguredError, RefusedError
from device_drivers.exchange import Link
from device_drivers.family import Family
from device_drivers.faults import FaultKind, OnFault
from device_drivers.link_url import LinkUrl, open_link
from device_drivers.settings import Settings
from device_drivers.trace import Direction, TracedLink

SIMULATED = "sim"
NO_SETTINGS: Settings = MappingProxyType({})
Heard = Callable[[Direction, bytes], None]


def _nobody(_direction: Direction, _data: bytes) -> None:
    """Who asks for no trace gets none."""


def _deaf(_kind: FaultKind, _detail: str) -> None:
    """A trace shows faults beside the bytes."""


@asynccontextmanager
async def bus_at(url: LinkUrl, *, heard: Heard = _nobody, on_fault: OnFault = _deaf) -> AsyncIterator[Bus]:
    """A running bus on a link of its own. Raises UnavailableError, MisconfiguredError if it cannot be opened."""
    link = TracedLink(await open_link(url), heard)

    async def opened() -> Link:
        return link

    bus = Bus(name=url.text, open_link=opened, on_fault=on_fault)
    owner = asyncio.create_task(bus.run(), name=f"bus[{url.text}]")
    try:
        await asyncio.sleep(0)  # the owner's first step opens it
        yield bus
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Probed:
    """What was found, in words. `impossible` says why no address could be asked at all, if none could."""

    found: list[str]
    impossible: str = ""


async def probe(
    url: LinkUrl,
    family: Family,
    addresses: Iterable[int],
    *,
    settings: Settings = NO_SETTINGS,
    tell: Callable[[str], None],
) -> Probed:
    """Ask every address the family's harmless question.

    `tell` hears what is asked now. Raises UnavailableError, MisconfiguredError if the link cannot be opened, and
    MisconfiguredError for a setting that the family does not have.
    """
    family.known(settings)
    if family.probe is None:
        raise MisconfiguredError(f"{family.name}: has no harmless question to probe with")
    found: list[str] = []
    impossible: list[str] = []
    asked = 0
    async with bus_at(url) as bus:
        for address in addresses:
            tell(f"{family.name} at address {address}")
            asked += 1
            try:
                found.append(await family.probe(bus, address, settings))
            except MisconfiguredError as error:
                impossible.append(str(error))  # no such address in this family, or a setting that cannot be
            except DeviceError:
                continue  # nobody of this family is there
    return Probed(found, impossible[0] if 0 < asked == len(impossible) else "")


async def listen(url: LinkUrl, *, heard: Heard, seconds: float | None) -> None:
    """Hear what is on the line, for so many real seconds or until cancelled. Raises UnavailableError."""
    link = TracedLink(await open_link(url), heard)
    try:
        async with asyncio.timeout(seconds):
            while True:
                await link.read()
    except TimeoutError:
        return
    finally:
        link.close()


async def ask_again(
    url: LinkUrl,
    family: Family,
    address: int,
    *,
    settings: Settings = NO_SETTINGS,
    heard: Heard,
    every_s: float,
    seconds: float | None,
) -> int:
    """Ask an address its harmless question again and again; how many answers came. Raises MisconfiguredError."""
    family.known(settings)
    if family.probe is None:
        raise MisconfiguredError(f"{family.name}: has no harmless question; leave --ask out and listen")
    answers = 0
    async with bus_at(url, heard=heard) as bus:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        await family.probe(bus, address, settings)
                        answers += 1
                    except MisconfiguredError:
                        raise
                    except DeviceError:
                        pass  # the trace shows what came instead
                    await asyncio.sleep(every_s)
        except TimeoutError:
            return answers


def checked(url: LinkUrl, family: Family | None, data: bytes) -> None:
    """Whether these bytes may be sent by hand. Raises RefusedError, MisconfiguredError.

    To a simulator everything; to a device only whole frames of a named family that move, heat and pay nothing: what
    opens is asked for by a session that the law lets.
    """
    if url.scheme == SIMULATED:
        return
    if family is None:
        raise MisconfiguredError("name the family with --family, so that a frame which acts is known before it is sent")
    wrong: list[str] = []
    decoder = family.from_host(lambda kind, detail: wrong.append(f"{kind}: {detail}"))
    frames = decoder.feed(data)
    if wrong or decoder.buffered or not frames:
        raise RefusedError(f"these bytes are no whole frames of {family.name}" + (f" ({wrong[0]})" if wrong else ""))
    for frame in frames:
        if family.acts(frame):
            raise RefusedError(f"{family.describe(frame)}: this acts, and only a session may ask for it")


async def send(url: LinkUrl, data: bytes, *, heard: Heard, wait_s: float) -> None:
    """Send bytes that `checked` let pass, and hear the line for a while. Raises UnavailableError."""
    link = TracedLink(await open_link(url), heard)
    try:
        link.write(data)
        async with asyncio.timeout(wait_s):
            while True:
                await link.read()
    except TimeoutError:
        return
    finally:
        link.close()
