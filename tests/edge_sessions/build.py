"""What the tests of sessions share: a small cabinet, a policy with a licence, facts in which everything is well."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache

from contracts.event_types import Line
from edge.sessions.core.gate import Release
from edge.sessions.core.inputs import CabinetSpec, CompartmentSpec, Facts, ShelfSpec, View, Weight
from edge.sessions.core.settlement import Sku
from edge.sessions.policy import LicencePolicy, Policy, load_policy

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # 12:00 in the store
LICENCE = LicencePolicy(number="000000100001", valid_from=date(2025, 1, 1), valid_until=date(2027, 1, 1))
BISCUIT = Sku("biscuit", 50.0, 0.02, 500)
JUICE = Sku("juice", 90.0, 0.02, 800)
START_G = 10 * 50.0 + 10 * 90.0


@cache
def policy(**sale: int) -> Policy:
    default = load_policy()
    return default.model_copy(
        update={"licence": LICENCE, "sale": default.sale.model_copy(update={"tobacco_cap_units": 3, **sale})}
    )


def compartment(name: str, *, tobacco: bool = False, shelves: int = 1, channel: int = 1) -> CompartmentSpec:
    return CompartmentSpec(
        compartment=name,
        board="lock-1",
        address=1,
        channel=channel,
        shelves=tuple(
            ShelfSpec(f"{name}-s{i}", 0.5, (BISCUIT, JUICE), {"biscuit": 10, "juice": 10})
            for i in range(1, shelves + 1)
        ),
        tobacco=tobacco,
    )


def cabinet(mode: str = "self_service", *, count: int = 1, shelves: int = 1) -> CabinetSpec:
    assert mode in ("self_service", "staff_release", "counter_only")
    names = [f"k{i}" for i in range(1, count + 1)]
    return CabinetSpec(
        cabinet="cab",
        mode=mode,  # type: ignore[arg-type]  # checked above
        compartments={
            n: compartment(n, tobacco=mode != "self_service", shelves=shelves, channel=i)
            for i, n in enumerate(names, start=1)
        },
    )


def line(sku: str = "biscuit", qty: int = 1, shelf: str = "k1-s1") -> Line:
    return Line(sku=sku, qty=qty, price_fen=1, shelf=shelf)


def view(
    g: float | Mapping[str, float] = START_G, *, since_s: float = 0.0, epoch: int = 0, opened: bool = False
) -> View:
    """A compartment as its devices show it; a number is the weight of the one shelf."""
    shelves = g if isinstance(g, Mapping) else {"k1-s1": g}
    weights = {shelf: Weight(w, epoch, since_s) for shelf, w in shelves.items()}
    return View(open=opened, fenced=True, fresh=True, weights=None if opened else weights)


def facts(seen: View | None = None, **changes: object) -> Facts:
    values: dict[str, object] = {
        "wall": NOON,
        "on_duty": {"anna": 0.0, "ben": 0.0},
        "adult_staff": frozenset({"anna"}),
        "staff_keys": {"anna": "staff-anna", "ben": "staff-ben"},
        "day_units": 0,
        "writable": True,
        "views": {"k1": seen or view()},
    }
    return Facts(**{**values, **changes})  # type: ignore[arg-type]  # test convenience


def release(session: str = "s1", staff: str = "anna", at_s: float = 0.0, place: str = "k1") -> Release:
    return Release(id=f"r-{session}-{at_s:g}", staff_id=staff, session=session, compartment=place, at_s=at_s)
