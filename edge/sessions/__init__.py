"""Sessions and interlocks: who may open what, what was taken, what it costs, and how every doubt ends truthfully.

`core/` is the pure machine; the shells beside it give it doors, scales, people, money, time and a ledger.
"""

from edge.sessions.ledgered import revoke_state
from edge.sessions.payment import PendedBasket
from edge.sessions.pins import hash_pin
from edge.sessions.policy import Policy, load_policy
from edge.sessions.runner import CabinetRunner, RequestResult
from edge.sessions.snapshot import CabinetSnapshot
from edge.sessions.staff_desk import StaffDesk

__all__ = [
    "CabinetRunner",
    "CabinetSnapshot",
    "PendedBasket",
    "Policy",
    "RequestResult",
    "StaffDesk",
    "hash_pin",
    "load_policy",
    "revoke_state",
]
