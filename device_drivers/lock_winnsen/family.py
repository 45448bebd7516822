"""What the Winnsen boards say of themselves."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.family import Family
from device_drivers.lock_profile import SETTINGS, Profile
from device_drivers.lock_winnsen import codec
from device_drivers.lock_winnsen.driver import LockBoardWinnsen
from device_drivers.settings import Settings

_STATES = {codec.CLOSED: "closed or failed", codec.OPEN: "open", codec.COOLDOWN: "cooling down"}


def describe(frame: codec.Frame) -> str:
    """One frame in words."""
    if isinstance(frame, codec.Command):
        asks = "query" if frame.func == codec.STATUS else "unlock"
        return f"{asks} station {frame.station} lock {frame.lock}"
    if frame.func == codec.UNLOCK_REPLY:
        return f"station {frame.station} to the unlock of lock {frame.first}: {_STATES[frame.second]}"
    return f"state from station {frame.station}: bytes {frame.first:02X} {frame.second:02X} (lock and state by dialect)"


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """Ask for the state of lock 1."""
    profile = Profile.of(settings)
    door = await LockBoardWinnsen(bus, address=address, profile=profile).door(1)
    return f"Winnsen station {address}: lock 1 is {door.value} (feedback_polarity = {profile.feedback_polarity})"


FAMILY = Family(
    name="lock_winnsen",
    title="Winnsen lock boards",
    title_zh="Winnsen 锁控板",
    from_host=codec.finder,
    from_device=codec.finder,
    describe=describe,
    acts=lambda frame: isinstance(frame, codec.Command) and frame.func == codec.UNLOCK,
    most_buffered=codec.REPLY_BYTES - 1,
    simulator="simulators.hardware.lock_winnsen:LineWinnsen",
    probe=probe,
    settings={
        **SETTINGS,
        "dialect": "status_last (usual), or status_first if the state stands before the lock in the reply to a query",
    },
)
