"""8A/80 lock boards. The board is played by a twin with a check sum of its own."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.capabilities import Door
from device_drivers.lock_8a import LockBoard8A
from device_drivers.lock_8a.codec import FrameDecoder, reply_finder
from simulators.conformance.suite import Ask, CodecCase, DriverCase
from tests.device_drivers.lock_peers import LockPeer
from tests.device_drivers.twins import LockTwin


def _door(polarity: str) -> object:
    def drive(bus: Bus, echo: bool) -> Ask:
        board = LockBoard8A(bus, address=1, feedback_polarity=polarity, echo=echo)
        return lambda: board.door(3)

    return drive


def _twin(polarity: str, *, is_open: bool) -> object:
    def make() -> LockTwin:
        twin = LockTwin(polarity=polarity)
        twin.door_open = {3} if is_open else set()
        return twin

    return make


def _whole_board(dialect: str, bit_order: str) -> object:
    def make() -> LockPeer:
        peer = LockPeer("lock_8a", dialect=dialect, bit_order=bit_order)
        peer.wall.open |= {2, 24}
        return peer

    return make


def _status(dialect: str, bit_order: str) -> object:
    def drive(bus: Bus, echo: bool) -> Ask:
        settings = {"dialect": dialect, "bit_order": bit_order, "echo": echo}
        return LockBoard8A(bus, address=1, feedback_polarity="locked_short", **settings).status

    return drive


DRIVERS = [
    DriverCase(
        name=f"lock_8a: {polarity}, {door.value}",
        device=_twin(polarity, is_open=door is Door.OPEN),
        drive=_door(polarity),
        expected=door,
    )
    for polarity in ("locked_short", "open_short")
    for door in Door
] + [
    DriverCase(
        name=f"lock_8a: whole board, {bit_order}, {dialect}",
        device=_whole_board(dialect, bit_order),
        drive=_status(dialect, bit_order),
        expected={channel: Door.OPEN if channel in (2, 24) else Door.CLOSED for channel in range(1, 25)},
    )
    for dialect, bit_order in (
        ("8a", "last_lsb"),
        ("8a", "first_msb"),
        ("8a_99", "first_lsb"),
        ("8a_99", "last_msb"),
    )
]
CODECS = [
    CodecCase(
        name="lock_8a: both ways",
        decoder=FrameDecoder,
        frames=[bytes.fromhex(text) for text in ("8A0101119B", "80010133B3", "8001011191", "8001010080", "8101011190")],
        most_buffered=4,
    ),
    CodecCase(
        name="lock_8a: from the board",
        decoder=reply_finder,
        frames=[bytes.fromhex(text) for text in ("8A0101119B", "8001011191", "8001FFFFFE334C", "8101011190")],
        most_buffered=6,
    ),
]
