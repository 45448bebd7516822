"""Winnsen boards, both orders of lock and state. They have no check sum at all."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.capabilities import Door
from device_drivers.lock_profile import Profile
from device_drivers.lock_winnsen import LockBoardWinnsen
from device_drivers.lock_winnsen.codec import finder
from simulators.conformance.suite import Ask, CodecCase, DriverCase
from tests.device_drivers.lock_peers import LockPeer, flipped


def _device(dialect: str, polarity: str, *, is_open: bool):
    def make() -> LockPeer:
        peer = LockPeer("lock_winnsen", polarity=polarity, dialect=dialect)
        peer.wall.open |= {3} if is_open else set()
        return peer

    return make


def _door(dialect: str, polarity: str):
    def drive(bus: Bus, echo: bool) -> Ask:
        board = LockBoardWinnsen(
            bus, address=1, profile=Profile(feedback_polarity=polarity, dialect=dialect, echo=echo)
        )
        return lambda: board.door(3)

    return drive


DRIVERS = [
    DriverCase(
        name=f"lock_winnsen: {dialect}, {polarity}, {door.value}",
        device=_device(dialect, polarity, is_open=door is Door.OPEN),
        drive=_door(dialect, polarity),
        expected=door,
        # Lost, late, doubled and foreign bytes break one of the six bytes that have one right value. A turned bit in
        # the seventh, the state, is another state: `flipped` makes it, and tests/device_drivers/test_lock_board.py
        # shows how it lies.
        avoid=((flipped, "no check sum: one turned bit makes an open door of a closed one"),),
    )
    for dialect in ("status_last", "status_first")
    for polarity in ("locked_short", "open_short")
    for door in Door
]
CODECS = [
    CodecCase(
        name="lock_winnsen: both ways",
        decoder=finder,
        frames=[
            bytes.fromhex(text)
            for text in ("900605010103", "900612010103", "90078501010103", "90079201010003", "90079201020803")
        ],
        most_buffered=6,
    )
]
