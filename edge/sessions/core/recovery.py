"""Table R: a process start. Permissions are gone; each open session is taken up where the ledger left it."""

from __future__ import annotations

import msgspec

from contracts.event_types import CabinetSettlementNeedsReview, CabinetUnlockCompleted
from edge.sessions.core import conclude, money
from edge.sessions.core.asking import House
from edge.sessions.core.draft import Draft
from edge.sessions.core.inputs import Slot
from edge.sessions.core.records import Session


def recover(house: House, d: Draft) -> None:
    """All rows of table R that need no device; idempotent, so a crash during it starts it again."""
    d.slot = None
    # The boot before may have pulsed anything a moment ago: every latch is over and every line fenced only from now.
    d.pulses = dict.fromkeys(house.spec.compartments, d.now_s)
    d.unfenced = frozenset(house.spec.compartments)
    prefix = f"{house.spec.cabinet}|"
    d.revoked |= {key.removeprefix(prefix) for key in d.kind("revoke")}
    for session in list(d.sessions.values()):
        if not session.concluded:
            _take_up(house, d, session)


def _take_up(house: House, d: Draft, session: Session) -> None:
    if not session.intents:
        d.kind("quota").pop(session.id, None)
        if session.pay_asked:
            money.void(d, session.id, "restart")
        else:
            d.end(session.id, "cancelled", "restart")
        return
    last = session.intents[-1]
    if not last.result:
        done = msgspec.structs.replace(last, result="unknown")
        session = d.session(session.id, intents=(*session.intents[:-1], done))
        d.say(CabinetUnlockCompleted(session=session.id, intent=last.id, result="unknown"))
    if session.compartment not in house.spec.compartments:  # the cabinet was rebuilt meanwhile
        d.session(session.id, conclusion="review", review_reason="no_such_compartment")
        d.say(CabinetSettlementNeedsReview(session=session.id, reason="no_such_compartment", shelves=(), blind=True))
        return
    second = d.slot is not None  # cannot be: one slot a cabinet; if the ledger says so all the same, nobody is charged
    blind = Slot(
        session=session.id,
        compartment=session.compartment,
        state="verify",
        since_s=d.now_s,
        attempt=last.attempt,
        intent=last.id,
        blind=True,
        door_seen=session.door_opened,
    )
    if second:
        first, d.slot = d.slot, blind
        conclude.review_unknown(house, d, "second_slot")
        d.slot = first
    else:
        d.slot = blind
