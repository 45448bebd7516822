"""The events of snack sales, as a self-service cabinet of the demo writes them: what the benchmarks send."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from contracts.event_types import (
    CabinetDoorClosed,
    CabinetDoorOpened,
    CabinetSessionEnded,
    CabinetSessionStarted,
    CabinetSettlementResolved,
    CabinetStockChanged,
    CabinetUnlockCompleted,
    CabinetUnlockGranted,
    EventData,
    Line,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentRequested,
    ShelfDelta,
    ShelfWeight,
)


def sale_events(rng: Random) -> Iterator[EventData]:
    """One snack sale after another, event for event as a self-service cabinet of the demo writes them."""
    while True:
        session = f"{rng.getrandbits(80):020x}"
        intent, units = f"{session}-1", rng.randint(1, 3)
        book_g = [round(3000 + rng.random() * 2000, 1) for _ in "abc"]
        weights = [
            ShelfWeight(shelf=f"S1-{s}", book_g=g, fresh_g=g - 0.2, epoch=0) for s, g in zip("abc", book_g, strict=True)
        ]
        deltas = [
            ShelfDelta(shelf=f"S1-{s}", delta_g=d, book_g=round(g - d, 1), epoch=0)
            for s, g, d in zip("abc", book_g, (62.5 * units, 0.2, 0.1), strict=True)
        ]
        line = Line(sku="690001", qty=units, price_fen=650, shelf="S1-a")
        yield CabinetSessionStarted(
            session=session, cabinet="S1", compartment="S1-door", mode="self_service", actor_ref="m0001"
        )
        yield PaymentRequested(session=session, kind="authorise", key=session, amount_fen=20_000)
        yield PaymentAuthorised(session=session, key=session, amount_fen=20_000)
        yield CabinetUnlockGranted(
            session=session,
            intent=intent,
            attempt=1,
            board=1,
            channel=1,
            weights=tuple(weights),
            rule_ids=("revoke", "T11", "T14"),
            policy_version="demo-1",
        )
        yield CabinetUnlockCompleted(session=session, intent=intent, result="opened", latency_ms=7.412)
        yield CabinetDoorOpened(compartment="S1-door", session=session)
        yield CabinetDoorClosed(compartment="S1-door", session=session, open_s=11.258)
        yield CabinetSettlementResolved(session=session, lines=(line,), shelves=tuple(deltas))
        yield CabinetStockChanged(shelf="S1-a", sku="690001", delta_units=-units, evidence="weight", session=session)
        yield PaymentRequested(session=session, kind="capture", key=session, amount_fen=650 * units)
        yield PaymentCaptured(session=session, key=session, amount_fen=650 * units)
        yield CabinetSessionEnded(session=session, outcome="settled")
