"""The Winnsen boards as a driver: one frame a lock, and a duty cycle that the board keeps itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from device_drivers.bus import Bus
from device_drivers.capabilities import Door
from device_drivers.faults import OnFault
from device_drivers.lock_board import LockBoard
from device_drivers.lock_frames import Debt, PulseSaid, Question, ear
from device_drivers.lock_profile import Profile, checked
from device_drivers.lock_winnsen import codec

T = TypeVar("T")

ADDRESSES = range(codec.MAX_STATION + 1)
DIALECTS = ("status_last", "status_first")
COOLDOWN_S = 5.0  # no source says how long a board cools down: our own choice


class LockBoardWinnsen(LockBoard):
    """A station of 16 locks."""

    def __init__(self, bus: Bus, *, address: int, profile: Profile) -> None:
        checked(profile, address, addresses=ADDRESSES, dialects=DIALECTS)
        super().__init__(bus, FramesWinnsen(address, profile, bus.fault), profile, address=address)


class FramesWinnsen:
    """See `BoardFrames`."""

    channels = codec.LOCKS
    answers_pulses = True
    swallows = False

    def __init__(self, station: int, profile: Profile, on_fault: OnFault) -> None:
        self._station = station
        self._profile = profile
        self._on_fault = on_fault
        self._dialect: codec.Dialect = "status_first" if profile.dialect == "status_first" else "status_last"
        self._idle = codec.finder(lambda _kind, _detail: None)  # the bus has counted these bytes as late

    def pulse(self, channel: int) -> Question[PulseSaid]:
        """See `BoardFrames`."""

        def means(status: int) -> PulseSaid:
            if status == codec.COOLDOWN:
                return PulseSaid("refused", "cooldown", COOLDOWN_S)
            opened = self._profile.door(says_locked=status == codec.CLOSED) is Door.OPEN
            return PulseSaid("opened" if opened else "refused")

        return self._question(codec.Command(self._station, channel, codec.UNLOCK), means, ("pulse", channel))

    def door(self, channel: int) -> Question[dict[int, Door]]:
        """See `BoardFrames`."""

        def means(status: int) -> dict[int, Door] | None:
            if status == codec.COOLDOWN:
                self._on_fault("unexpected", "a cooldown is no state of a door")
                return None
            return {channel: self._profile.door(says_locked=status == codec.CLOSED)}

        return self._question(codec.Command(self._station, channel, codec.STATUS), means, ("query", channel))

    def status(self) -> Sequence[Question[dict[int, Door]]]:
        """See `BoardFrames`: this family has no frame for a whole board."""
        return [self.door(channel) for channel in range(1, self.channels + 1)]

    def late(self, data: bytes) -> Iterator[Debt]:
        """See `BoardFrames`."""
        for frame in self._idle.feed(data):
            if isinstance(frame, codec.Reply) and (frame.station, frame.func) == (self._station, codec.STATUS_REPLY):
                yield "query", frame.parts(self._dialect)[0]

    def _question(self, command: codec.Command, means: Callable[[int], T | None], debt: Debt) -> Question[T]:
        frame = command.to_bytes()

        def heard(reply: codec.Frame) -> T | None:
            status = self._status_of(reply, command)
            return None if status is None else means(status)

        listen = ear(
            frame, lambda: codec.finder(self._on_fault).feed, heard, echo=self._profile.echo, on_fault=self._on_fault
        )
        return Question(frame=frame, listen=listen, debt=debt)

    def _status_of(self, heard: codec.Frame, to: codec.Command) -> int | None:
        """The status byte if this frame answers this command."""
        if heard == to:
            self._on_fault("unexpected", "our own frame came back: this adapter echoes, set echo = true")
            return None
        if not isinstance(heard, codec.Reply) or (heard.station, heard.func) != (to.station, to.func | 0x80):
            self._on_fault("unexpected", "a reply to another question")
            return None
        lock, status = heard.parts(self._dialect)
        if lock != to.lock or status not in (codec.CLOSED, codec.OPEN, codec.COOLDOWN):
            self._on_fault("unexpected", "a reply for another lock, or a wrong dialect")
            return None
        return status
