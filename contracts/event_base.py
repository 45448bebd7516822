"""What an event type is: a frozen class with a name, a lane and a privacy class; and the parts that types share.

Amounts are integer fen, weights grams (float, as the scale gives them), `_dc` tenths of a degree, durations carry
their unit. A class refuses unknown fields: what a store may say is an allow-list, so no image, biometric or
identity number can ride along unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta

Lane = Literal["ledger", "telemetry"]
Privacy = Literal["none", "pseudonymous", "personal"]
LANES: tuple[Lane, ...] = ("ledger", "telemetry")

Text = Annotated[str, Meta(max_length=256)]
Short = Annotated[str, Meta(max_length=64)]
Count = Annotated[int, Meta(ge=0)]


class EventData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an event says. The envelope around it says who, when and in which order."""

    TYPE: ClassVar[str] = ""
    LANE: ClassVar[Lane] = "ledger"
    PRIVACY: ClassVar[Privacy] = "none"


EVENT_TYPES: dict[str, type[EventData]] = {}
D = TypeVar("D", bound=EventData)


def event(name: str, *, lane: Lane = "ledger", privacy: Privacy = "none") -> Callable[[type[D]], type[D]]:
    """Register a class as the data of event type `name`."""

    def register(cls: type[D]) -> type[D]:
        if name in EVENT_TYPES:
            raise ValueError(f"event type {name} is defined twice")
        cls.TYPE, cls.LANE, cls.PRIVACY = name, lane, privacy
        EVENT_TYPES[name] = cls
        return cls

    return register


# ------------------------------------------------------------------ parts


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a basket."""

    sku: Short
    qty: int
    price_fen: int
    shelf: Short


class ShelfWeight(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A weight that is evidence: what the ledger held of a shelf and what the scale said."""

    shelf: Short
    book_g: float
    fresh_g: float
    epoch: int


class ShelfDelta(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What left (positive) or came (negative) on one shelf, and the book after it."""

    shelf: Short
    delta_g: float | None  # None: the weights are no evidence
    book_g: float
    epoch: int
