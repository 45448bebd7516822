"""Reading the ledger's state: what of it belongs to one cabinet, and what a person has had today in all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from edge.sessions.core.inputs import CabinetSpec, Slot
from edge.sessions.core.records import Flag, Quota, Session, Stored


def belongs_to(spec: CabinetSpec) -> Callable[[str, str, Stored], bool]:
    """Whether a stored value (kind, key, value) is of this cabinet."""
    shelves = {s.shelf for p in spec.compartments.values() for s in p.shelves}

    def mine(kind: str, key: str, value: Stored) -> bool:
        if isinstance(value, Session | Quota):
            return value.cabinet == spec.cabinet
        if kind == "revoke":
            return key.startswith(f"{spec.cabinet}|")
        return key in (spec.compartments if kind in ("incident", "count_due") else shelves)

    return mine


def revoke_state(cabinet: str, target: str) -> dict[tuple[str, str], bytes]:
    """The durable half of a revoke, for whoever must write it in one transaction with something else."""
    return {("revoke", f"{cabinet}|{target}"): msgspec.json.encode(Flag())}


def day_units(state: Callable[[str], Mapping[str, bytes]], slot: Slot | None, local: datetime | None) -> int | None:
    """Units of the same person and day in all other sessions of the store; None if person or day is not known."""
    if slot is None or slot.age is None or not slot.age.person_day_key or local is None:
        return None
    whose = (slot.age.person_day_key, local.date().isoformat())
    quotas = {k: msgspec.json.decode(v, type=Quota) for k, v in state("quota").items() if k != slot.session}
    return sum(q.units for q in quotas.values() if (q.person, q.day) == whose)
