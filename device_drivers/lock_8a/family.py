"""What the 8A/80 boards say of themselves."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.family import Family
from device_drivers.lock_8a import codec
from device_drivers.lock_8a.driver import LockBoard8A
from device_drivers.lock_profile import SETTINGS, Profile
from device_drivers.settings import Settings

_STATES = {codec.SWITCH_SHORT: "contact closed", codec.SWITCH_OPEN: "contact open"}


def describe(frame: codec.Frame | codec.WholeReply) -> str:
    """One frame in words."""
    if isinstance(frame, codec.WholeReply):
        return f"reply of board {frame.board}: contacts {frame.contacts.hex()} (1: closed)"
    place = f"board {frame.board} lock {frame.lock}"
    match frame.head, frame.func:
        case codec.HEAD_OPEN, codec.FUNC_OPEN:
            return f"open {place} (as a reply: contact closed)"
        case codec.HEAD_QUERY, codec.FUNC_QUERY:
            return f"query {place}"
        case codec.HEAD_PUSH, func:
            return f"{place} says by itself: {_STATES.get(func, 'unknown state')}"
        case _, func:
            return f"reply of {place}: {_STATES.get(func, 'unknown state')}"


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """Ask for the state of lock 1."""
    profile = Profile.of(settings)
    door = await LockBoard8A.of(bus, address=address, profile=profile).door(1)
    return f"8A/80 lock board {address}: lock 1 is {door.value} (feedback_polarity = {profile.feedback_polarity})"


FAMILY = Family(
    name="lock_8a",
    title="8A/80 lock boards",
    title_zh="8A/80 锁控板",
    from_host=codec.FrameDecoder,
    from_device=codec.reply_finder,
    describe=describe,
    acts=lambda frame: isinstance(frame, codec.Frame) and frame.head == codec.HEAD_OPEN,
    most_buffered=codec.WHOLE_BYTES - 1,
    simulator="simulators.hardware.lock_8a:LockBus",
    probe=probe,
    settings={
        **SETTINGS,
        "bit_order": "where lock 1 stands in a whole board: first_lsb, first_msb, last_lsb (usual), last_msb",
        "dialect": "8a (usual), or 8a_99 for an older board whose whole is asked for with function 99",
    },
)
