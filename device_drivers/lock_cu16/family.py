"""What the KERONG CU16 boards say of themselves."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.family import Family
from device_drivers.lock_cu16 import codec
from device_drivers.lock_cu16.driver import LockBoardCU16
from device_drivers.lock_profile import SETTINGS, Profile
from device_drivers.settings import Settings

_SAYS = {
    codec.STATUS_BUS: "status of all boards",
    codec.PULSE_TIME: "pulse time",
    codec.PULSE_TIME_REPLY: "pulse time reply",
    codec.DELAYED_UNLOCK: "delayed unlock",
}


def describe(frame: codec.Frame) -> str:
    """One frame in words."""
    if isinstance(frame, codec.StatusReply):
        place = f"board {frame.address >> 4}"
        return f"status of {place}: hooks {frame.hooks.hex()} (1: locked), infrared {frame.infrared.hex()}"
    match frame.cmd:
        case codec.STATUS:
            return f"query board {frame.board}"
        case codec.UNLOCK:
            return f"unlock board {frame.board} lock {frame.lock + 1}"
        case codec.UNLOCK_ALL:
            return f"unlock ALL of board {frame.board} (this house never says it)"
        case cmd:
            return f"{_SAYS[cmd]}, address {frame.board << 4 | frame.lock:02X}"


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """Ask for the state of all locks."""
    profile = Profile.of(settings)
    doors = await LockBoardCU16(bus, address=address, profile=profile).status()
    return f"KERONG CU16 board {address}: lock 1 is {doors[1].value} (feedback_polarity = {profile.feedback_polarity})"


FAMILY = Family(
    name="lock_cu16",
    title="KERONG CU16 lock boards",
    title_zh="KERONG CU16 锁控板",
    from_host=codec.finder,
    from_device=codec.finder,
    describe=describe,
    acts=lambda frame: isinstance(frame, codec.Command) and frame.cmd in codec.ACTS,
    most_buffered=codec.LONGEST - 1,
    simulator="simulators.hardware.lock_cu16:LineCU16",
    baud=19200,
    probe=probe,
    settings={
        **SETTINGS,
        "bit_order": "where lock 1 stands in a status: first_lsb (usual), first_msb, last_lsb, last_msb",
    },
)
