"""What a family of lock boards adds to the driver that all share: its questions, and how it hears their replies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from device_drivers.capabilities import Door
from device_drivers.faults import OnFault

T = TypeVar("T")
F = TypeVar("F")

Ear = Callable[[bytes], T | None]
Debt = tuple[str, int]  # a kind of reply and the channel that it names; 0: the whole board


@dataclass(frozen=True, slots=True)
class PulseSaid:
    """What a board answers to a pulse. `cool_s`: it wants no further pulse on this channel for so long."""

    result: Literal["opened", "refused"]
    reason: str = ""
    cool_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Generic[T]):
    """One frame to a board. `listen` makes an ear for one turn: it takes bytes and answers once the reply is whole.

    `debt` is what stays owed if no reply comes; `taken_for` are other debts whose late reply this ear might believe.
    """

    frame: bytes
    listen: Callable[[], Ear[T]]
    debt: Debt
    taken_for: tuple[Debt, ...] = ()


class BoardFrames(Protocol):
    """The questions to one board at one address. None of them can pulse more than one lock.

    `answers_pulses`: the board says something to a pulse. `swallows`: after a pulse it may lose the next frame.
    """

    channels: int
    answers_pulses: bool
    swallows: bool

    def pulse(self, channel: int) -> Question[PulseSaid]:
        """Pulse one lock."""

    def door(self, channel: int) -> Question[dict[int, Door]]:
        """Ask for one door at least."""

    def status(self) -> Sequence[Question[dict[int, Door]]]:
        """Ask for all doors."""

    def late(self, data: bytes) -> Iterable[Debt]:
        """Bytes that came while nobody waited: the queries whose replies they hold."""


class Echo:
    """Takes our own frame off the front of what is heard: by position, because a reply may be the same bytes.

    If something else comes first, position says nothing any more and nothing is believed.
    """

    def __init__(self, sent: bytes, on_fault: OnFault) -> None:
        self._left = sent
        self._deaf = False
        self._on_fault = on_fault

    def strip(self, data: bytes) -> bytes:
        """What stands behind the echo."""
        if self._deaf:
            return b""
        heard = data[: len(self._left)]
        if not self._left.startswith(heard):
            self._deaf = True
            self._on_fault("framing", "the first bytes are not our own frame; does this adapter echo?")
            return b""
        self._left = self._left[len(heard) :]
        return data[len(heard) :]


def ear(
    sent: bytes,
    decoder: Callable[[], Callable[[bytes], Iterable[F]]],
    means: Callable[[F], T | None],
    *,
    echo: bool,
    on_fault: OnFault,
) -> Callable[[], Ear[T]]:
    """An ear for `Question.listen`: frames behind our echo, each asked what it means; the first that answers counts.

    `means` returns None for a frame that is no reply to this question, and has told why.
    """

    def listen() -> Ear[T]:
        own = Echo(sent if echo else b"", on_fault)
        frames = decoder()

        def feed(data: bytes) -> T | None:
            answers = [answer for frame in frames(own.strip(data)) if (answer := means(frame)) is not None]
            return answers[0] if answers else None

        return feed

    return listen


def mute() -> Ear[PulseSaid]:
    """An ear for a board that says nothing to a pulse."""
    return lambda _data: None


def low_sum(data: bytes) -> int:
    """Low byte of the sum of all bytes."""
    return sum(data) & 0xFF
