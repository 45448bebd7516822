"""What scanners say of themselves. A code may name a member: no tool shows or keeps their bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from device_drivers.bus import Bus
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.exchange import Exchange, NoReplyError, Priority
from device_drivers.family import Family
from device_drivers.scanner import gm65, honeywell, newland
from device_drivers.scanner.stream import MOST_BUFFERED, HostFrame, Reply, TalkDecoder, command_finder
from device_drivers.settings import Settings, one_of

PROBE_S = 0.3
_DIALECTS = ("plain", "gm65", "honeywell", "newland")
_GM65_TYPES = {
    gm65.TYPE_READ: "read",
    gm65.TYPE_WRITE: "write",
    gm65.TYPE_SAVE: "save",
    gm65.TYPE_HEARTBEAT: "heartbeat",
}


def describe(frame: HostFrame | Reply | str) -> str:
    """One frame in words; of a code its length alone."""
    match frame:
        case str():
            return f"a code of {len(frame)} characters"
        case gm65.Command():
            return f"GM65 {_GM65_TYPES[frame.kind]} zone {frame.zone:#06x}, {frame.data.hex(' ')}"
        case gm65.Reply():
            return f"GM65 {frame.kind} reply: status {frame.status:#04x}, {len(frame.data)} bytes"
        case honeywell.Command():
            return f"trigger {'on' if frame.on else 'off'}"
        case newland.ShortTrigger():
            return "trigger once"
        case newland.Command():
            return f"Newland {frame.name} {frame.value}{', kept' if frame.kept else ''}"
        case newland.Reply():
            return f"Newland {frame.name}: {frame.status}"


def acts(frame: HostFrame | Reply | str) -> bool:
    """True of commands that change settings: a scanner may be deaf afterwards. Looking for a code changes nothing."""
    match frame:
        case gm65.Command():
            writes = frame.kind in (gm65.TYPE_WRITE, gm65.TYPE_SAVE)
            return writes and (frame.kind, frame.zone) != (gm65.TYPE_WRITE, gm65.ZONE_TRIGGER)
        case newland.Command():
            return frame.name != newland.TRIGGER and frame.value != newland.ASK
        case _:
            return False


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """Ask for a sign of life, as GM65, then as Newland, or as the dialect that is said; a scanner has no address."""
    del address
    dialect = one_of(settings, "dialect", _DIALECTS, "")
    questions = {"gm65": gm65.heartbeat(), "newland": newland.ask_mode().to_bytes()}
    if dialect and dialect not in questions:
        raise MisconfiguredError(f"dialect: {dialect} has no question; such a scanner only speaks when it reads a code")
    for question in [questions[dialect]] if dialect else questions.values():
        exchange = Exchange(
            priority=Priority.STATUS, encode=partial(bytes, question), feed=_ear(bus), timeout_s=PROBE_S
        )
        try:
            return await bus.request(exchange)
        except NoReplyError:
            continue
    raise UnavailableError("no GM65 or Newland scanner answers; any other only speaks when it reads a code")


def _ear(bus: Bus) -> Callable[[bytes], str | None]:
    """Names the maker of whoever answers anything."""
    decoder = TalkDecoder(bus.fault)

    def feed(data: bytes) -> str | None:
        for item in decoder.feed(data):
            if isinstance(item, gm65.Reply):
                return "scanner of the GM65 family: it lives"
            if isinstance(item, newland.Reply):
                return "scanner with Newland's unified commands: it lives"
        return None

    return feed


FAMILY = Family(
    name="scanner",
    title="Code scanners (GM65, Honeywell, Newland, keyboards, pipes)",
    title_zh="扫码器（GM65、霍尼韦尔、新大陆、键盘式、管道）",
    from_host=command_finder,
    from_device=TalkDecoder,
    describe=describe,
    acts=acts,
    most_buffered=MOST_BUFFERED,
    simulator="simulators.hardware.scanner:on_bench",
    personal=True,
    probe=probe,
    settings={"dialect": "plain (usual), gm65, honeywell or newland: whose commands and replies there are"},
)
