"""What services ask of devices: capabilities, not brands; and the small frozen values they answer with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

UnlockResult = Literal["opened", "refused", "no_reply", "not_sent"]


class Door(Enum):
    """What the feedback switch of a lock says."""

    CLOSED = "closed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class UnlockReply:
    """Outcome of one unlock. `latency_ms`: frame written to reply read; None without a reply. `reason`: why not, if
    the board says so; one word, else empty."""

    result: UnlockResult
    latency_ms: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WeightSample:
    """One reading of a scale, grams.

    `power_on`: the scale has zeroed itself at power-up and nobody has acknowledged it yet.
    """

    gross_g: float
    stable: bool
    power_on: bool = False
    overload: bool = False


@dataclass(frozen=True, slots=True)
class CodeScanned:
    """A code that a scanner or a camera read. May name a person: never logged."""

    text: str
    symbology: str = ""


@dataclass(frozen=True, slots=True)
class AdultReading:
    """All that ever leaves an ID-card driver: no name, no number, no birthday. `person_day_key` is a hex pseudonym
    that lives two days at most."""

    adult: bool
    doc_valid: bool
    person_day_key: str


class Lock(Protocol):
    """One board of electronic locks. `channel` counts from 1."""

    async def unlock(self, channel: int, guard: Callable[[], bool]) -> UnlockReply:
        """Pulse one lock, once. `guard` is asked in the same synchronous block that encodes and writes the frame,
        with the frame at the head of the queue; False means `not_sent`. Never repeated by the driver."""

    async def door(self, channel: int) -> Door:
        """State of one door by a status query. Because the bus is a queue on one connection, its reply also proves
        that no earlier frame will act any more (the fence), and late replies are flushed before it.
        Raises UnavailableError."""


class Scale(Protocol):
    """One weight transmitter."""

    async def sample(self) -> WeightSample:
        """The weight now. Raises UnavailableError."""

    async def acknowledge_power_on(self) -> None:
        """Tell the scale that its power-up was noticed; clears `power_on`. Raises UnavailableError."""


class CodeReader(Protocol):
    """A scanner that speaks by itself."""

    async def next_code(self) -> CodeScanned:
        """The next code. Raises UnavailableError when the scanner is gone."""


class AdultProof(Protocol):
    """A reader of identity documents."""

    async def read(self) -> AdultReading | None:
        """The card on the reader; None when there is none. Raises UnavailableError."""
