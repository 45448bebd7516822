"""The KERONG CU16 boards as a driver: nothing answers a pulse, one query tells of all sixteen doors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from device_drivers.bus import Bus
from device_drivers.capabilities import Door
from device_drivers.faults import OnFault
from device_drivers.lock_board import LockBoard
from device_drivers.lock_cu16 import codec
from device_drivers.lock_frames import Debt, PulseSaid, Question, ear, mute
from device_drivers.lock_profile import Profile, checked

T = TypeVar("T")

ADDRESSES = range(codec.MAX_BOARD + 1)
DIALECTS = ("cu16",)
_WHOLE: Debt = ("query", 0)


class LockBoardCU16(LockBoard):
    """A board of 16 locks, each with an infrared sensor beside it."""

    def __init__(self, bus: Bus, *, address: int, profile: Profile) -> None:
        checked(profile, address, addresses=ADDRESSES, dialects=DIALECTS)
        self._own = FramesCU16(address, profile, bus.fault)
        super().__init__(bus, self._own, profile, address=address)

    async def goods(self) -> dict[int, bool]:
        """Where the infrared sensors see something. Raises UnavailableError."""
        return await self._ask(self._own.goods())


class FramesCU16:
    """See `BoardFrames`. Some boards stay busy after a pulse and lose the next frame."""

    channels = codec.LOCKS
    answers_pulses = False
    swallows = True

    def __init__(self, address: int, profile: Profile, on_fault: OnFault) -> None:
        self._address = address
        self._profile = profile
        self._on_fault = on_fault
        self._idle = codec.finder(lambda _kind, _detail: None)  # the bus has counted these bytes as late

    def pulse(self, channel: int) -> Question[PulseSaid]:
        """See `BoardFrames`."""
        frame = codec.Command(self._address, channel - 1, codec.UNLOCK).to_bytes()
        return Question(frame=frame, listen=mute, debt=("pulse", channel))

    def door(self, channel: int) -> Question[dict[int, Door]]:
        """See `BoardFrames`."""
        del channel
        return self._status(lambda reply: self._profile.doors(reply.hooks, codec.LOCKS, "first_lsb"))

    def status(self) -> Sequence[Question[dict[int, Door]]]:
        """See `BoardFrames`."""
        return (self.door(1),)

    def goods(self) -> Question[dict[int, bool]]:
        """Ask for the infrared sensors: the same frame."""
        return self._status(lambda reply: self._profile.bits(reply.infrared, codec.LOCKS, "first_lsb"))

    def late(self, data: bytes) -> Iterator[Debt]:
        """See `BoardFrames`."""
        for frame in self._idle.feed(data):
            if isinstance(frame, codec.StatusReply) and frame.address == self._address << 4:
                yield _WHOLE

    def _status(self, reads: Callable[[codec.StatusReply], T]) -> Question[T]:
        frame = codec.Command(self._address, 0, codec.STATUS).to_bytes()

        def means(heard: codec.Frame) -> T | None:
            if isinstance(heard, codec.StatusReply) and heard.address == self._address << 4:
                return reads(heard)
            same = isinstance(heard, codec.Command) and heard.board == self._address
            advice = "our own frame came back: this adapter echoes, set echo = true"
            self._on_fault("unexpected", advice if same else "a reply to another question")
            return None

        listen = ear(
            frame, lambda: codec.finder(self._on_fault).feed, means, echo=self._profile.echo, on_fault=self._on_fault
        )
        return Question(frame=frame, listen=listen, debt=_WHOLE)
