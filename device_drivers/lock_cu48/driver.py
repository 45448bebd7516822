"""The KERONG CU48 boards, and their dialect CU12, as a driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from device_drivers.bus import Bus
from device_drivers.capabilities import Door
from device_drivers.faults import OnFault
from device_drivers.lock_board import LockBoard
from device_drivers.lock_cu48 import codec
from device_drivers.lock_frames import BoardFrames, Debt, Ear, PulseSaid, Question, ear, mute
from device_drivers.lock_profile import Profile, checked

T = TypeVar("T")

ADDRESSES = range(codec.MAX_ADDRESS + 1)
_FORMS = {
    "cu48": codec.ALL_FORMS,  # those with a length byte are heard to name them, never believed
    "cu48_bare": (codec.BARE,),
    "cu48_etx": (codec.WITH_ETX,),
    "cu48_length": (codec.LENGTH_BARE, codec.LENGTH_WITH_ETX),
}
DIALECTS = (*_FORMS, "cu12")
_WHOLE: Debt = ("query", 0)
_ECHOES = "our own frame came back: this adapter echoes, set echo = true"


class LockBoardCU48(LockBoard):
    """A board of 48 locks; of 12 in the dialect `cu12`, which alone answers a pulse."""

    def __init__(self, bus: Bus, *, address: int, profile: Profile) -> None:
        checked(profile, address, addresses=ADDRESSES, dialects=DIALECTS)
        make = FramesCU12 if profile.dialect == "cu12" else FramesCU48
        frames: BoardFrames = make(address, profile, bus.fault)
        super().__init__(bus, frames, profile, address=address)


class FramesCU48:
    """See `BoardFrames`."""

    channels = codec.LOCKS_48
    answers_pulses = False
    swallows = False

    def __init__(self, address: int, profile: Profile, on_fault: OnFault) -> None:
        self._address = address
        self._profile = profile
        self._on_fault = on_fault
        self._has_length = profile.dialect == "cu48_length"
        self._forms = _FORMS[profile.dialect or "cu48"]
        self._idle = codec.finder(lambda _kind, _detail: None, self._forms)  # the bus has counted these bytes as late

    def pulse(self, channel: int) -> Question[PulseSaid]:
        """See `BoardFrames`."""
        frame = codec.Command48(self._address, channel - 1, codec.UNLOCK_48).to_bytes()
        return Question(frame=frame, listen=mute, debt=("pulse", channel))

    def door(self, channel: int) -> Question[dict[int, Door]]:
        """See `BoardFrames`."""
        del channel
        frame = codec.Command48(self._address, 0, codec.STATUS_48).to_bytes()
        listen = ear(
            frame,
            lambda: codec.finder(self._on_fault, self._forms).feed,
            self._doors,
            echo=self._profile.echo,
            on_fault=self._on_fault,
        )
        return Question(frame=frame, listen=listen, debt=_WHOLE)

    def status(self) -> Sequence[Question[dict[int, Door]]]:
        """See `BoardFrames`."""
        return (self.door(1),)

    def late(self, data: bytes) -> Iterator[Debt]:
        """See `BoardFrames`."""
        for frame in self._idle.feed(data):
            if isinstance(frame, codec.Status48) and frame.address == self._address:
                yield _WHOLE

    def _doors(self, heard: codec.Frame) -> dict[int, Door] | None:
        if not isinstance(heard, codec.Status48) or heard.address != self._address:
            ours = isinstance(heard, codec.Command48) and heard.address == self._address
            self._on_fault("unexpected", _ECHOES if ours else "a reply to another question")
            return None
        if heard.has_length != self._has_length:
            self._on_fault("unexpected", "this board writes a length byte, set dialect = cu48_length")
            return None
        return self._profile.doors(heard.locks, codec.LOCKS_48, "first_lsb")


class FramesCU12:
    """See `BoardFrames`."""

    channels = codec.LOCKS_12
    answers_pulses = True
    swallows = False

    def __init__(self, address: int, profile: Profile, on_fault: OnFault) -> None:
        self._address = address
        self._profile = profile
        self._on_fault = on_fault
        self._idle = codec.finder(lambda _kind, _detail: None)

    def pulse(self, channel: int) -> Question[PulseSaid]:
        """See `BoardFrames`."""
        command = codec.Command12(self._address, channel - 1, codec.UNLOCK_12)

        def means(heard: codec.Frame) -> PulseSaid | None:
            reply = self._reply(heard, command)
            if reply is None:
                return None
            if reply.ask == codec.DONE:
                return PulseSaid("opened")
            return PulseSaid("refused", codec.FAILED[reply.ask])

        return Question(frame=command.to_bytes(), listen=self._ear(command, means), debt=("pulse", channel))

    def door(self, channel: int) -> Question[dict[int, Door]]:
        """See `BoardFrames`."""
        del channel
        command = codec.Command12(self._address, 0, codec.STATUS_12)

        def means(heard: codec.Frame) -> dict[int, Door] | None:
            reply = self._reply(heard, command)
            if reply is None:
                return None
            if reply.ask != codec.DONE or not reply.locks:
                self._on_fault("unexpected", "the board cannot tell the state of its locks")
                return None
            return self._profile.doors(reply.locks, codec.LOCKS_12, "first_lsb")

        return Question(frame=command.to_bytes(), listen=self._ear(command, means), debt=_WHOLE)

    def status(self) -> Sequence[Question[dict[int, Door]]]:
        """See `BoardFrames`."""
        return (self.door(1),)

    def late(self, data: bytes) -> Iterator[Debt]:
        """See `BoardFrames`."""
        for frame in self._idle.feed(data):
            if isinstance(frame, codec.Reply12) and (frame.address, frame.cmd) == (self._address, codec.STATUS_12):
                yield _WHOLE

    def _ear(self, command: codec.Command12, means: Callable[[codec.Frame], T | None]) -> Callable[[], Ear[T]]:
        return ear(
            command.to_bytes(),
            lambda: codec.finder(self._on_fault).feed,
            means,
            echo=self._profile.echo,
            on_fault=self._on_fault,
        )

    def _reply(self, heard: codec.Frame, to: codec.Command12) -> codec.Reply12 | None:
        """The same frame if it answers this command."""
        if heard == to:
            self._on_fault("unexpected", _ECHOES)
            return None
        place = (to.address, to.lock, to.cmd)
        if not isinstance(heard, codec.Reply12) or (heard.address, heard.lock, heard.cmd) != place:
            self._on_fault("unexpected", "a reply to another question")
            return None
        if heard.ask != codec.DONE and heard.ask not in codec.FAILED:
            self._on_fault("unexpected", "an outcome that the protocol does not know")
            return None
        return heard
