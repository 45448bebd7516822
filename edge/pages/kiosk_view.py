"""Which screen a customer sees: a pure function of the agent's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from edge.desk.messages import CabinetDesk, CompartmentDesk, DeskState, Goods, SessionDesk

Kind = Literal[
    "starting",  # no agent yet
    "unknown",  # no such cabinet
    "closed",  # every door is closed for a reason
    "code",  # scan or type the member code
    "begin",  # what a staffed cabinet asks for
    "id_card",
    "goods",  # what and how many; only after an adult is proven
    "waiting",  # for the release
    "welcome",  # by name; the door is being unlocked
    "pull",
    "open",
    "weigh",
    "restock",
    "receipt",
    "unpaid",
    "nothing",
    "review",
    "declined",
    "cancelled",
]

MAX_QTY: Final = 6  # as many pieces as one settlement explains by default; the agent has the last word
_BEFORE_THE_FRAME: Final = frozenset({"asked", "paying", "held"})
_ENDS: Final[dict[str, Kind]] = {
    "settled": "receipt",
    "nothing": "nothing",
    "review": "review",
    "review_charged": "receipt",
    "settled_unpaid": "unpaid",
    "nothing_taken": "nothing",
    "not_opened": "nothing",
    "review_dropped": "nothing",
    "cancelled": "cancelled",
    "voided": "cancelled",
    "declined": "declined",
}
_COUNTED: Final = frozenset({"id_card", "goods", "waiting", "pull", "open"})  # there is something to do in time
# What a customer can understand and act on, the most telling first. A missing release (T02) is no reason: it was
# never given, or the customer left.
_TELLING: Final = (
    "refused",
    "timeout",
    "T03",
    "T06",
    "T01",
    "T05",
    "T04",
    "revoke",
    "D.offline",
    "D.incident",
    "D.door",
    "D.weights",
)


@dataclass(slots=True)
class Choice:
    """What this visitor has chosen on this screen; forgotten when a session ends."""

    sku: str = ""
    qty: int = 1

    def forget(self) -> None:
        self.sku, self.qty = "", 1


@dataclass(frozen=True, slots=True)
class Screen:
    """One decision, or one thing to wait for."""

    kind: Kind
    cabinet: CabinetDesk | None = None
    door: CompartmentDesk | None = None
    session: SessionDesk | None = None
    reason: str = ""

    @property
    def can_cancel(self) -> bool:
        """Before the frame a session can end; after it, putting back and closing the door is what cancels."""
        return self.session is not None and self.session.state in _BEFORE_THE_FRAME

    @property
    def seconds_left(self) -> float | None:
        """Of a countdown that the customer can do something about."""
        return self.session.seconds_left if self.session is not None and self.kind in _COUNTED else None


def screen_of(state: DeskState | None, cabinet_id: str) -> Screen:
    """The screen of this cabinet's kiosk now."""
    if state is None:
        return Screen("starting")
    cabinet = next((c for c in state.cabinets if c.cabinet == cabinet_id), None)
    if cabinet is None:
        return Screen("unknown")
    if cabinet.mode == "counter_only":
        return Screen("closed", cabinet, reason="counter_only")
    session = cabinet.session
    if session is None or (session.state == "done" and session.mode == "restock"):
        return _before(cabinet)
    return _in_session(cabinet, session)


def _before(cabinet: CabinetDesk) -> Screen:
    usable = [d for d in cabinet.compartments if d.available]
    if not usable:
        reason = cabinet.compartments[0].reason if cabinet.compartments else "blocked"
        return Screen("closed", cabinet, reason=reason)
    if cabinet.mode == "staff_release":
        return Screen("begin", cabinet, usable[0] if len(usable) == 1 else None)
    return Screen("code", cabinet, usable[0])


def _in_session(cabinet: CabinetDesk, session: SessionDesk) -> Screen:
    door = next((d for d in cabinet.compartments if d.compartment == session.compartment), None)

    why = next((rule for rule in _TELLING if rule in session.failed_rules), "")

    def screen(kind: Kind) -> Screen:
        return Screen(kind, cabinet, door, session, why)

    if session.state == "done":
        return screen(_ENDS.get(session.outcome, "review"))
    if session.mode == "restock":
        return screen("restock")
    if session.state in ("open", "weigh"):
        return screen("open" if session.state == "open" else "weigh")
    if session.state == "wait":
        return screen("pull")
    if session.mode == "staff_release" and session.state == "asked":
        if "age" in session.needs:
            return screen("id_card")
        return screen("waiting" if session.declared else "goods")
    if session.mode == "staff_release" and "release" in session.needs:
        return screen("waiting")  # the release expired while the hold stood: staff may give it again
    return screen("welcome")


def goods_of(screen: Screen) -> tuple[Goods, ...]:
    """What may be named on this screen. Behind staff_release: nothing before an adult is proven in this session,
    whatever the state carries (T12)."""
    if screen.cabinet is None or screen.door is None:
        return ()
    if screen.cabinet.mode == "staff_release" and (screen.session is None or "age" in screen.session.needs):
        return ()
    return screen.door.goods


def chosen_goods(screen: Screen, choice: Choice) -> Goods | None:
    """The product chosen on the `goods` screen; the only one is chosen already."""
    goods = [g for g in goods_of(screen) if g.units > 0]
    if len(goods) == 1:
        return goods[0]
    return next((g for g in goods if g.sku == choice.sku), None)


def qty_of(screen: Screen, choice: Choice) -> int:
    """The quantity as shown: between one and what is there."""
    goods = chosen_goods(screen, choice)
    return max(1, min(choice.qty, MAX_QTY, goods.units if goods else 1))
