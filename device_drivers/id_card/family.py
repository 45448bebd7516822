"""What readers of identity cards say of themselves. Their bytes name persons: no tool shows or keeps them."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.family import Family
from device_drivers.id_card.codec import MAX_FRAME_BYTES, READER_FAULTS, Command
from device_drivers.id_card.driver import module_status
from device_drivers.id_card.watch import AnswerSeen, AnswerWatcher, CommandSeen, CommandWatcher
from device_drivers.settings import Settings

_COMMANDS = {command.value: command.name.lower().replace("_", " ") for command in Command}
_STATUSES = {
    **READER_FAULTS,
    0x90: "done",
    0x9F: "a card lies there",
    0x80: "no card",
    0x81: "the card could not be selected",
    0x41: "the card could not be read",
    0x31: "the card did not prove itself",
    0x32: "the card did not prove itself",
    0x91: "the card holds no such content",
}


def describe(frame: CommandSeen | AnswerSeen) -> str:
    """One frame in words, without its content."""
    if isinstance(frame, CommandSeen):
        return _COMMANDS.get(frame.command, f"unknown command {frame.command.hex(' ').upper()}")
    said = _STATUSES.get(frame.status, f"unknown status {frame.status:02X}")
    return f"{said}, {frame.data_bytes} bytes" if frame.data_bytes else said


def acts(frame: CommandSeen | AnswerSeen) -> bool:
    """True of commands that make a card tell of its owner: nobody looks at a person to try out a cable."""
    return isinstance(frame, CommandSeen) and frame.command not in _HARMLESS


_HARMLESS = {command.value for command in (Command.FIND, Command.SAM_STATUS, Command.SAM_ID)}


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """Ask the security module how it is; it has no address, and no card is looked at."""
    del address, settings
    return f"ID-card reader: the security module says {_STATUSES.get(await module_status(bus), 'something unknown')}"


FAMILY = Family(
    name="id_card",
    title="Resident identity card readers (SAM)",
    title_zh="居民身份证阅读器（SAM）",
    from_host=CommandWatcher,
    from_device=AnswerWatcher,
    describe=describe,
    acts=acts,
    most_buffered=MAX_FRAME_BYTES,
    simulator="simulators.hardware.id_card:on_bench",
    baud=115200,
    personal=True,
    probe=probe,
    settings={"strict_birthday": "true: adult from the day after the 18th birthday"},
)
