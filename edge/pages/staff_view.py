"""Which screen a staff member sees: a pure function of the agent's state and of where they are on this tablet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from edge.desk.messages import (
    BasketLine,
    CabinetDesk,
    CompartmentDesk,
    CountDesk,
    DeskState,
    ReviewDesk,
    SessionDesk,
    StaffDesk,
)
from edge.pages.staff_count import count_of

Kind = Literal[
    "starting",  # no agent yet
    "name",  # who are you
    "pin",  # to sign in
    "request",  # a customer waits: fills the screen
    "refuse",  # why
    "home",
    "review",  # one session to decide
    "restock",  # which door
    "lift",  # which revoke
    "count",  # how many stand behind one door; stays below a customer's request, and comes back after it
    "pin_release",
    "pin_restock",
    "pin_lift",
]
Errand = Literal["", "refuse", "review", "restock", "lift", "pin_release", "pin_restock", "pin_lift"]

BEAT_EVERY_S: Final = 20.0
TOUCH_COUNTS_S: Final = 110.0  # below T_presence: a tablet left alone stops beating before the agent's patience ends
ASK_AFTER_S: Final = 70.0
SIGN_IN_GRACE_S: Final = 15.0  # from the agent's yes to a state that shows it; the agent beats every ten seconds
REFUSALS: Final = ("age_doubt", "not_holder", "for_minor", "quantity", "unwell", "other")


@dataclass(slots=True)
class Desk:
    """What this tablet knows by itself. No PIN is ever kept."""

    staff_id: str = ""  # signed in on this page
    naming: str = ""  # chosen name, PIN still to come
    errand: Errand = ""
    target: str = ""  # of the errand: a session, a revoke, or cabinet and compartment joined by a slash
    shown: tuple[BasketLine, ...] = ()  # the basket under the Release button, as it was tapped
    counting: str = ""  # cabinet and compartment whose count is under way
    counted: dict[str, str] = field(default_factory=dict)  # by product: what was typed so far
    drawn: dict[str, str] = field(default_factory=dict)  # what the form began with: typing must not redraw it
    signed_in_pace_s: float = 0.0  # real time: it waits for a line, not for a store
    seen_on_duty: bool = False
    touched_s: float = 0.0
    beaten_s: float = 0.0

    def sign_in(self, staff_id: str, now_s: float, pace_s: float) -> None:
        """The agent said yes, at `now_s` of the store and `pace_s` of real time."""
        self.leave()
        self.staff_id, self.touched_s, self.beaten_s, self.signed_in_pace_s = staff_id, now_s, now_s, pace_s

    def leave(self) -> None:
        """Forget the person."""
        self.staff_id = self.naming = self.target = ""
        self.count("")
        self.shown = ()
        self.errand = ""
        self.seen_on_duty = False

    def go(self, errand: Errand, target: str = "") -> None:
        self.errand, self.target = errand, target

    def count(self, target: str) -> None:
        """Begin the count behind a door; "" ends it."""
        self.counting, self.counted, self.drawn = target, {}, {}

    def beat_due(self, now_s: float) -> bool:
        """A beat goes out only for somebody signed in here who has touched the page lately."""
        return bool(self.staff_id) and now_s - self.touched_s < TOUCH_COUNTS_S and now_s - self.beaten_s >= BEAT_EVERY_S

    def here_left_s(self, now_s: float) -> float | None:
        """Seconds until beats stop, once it is time to ask; None before."""
        idle_s = now_s - self.touched_s
        return max(0.0, TOUCH_COUNTS_S - idle_s) if self.staff_id and idle_s >= ASK_AFTER_S else None


@dataclass(frozen=True, slots=True)
class Request:
    """A session that waits for a release."""

    cabinet: CabinetDesk
    session: SessionDesk


@dataclass(frozen=True, slots=True)
class Screen:
    kind: Kind
    me: StaffDesk | None = None
    request: Request | None = None
    waiting: int = 0  # requests beside this one
    review: ReviewDesk | None = None
    count: CountDesk | None = None


def lapsed(state: DeskState | None, desk: Desk, pace_s: float) -> bool:
    """The agent no longer counts this person as on duty; remembers on `desk` that it once did."""
    me = staff_of(state, desk.staff_id)
    if me is None or not desk.staff_id:
        return False
    if me.on_duty:
        desk.seen_on_duty = True
        return False
    return desk.seen_on_duty or pace_s - desk.signed_in_pace_s > SIGN_IN_GRACE_S


def screen_of(state: DeskState | None, desk: Desk) -> Screen:
    """The screen of this tablet now. A customer's request comes before everything but an errand for it."""
    if state is None:
        return Screen("starting")
    me = staff_of(state, desk.staff_id)
    if me is None:
        who = staff_of(state, desk.naming)
        return Screen("pin", who) if who else Screen("name")
    waiting = requests_of(state)
    if desk.errand in ("refuse", "pin_release"):
        about = next((r for r in waiting if r.session.session == desk.target), None)
        if about is not None:
            return Screen("refuse" if desk.errand == "refuse" else "pin_release", me, about, len(waiting) - 1)
    elif waiting and not desk.errand.startswith("pin_"):
        return Screen("request", me, waiting[0], len(waiting) - 1)
    if desk.errand == "review":
        review = next((r for r in state.reviews if r.session == desk.target), None)
        if review is not None:
            return Screen("review", me, review=review)
    elif desk.errand in ("restock", "lift", "pin_restock", "pin_lift"):
        return Screen(desk.errand, me)
    if waiting:
        return Screen("request", me, waiting[0], len(waiting) - 1)
    count = count_of(state, desk.counting)
    return Screen("count", me, count=count) if count is not None else Screen("home", me)


def staff_of(state: DeskState | None, staff_id: str) -> StaffDesk | None:
    """The person of this id."""
    return next((s for s in state.staff if s.staff_id == staff_id), None) if state and staff_id else None


def requests_of(state: DeskState) -> tuple[Request, ...]:
    """Sessions that need a release and nothing else, the longest waiting first."""
    found = [
        Request(c, c.session)
        for c in state.cabinets
        if c.session is not None
        and c.session.state != "done"
        and "release" in c.session.needs
        and "age" not in c.session.needs
        and c.session.declared
    ]
    return tuple(sorted(found, key=lambda r: -(r.session.waiting_s or 0.0)))


def doors_of(state: DeskState) -> tuple[tuple[CabinetDesk, CompartmentDesk], ...]:
    """Every door that can be restocked."""
    return tuple((c, d) for c in state.cabinets for d in c.compartments)


def readers_of(state: DeskState, me: StaffDesk | None) -> tuple[CabinetDesk, ...]:
    """Where this person may lay their own card; none for somebody who is known already."""
    if me is None or not me.on_duty or me.known:
        return ()
    return tuple(c for c in state.cabinets if c.mode == "staff_release")


def revokes_of(state: DeskState) -> tuple[str, ...]:
    """What a manager may lift, as the agent says it; cabinets whose doors are revoked, if it does not say."""
    if state.revokes:
        return state.revokes
    return tuple(f"cabinet:{c.cabinet}" for c in state.cabinets if any(d.reason == "revoked" for d in c.compartments))


def amount_fen(lines: tuple[BasketLine, ...]) -> int:
    """Price of all lines."""
    return sum(line.price_fen * line.qty for line in lines)
