"""What the KERONG CU48 and CU12 boards say of themselves."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.family import Family
from device_drivers.lock_cu48 import codec
from device_drivers.lock_cu48.driver import LockBoardCU48
from device_drivers.lock_profile import SETTINGS, Profile
from device_drivers.settings import Settings


def describe(frame: codec.Frame) -> str:
    """One frame in words."""
    match frame:
        case codec.Status48(address, locks, has_length):
            note = ", with a length byte" if has_length else ""
            return f"status of board {address}: locks {locks.hex()} (1: closed){note}"
        case codec.Reply12(address, lock, cmd, ask, locks):
            asked = "query" if cmd == codec.STATUS_12 else f"unlock of lock {lock + 1}"
            outcome = "done" if ask == codec.DONE else codec.FAILED.get(ask, "unknown outcome")
            return f"board {address} to a {asked}: {outcome}{', locks ' + locks.hex() if locks else ''}"
        case codec.Command48(address, lock, cmd) | codec.Command12(address, lock, cmd):
            asks = cmd in (codec.STATUS_48, codec.STATUS_12)
            return f"query board {address}" if asks else f"unlock board {address} lock {lock + 1}"


def acts(frame: codec.Frame) -> bool:
    """True of an unlock."""
    return isinstance(frame, codec.Command48 | codec.Command12) and frame.cmd in (codec.UNLOCK_48, codec.UNLOCK_12)


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """Ask for the state of all locks, in the dialect that is said; no board answers in the other."""
    profile = Profile.of(settings)
    doors = await LockBoardCU48(bus, address=address, profile=profile).status()
    board = f"KERONG {'CU12' if profile.dialect == 'cu12' else 'CU48'} board {address}"
    return f"{board}: lock 1 is {doors[1].value} (feedback_polarity = {profile.feedback_polarity})"


FAMILY = Family(
    name="lock_cu48",
    title="KERONG CU48 and CU12 lock boards",
    title_zh="KERONG CU48/CU12 锁控板",
    from_host=codec.finder,
    from_device=codec.finder,
    describe=describe,
    acts=acts,
    most_buffered=codec.LONGEST - 1,
    simulator="simulators.hardware.lock_cu48:LineCU48",
    probe=probe,
    settings={
        **SETTINGS,
        "bit_order": "where lock 1 stands in a status: first_lsb (usual), first_msb, last_lsb, last_msb",
        "dialect": "cu48 (usual: any end), cu48_bare or cu48_etx (a status without or with 03), cu48_length, or cu12",
    },
)
