"""KERONG CU16 boards, the busy ones that lose a frame too. A sum does not notice everything: two turned bits may cancel
each other out; none of the lines here does that."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.capabilities import Door
from device_drivers.lock_cu16 import LockBoardCU16
from device_drivers.lock_cu16.codec import finder
from device_drivers.lock_profile import Profile
from simulators.conformance.suite import Ask, CodecCase, DriverCase
from tests.device_drivers.lock_peers import LockPeer

OPEN = (3, 16)


def _device(polarity: str):
    def make() -> LockPeer:
        peer = LockPeer("lock_cu16", polarity=polarity)
        peer.wall.open |= set(OPEN)
        return peer

    return make


def _status(polarity: str):
    def drive(bus: Bus, echo: bool) -> Ask:
        return LockBoardCU16(bus, address=1, profile=Profile(feedback_polarity=polarity, echo=echo)).status

    return drive


DRIVERS = [
    DriverCase(
        name=f"lock_cu16: {polarity}",
        device=_device(polarity),
        drive=_status(polarity),
        expected={channel: Door.OPEN if channel in OPEN else Door.CLOSED for channel in range(1, 17)},
    )
    for polarity in ("locked_short", "open_short")
]
CODECS = [
    CodecCase(
        name="lock_cu16: both ways",
        decoder=finder,
        frames=[
            bytes.fromhex(text)
            for text in (
                "0200300335",
                "0200310336",
                "020035FFFF00000338",
                "0200330338",
                "02003701F40331",
                "020039050343",
            )
        ],
        most_buffered=8,
    )
]
