"""KERONG CU48 boards in every form that the sources tell of, and the CU12 dialect."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.capabilities import Door
from device_drivers.lock_cu48 import LockBoardCU48
from device_drivers.lock_cu48.codec import LENGTH_BARE, LENGTH_WITH_ETX, finder
from device_drivers.lock_profile import Profile
from simulators.conformance.suite import Ask, CodecCase, DriverCase
from tests.device_drivers.lock_peers import LockPeer, flipped

OPEN = (2, 12)


def _device(dialect: str, polarity: str, *, with_etx: bool):
    def make() -> LockPeer:
        peer = LockPeer("lock_cu48", polarity=polarity, dialect=dialect, with_etx=with_etx)
        peer.wall.open |= set(OPEN)
        return peer

    return make


def _status(dialect: str, polarity: str):
    def drive(bus: Bus, echo: bool) -> Ask:
        profile = Profile(feedback_polarity=polarity, dialect=dialect, echo=echo)
        return LockBoardCU48(bus, address=1, profile=profile).status

    return drive


DRIVERS = [
    DriverCase(
        name=f"lock_cu48: {dialect}, {polarity}, {'with' if with_etx else 'without'} 03",
        device=_device(dialect, polarity, with_etx=with_etx),
        drive=_status(dialect, polarity),
        expected={
            channel: Door.OPEN if channel in OPEN else Door.CLOSED
            for channel in range(1, 13 if dialect == "cu12" else 49)
        },
        avoid=((flipped, "a CU12 writes its locks behind the sum"),) if dialect == "cu12" else (),
    )
    for dialect, polarity, with_etx in (
        ("cu48", "locked_short", True),
        ("cu48", "open_short", False),
        ("cu48_bare", "locked_short", False),
        ("cu48_etx", "locked_short", True),
        ("cu48_length", "locked_short", True),
        ("cu48_length", "open_short", False),
        ("cu12", "locked_short", True),
        ("cu12", "open_short", True),
    )
]
CODECS = [
    CodecCase(
        name="lock_cu48: both ways",
        decoder=finder,
        frames=[
            bytes.fromhex(text)
            for text in (
                "020000600365",
                "02002F610395",
                "02000075FFFFFFFFFFFF71",
                "02000075FEFFFFFFFFFF0373",
                "0200008000000385",
                "0200008100000386",
                "0200008010020397FF0F",
                "0200008110000396",
            )
        ],
        most_buffered=12,
    ),
    CodecCase(
        name="lock_cu48: with a length byte",
        decoder=lambda on_fault: finder(on_fault, (LENGTH_BARE, LENGTH_WITH_ETX)),
        frames=[bytes.fromhex(text) for text in ("0200007506FFFFFFFFFFFF77", "0200007506FEFFFFFFFFFF0379")],
        most_buffered=12,
    ),
]
