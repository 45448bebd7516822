"""What survives a restart: sessions, book weights, incidents, quotas, revokes. JSON in the ledger's state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from contracts.event_types import Line, ShelfDelta

Mode = Literal["self_service", "staff_release", "restock"]
Conclusion = Literal["", "nothing", "settled", "review"]
Money = Literal["", "void", "capture"]
Result = Literal["", "opened", "refused", "no_reply", "not_sent", "unknown"]


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all that is stored; fields that a newer version adds have defaults."""


class Intent(Stored, frozen=True, kw_only=True):
    """One intent and what became of it; `result` empty: no outcome is durable yet."""

    id: str
    attempt: int
    release: str = ""
    result: Result = ""


class Session(Stored, frozen=True, kw_only=True):
    """What the ledger says of one session that has not ended."""

    id: str
    cabinet: str
    compartment: str
    mode: Mode
    buyer: str = ""
    declared: tuple[Line, ...] = ()
    pay_asked: bool = False
    held: bool = False
    hold_fen: int = 0
    intents: tuple[Intent, ...] = ()
    door_opened: bool = False
    door_closed: bool = False
    conclusion: Conclusion = ""
    money: Money = ""
    amount_fen: int = 0
    staff_id: str = ""  # who decided a review
    review_reason: str = ""
    review_wall_s: float | None = None
    deltas: tuple[ShelfDelta, ...] = ()
    proposal: tuple[Line, ...] = ()
    reason: str = ""

    @property
    def concluded(self) -> bool:
        """Nothing physical is open any more; money may be."""
        return bool(self.conclusion or self.money)

    @property
    def sale(self) -> bool:
        return self.mode != "restock"


class Book(Stored, frozen=True, kw_only=True):
    """The last weight of a shelf that is accounted for, grams, the epoch of its scale, and the pieces we believe in."""

    g: float
    epoch: int
    units: dict[str, int] = {}


class Incident(Stored, frozen=True, kw_only=True):
    """A compartment that no intent may touch. `forced`: a door nobody owns. `unknown`: its weights prove nothing."""

    forced: bool = False
    unknown: bool = False


class Quota(Stored, frozen=True, kw_only=True):
    """Units that a person has reserved or bought on one day. `person`: the pseudonym of the day."""

    cabinet: str
    person: str
    day: str
    units: int


class Flag(Stored, frozen=True, kw_only=True):
    """A plain fact under its key."""

    n: int = 1


@dataclass(frozen=True, slots=True)
class Durable:
    """The committed state of one cabinet, by kind and key. Never changed in place."""

    session: Mapping[str, Session] = field(default_factory=dict)
    book: Mapping[str, Book] = field(default_factory=dict)  # by shelf
    incident: Mapping[str, Incident] = field(default_factory=dict)  # by compartment
    quota: Mapping[str, Quota] = field(default_factory=dict)  # by session
    revoke: Mapping[str, Flag] = field(default_factory=dict)  # by cabinet|target
    epoch: Mapping[str, Flag] = field(default_factory=dict)  # by shelf
    count_due: Mapping[str, Flag] = field(default_factory=dict)  # by compartment


KINDS: dict[str, type[Stored]] = {
    "session": Session,
    "book": Book,
    "incident": Incident,
    "quota": Quota,
    "revoke": Flag,
    "epoch": Flag,
    "count_due": Flag,
}
