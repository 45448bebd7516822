"""The 8A/80 boards as a driver: which frames ask, and what their replies mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

from device_drivers.bus import Bus
from device_drivers.capabilities import Door
from device_drivers.faults import OnFault
from device_drivers.lock_8a import codec
from device_drivers.lock_board import LockBoard
from device_drivers.lock_frames import Debt, Ear, PulseSaid, Question, ear
from device_drivers.lock_profile import MIN_HOLD_OFF_S, BitOrder, FeedbackPolarity, Profile, checked

T = TypeVar("T")

ADDRESSES = range(1, codec.MAX_BOARD + 1)
DIALECTS = ("8a", "8a_99")  # 8a_99: an older board, whose whole is asked for with another function


class LockBoard8A(LockBoard):
    """A board of up to 24 locks. `hints` counts frames that the board sent on its own; nothing acts on them."""

    def __init__(
        self,
        bus: Bus,
        *,
        address: int,
        feedback_polarity: FeedbackPolarity,
        echo: bool = False,
        dialect: str = "",
        bit_order: BitOrder | Literal[""] = "",
        hold_off_s: float = MIN_HOLD_OFF_S,
    ) -> None:
        profile = Profile(
            feedback_polarity=feedback_polarity,
            echo=echo,
            dialect=dialect,
            bit_order=bit_order,
            hold_off_s=hold_off_s,
        )
        checked(profile, address, addresses=ADDRESSES, dialects=DIALECTS)
        self._own = Frames8A(address, profile, bus.fault)
        super().__init__(bus, self._own, profile, address=address)

    @classmethod
    def of(cls, bus: Bus, *, address: int, profile: Profile) -> LockBoard8A:
        """The board that a profile describes."""
        return cls(
            bus,
            address=address,
            feedback_polarity=profile.feedback_polarity,
            echo=profile.echo,
            dialect=profile.dialect,
            bit_order=profile.bit_order,
            hold_off_s=profile.hold_off_s,
        )

    @property
    def hints(self) -> int:
        """Frames that the board sent on its own."""
        return self._own.hints


class Frames8A:
    """See `BoardFrames`."""

    channels = codec.MAX_LOCK
    answers_pulses = True
    swallows = False

    def __init__(self, address: int, profile: Profile, on_fault: OnFault) -> None:
        self.hints = 0
        self._address = address
        self._profile = profile
        self._on_fault = on_fault
        self._idle = codec.reply_finder(lambda _kind, _detail: None)  # the bus has counted these bytes as late

    def pulse(self, channel: int) -> Question[PulseSaid]:
        """See `BoardFrames`."""

        def means(func: int) -> PulseSaid:
            # "Opened" is the switch in its unlocked place; anything else the board calls a failure.
            locked = codec.is_locked(func, self._profile.feedback_polarity)
            return PulseSaid("refused" if locked else "opened")

        command = codec.open_command(self._address, channel)
        return Question(frame=command.to_bytes(), listen=lambda: self._parser(command, means), debt=("pulse", channel))

    def door(self, channel: int) -> Question[dict[int, Door]]:
        """See `BoardFrames`. The late reply of a whole board could be cut into one that looks right."""

        def means(func: int) -> dict[int, Door]:
            locked = codec.is_locked(func, self._profile.feedback_polarity)
            return {channel: Door.CLOSED if locked else Door.OPEN}

        command = codec.query_command(self._address, channel)
        return Question(
            frame=command.to_bytes(),
            listen=lambda: self._parser(command, means),
            debt=("query", channel),
            taken_for=(("query", 0),),
        )

    def status(self) -> Sequence[Question[dict[int, Door]]]:
        """See `BoardFrames`."""
        old = self._profile.dialect == "8a_99"
        frame = codec.WholeQuery(self._address, codec.FUNC_QUERY_OLD if old else codec.FUNC_QUERY).to_bytes()

        def means(reply: codec.WholeReply) -> dict[int, Door] | None:
            if reply.board != self._address:
                self._on_fault("unexpected", "a reply of another board")
                return None
            return self._profile.doors(reply.contacts, self.channels, "last_lsb")

        listen = ear(
            frame,
            lambda: codec.whole_finder(self._on_fault).feed,
            means,
            echo=self._profile.echo,
            on_fault=self._on_fault,
        )
        return (Question(frame=frame, listen=listen, debt=("query", 0)),)

    def late(self, data: bytes) -> Iterator[Debt]:
        """See `BoardFrames`. Counts hints too."""
        for frame in self._idle.feed(data):
            if frame.board != self._address:
                continue
            if isinstance(frame, codec.WholeReply):
                yield "query", 0
            elif frame.head == codec.HEAD_PUSH:
                self.hints += 1
            elif frame.head == codec.HEAD_QUERY and frame.func in (codec.SWITCH_SHORT, codec.SWITCH_OPEN):
                yield "query", frame.lock

    def _parser(self, command: codec.Frame, means: Callable[[int], T]) -> Ear[T]:
        parser = codec.ReplyParser(command, echo=self._profile.echo, on_fault=self._on_fault)

        def feed(data: bytes) -> T | None:
            func = parser.feed(data)
            self.hints += sum(frame.board == self._address for frame in parser.pushed)
            parser.pushed.clear()
            return None if func is None else means(func)

        return feed
