"""8A/80 lock boards. The board is played by a twin with a check sum of its own."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.capabilities import Door
from device_drivers.lock_8a import LockBoard8A
from device_drivers.lock_8a.codec import FrameDecoder
from simulators.conformance.suite import Ask, CodecCase, DriverCase
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


DRIVERS = [
    DriverCase(
        name=f"lock_8a: {polarity}, {door.value}",
        device=_twin(polarity, is_open=door is Door.OPEN),
        drive=_door(polarity),
        expected=door,
    )
    for polarity in ("locked_short", "open_short")
    for door in Door
]
CODECS = [
    CodecCase(
        name="lock_8a: both ways",
        decoder=FrameDecoder,
        frames=[bytes.fromhex(text) for text in ("8A0101119B", "80010133B3", "8001011191", "8001010080", "8101011190")],
        most_buffered=4,
    )
]
