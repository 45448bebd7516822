"""What the usual segments of an audit file say, typed.

Amounts are whole numbers of the currency's smallest unit that ID4 names. A field that is empty, missing or no number
is None: a machine that does not count something is not one that counted nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from device_drivers.eva_dts.audit import AuditFile, Segment

CASHLESS = ("DA2", "DB2")  # the first and the second cashless device


@dataclass(frozen=True, slots=True)
class Machine:
    """ID1."""

    serial: str
    model: str
    build: str


@dataclass(frozen=True, slots=True)
class Currency:
    """ID4. `decimals`: digits behind the point of every amount in the file."""

    decimals: int
    code: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Paid vends. Since the machine was made (`ever`) and since its counters were last reset (`since`)."""

    value_ever: int | None
    number_ever: int | None
    value_since: int | None
    number_since: int | None


@dataclass(frozen=True, slots=True)
class Product:
    """PA1 with the PA2 to PA4 that follow it. `tests` and `free` are numbers ever."""

    selection: str
    price: int | None
    name: str
    number_ever: int | None = None
    value_ever: int | None = None
    number_since: int | None = None
    value_since: int | None = None
    tests: int | None = None
    free: int | None = None


@dataclass(frozen=True, slots=True)
class PaidBy:
    """PA7: one product, one way to pay (CA, DA, DB, TA), one price list."""

    selection: str
    device: str
    price_list: str
    price: int | None
    number_ever: int | None
    value_ever: int | None
    number_since: int | None
    value_since: int | None


@dataclass(frozen=True, slots=True)
class EventCount:
    """EA2: how often one event came."""

    event: str
    number_since: int | None
    number_ever: int | None


@dataclass(frozen=True, slots=True)
class EventTime:
    """EA1: when one event came, in the machine's own words: its clock is not ours. `minutes` it lasted."""

    event: str
    date: str
    time: str
    minutes: int | None


def machine(audit: AuditFile) -> Machine | None:
    """Whose file this is."""
    found = audit.first("ID1")
    return None if found is None else Machine(found.text(1), found.text(2), found.text(3))


def currency(audit: AuditFile) -> Currency | None:
    """What an amount means; None if the file does not say, then nobody may guess."""
    found = audit.first("ID4")
    decimals = None if found is None else found.integer(1)
    if found is None or decimals is None or not 0 <= decimals <= 4:
        return None
    return Currency(decimals, found.text(2), found.text(3))


def paid_vends(audit: AuditFile) -> Totals | None:
    """VA1: all paid vends."""
    return _totals(audit.first("VA1"))


def cash_vends(audit: AuditFile) -> Totals | None:
    """CA2: vends paid in cash."""
    return _totals(audit.first("CA2"))


def cashless_vends(audit: AuditFile) -> tuple[Totals | None, Totals | None]:
    """DA2 and DB2: vends paid by the first and the second cashless device."""
    first, second = (_totals(audit.first(name)) for name in CASHLESS)
    return first, second


def products(audit: AuditFile) -> tuple[Product, ...]:
    """One for each PA1, in the file's order, with what follows it up to the next."""
    groups: list[dict[str, Segment]] = []
    for segment in audit.segments:
        if segment.name == "PA1":
            groups.append({"PA1": segment})
        elif groups and segment.name in ("PA2", "PA3", "PA4"):
            groups[-1].setdefault(segment.name, segment)
    return tuple(_product(group) for group in groups)


def paid_by(audit: AuditFile) -> tuple[PaidBy, ...]:
    """One for each PA7."""
    return tuple(
        PaidBy(one.text(1), one.text(2), one.text(3), *(one.integer(number) for number in range(4, 9)))
        for one in audit.named("PA7")
    )


def event_counts(audit: AuditFile) -> tuple[EventCount, ...]:
    """One for each EA2."""
    return tuple(EventCount(one.text(1), one.integer(2), one.integer(3)) for one in audit.named("EA2"))


def event_times(audit: AuditFile) -> tuple[EventTime, ...]:
    """One for each EA1."""
    return tuple(EventTime(one.text(1), one.text(2), one.text(3), one.integer(4)) for one in audit.named("EA1"))


def _totals(segment: Segment | None) -> Totals | None:
    return None if segment is None else Totals(*(segment.integer(number) for number in range(1, 5)))


def _product(group: dict[str, Segment]) -> Product:
    nothing = Segment("PA2")
    head, sold = group["PA1"], group.get("PA2", nothing)
    return Product(
        selection=head.text(1),
        price=head.integer(2),
        name=head.text(3),
        number_ever=sold.integer(1),
        value_ever=sold.integer(2),
        number_since=sold.integer(3),
        value_since=sold.integer(4),
        tests=group.get("PA3", nothing).integer(1),
        free=group.get("PA4", nothing).integer(1),
    )
