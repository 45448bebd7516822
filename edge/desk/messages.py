"""What crosses the local socket: JSON, a line each. The agent sends `DeskState`; a page sends `Ask`, gets `Reply`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MAX_LINE_BYTES = 64 * 1024  # of what a page sends
MAX_GOODS = 60  # different products behind one door; a description with more is refused
MAX_UNITS = 500  # pieces of one product
MAX_STATE_BYTES = 1024 * 1024  # of what the agent sends: a store has many goods
Short = Annotated[str, Meta(max_length=64)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything on the socket."""


class Goods(Part, frozen=True, kw_only=True):
    """A product as the kiosk shows it."""

    sku: Short
    name_zh: Short
    name_en: Short
    price_fen: int
    units: int  # by the book; an estimate


class MemberCard(Part, frozen=True, kw_only=True):
    """What the cloud answered at the start of a session."""

    name: Short
    points: int
    offers: tuple[Goods, ...] = ()


class BasketLine(Part, frozen=True, kw_only=True):
    sku: Short
    name_zh: Short
    name_en: Short
    qty: int
    price_fen: int


class CompartmentDesk(Part, frozen=True, kw_only=True):
    compartment: Short
    goods: tuple[Goods, ...]  # empty for tobacco until an adult is proven in the session (T12)
    available: bool
    reason: Short = ""  # why not: busy, blocked, count_due, staff_absent, device_offline, revoked, …
    count_due: bool = False  # sells again once staff have counted


class SessionDesk(Part, frozen=True, kw_only=True):
    """The live session of a cabinet, or its result for some seconds after the end."""

    session: Short
    compartment: Short
    mode: Literal["self_service", "staff_release", "restock"]
    state: Short  # asked paying held intent sent verify wait open weigh done
    seconds_left: float | None = None
    needs: tuple[Literal["age", "release"], ...] = ()
    member: MemberCard | None = None
    declared: tuple[BasketLine, ...] = ()
    outcome: Short = ""
    lines: tuple[BasketLine, ...] = ()
    failed_rules: tuple[Short, ...] = ()
    adult_by: Short = ""  # how an adult was proven: id_card, member_document, …; "" = not yet
    waiting_s: float | None = None  # since the customer asked


class CabinetDesk(Part, frozen=True, kw_only=True):
    cabinet: Short
    name_zh: Short
    name_en: Short
    mode: Literal["self_service", "staff_release", "counter_only"]
    compartments: tuple[CompartmentDesk, ...]
    session: SessionDesk | None = None


class StaffDesk(Part, frozen=True, kw_only=True):
    staff_id: Short
    name: Short
    manager: bool
    on_duty: bool
    beat_age_s: float | None = None
    locked_s: float | None = None  # left of a lock-out after wrong PINs
    known: bool = False  # their own card was read today: they may release tobacco (T02)


class ReviewDesk(Part, frozen=True, kw_only=True):
    """A session that staff must decide."""

    session: Short
    cabinet: Short
    reason: Short
    delta_g: float | None
    proposal: tuple[BasketLine, ...] = ()


class CountDesk(Part, frozen=True, kw_only=True):
    """A compartment that staff must count. For the staff tablet alone: it names tobacco, so no kiosk draws it (T12)."""

    cabinet: Short
    compartment: Short
    goods: tuple[Goods, ...]  # each product once, with the pieces of all its shelves by the book


class AlarmDesk(Part, frozen=True, kw_only=True):
    code: Short  # door_held_open door_forced device_offline ledger_full disk_filling line_fault count_due …
    subject: Short
    since_s: float


class DeskState(Part, frozen=True, kw_only=True, tag="state"):
    """All that the pages show, sent whole when it changes and every second while a countdown runs."""

    store_zh: Short
    store_en: Short
    cabinets: tuple[CabinetDesk, ...]
    staff: tuple[StaffDesk, ...]
    reviews: tuple[ReviewDesk, ...] = ()
    counts: tuple[CountDesk, ...] = ()  # while anybody is on duty
    alarms: tuple[AlarmDesk, ...] = ()
    revokes: tuple[Short, ...] = ()  # what only a manager opens again: `store`, `cabinet:<id>`
    cloud_online: bool = False
    counters: dict[Short, int] = {}


Action = Literal[
    "start",
    "member",
    "cancel",
    "sign_in",
    "sign_out",
    "beat",
    "release",
    "refuse",
    "review",
    "restock",
    "lift",
    "count",
    "know",
]


class Wish(Part, frozen=True, kw_only=True):
    """So many pieces of one product, as a page showed them."""

    sku: Short
    qty: Annotated[int, Meta(ge=0, le=MAX_UNITS)]


class Ask(Part, frozen=True, kw_only=True, tag="ask"):
    """A page asks; `action` decides which of the fields count.

    start{cabinet, compartment} begins at a staffed cabinet with the proof of age; once an adult is proven,
    start{cabinet, compartment, session, sku, qty} says what is wanted. member{cabinet, compartment, code} is a code
    typed instead of scanned: it begins at a self-service cabinet. cancel{session} sign_in{staff_id, pin, terminal}
    sign_out{staff_id, terminal} beat{staff_id, terminal} release{session, staff_id, pin, lines}: what the page showed.
    refuse{session, staff_id, reason} review{session, staff_id, accept} restock{cabinet, compartment, staff_id, pin}
    lift{staff_id, pin, target} count{cabinet, compartment, staff_id, units}: pieces of every product behind the door.
    know{staff_id, cabinet, terminal}: the next card laid on that cabinet's reader is this person's own.
    A terminal is one page: a reload is another.
    """

    id: Short
    action: Action
    cabinet: Short = ""
    compartment: Short = ""
    session: Short = ""
    sku: Short = ""
    qty: Annotated[int, Meta(ge=0, le=100)] = 0
    code: Annotated[str, Meta(max_length=128)] = ""
    staff_id: Short = ""
    pin: Annotated[str, Meta(max_length=16)] = ""
    terminal: Short = ""
    reason: Short = ""
    accept: bool = False
    target: Short = ""
    units: Annotated[dict[Short, Annotated[int, Meta(ge=0, le=MAX_UNITS)]], Meta(max_length=MAX_GOODS)] = {}
    lines: Annotated[tuple[Wish, ...], Meta(max_length=MAX_GOODS)] = ()

    def __repr__(self) -> str:
        """What was asked, of what: never a PIN or a member's code."""
        return f"Ask(id={self.id!r}, action={self.action!r}, cabinet={self.cabinet!r}, session={self.session!r})"


class Reply(Part, frozen=True, kw_only=True, tag="reply"):
    """The agent's word on one `Ask`; `reason` is a word that the pages translate."""

    id: Short
    ok: bool
    reason: Short = ""
    session: Short = ""
