"""A day told twice: what happened, and a ledger that tells it rightly. Tests spoil one side."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.envelope import Envelope, Stamp, decode_data, decode_envelope, encode_event
from contracts.event_types import (
    CabinetDoorClosed,
    CabinetDoorForced,
    CabinetDoorOpened,
    CabinetSessionEnded,
    CabinetSessionStarted,
    CabinetSettlementNeedsReview,
    CabinetSettlementResolved,
    CabinetStockUnexplained,
    CabinetUnlockCompleted,
    CabinetUnlockGranted,
    DeviceOnline,
    EventData,
    Line,
    PaymentCaptured,
    ShelfDelta,
)
from simulators.truth import TruthRecord
from simulators.truth.sessions import Event

LEDGER = "11111111-1111-4111-8111-111111111111"
TELEMETRY = "22222222-2222-4222-8222-222222222222"
GRAMS = {"crisps": 45.0, "nuts": 120.0, "smoke": 22.0}
PRICE = {"crisps": 500, "nuts": 900, "smoke": 2500}
SHELF = {"a1": "shelf-a1", "t1": "shelf-t1"}
CABINET = {"a1": "snacks-a", "t1": "tobacco"}
Said = tuple[float, str, EventData]  # store time, boot, what


class Story:
    """Both sides of a day, as lists that a test may edit."""

    def __init__(self) -> None:
        self.truth: list[TruthRecord] = []
        self.said: list[Said] = []
        self.boot = "boot-1"
        self.kills: list[float] = []

    # -------------------------------------------------------------- the two sides

    def was(self, t: float, kind: str, **fields: object) -> None:
        if compartment := fields.get("compartment"):
            fields.setdefault("cabinet", CABINET[str(compartment)])
        self.truth.append(TruthRecord(t=t, kind=kind, **fields))  # type: ignore[arg-type]  # a test names real kinds

    def says(self, t: float, data: EventData) -> None:
        self.said.append((t, self.boot, data))

    def moved(self, t: float, visit: str, sku: str, qty: int, compartment: str = "a1", *, kind: str = "taken") -> None:
        where = {"compartment": compartment, "shelf": SHELF[compartment]}
        self.was(t, kind, visit=visit, sku=sku, qty=qty, grams=qty * GRAMS[sku], **where)

    def events(self) -> list[Event]:
        return written(self.said)

    # -------------------------------------------------------------- scenes

    def arrives(self, t: float, visit: str, member: str = "m-1", compartment: str = "a1", *, scan: bool = True) -> None:
        cabinet = CABINET[compartment]
        self.was(t, "visit_started", visit=visit, cabinet=cabinet, member=member)
        if scan:
            self.was(t + 1, "scanned", visit=visit, cabinet=cabinet, member=member)

    def starts(
        self, t: float, session: str, member: str = "m-1", compartment: str = "a1", mode: str = "self_service"
    ) -> None:
        self.says(
            t,
            CabinetSessionStarted(
                session=session,
                cabinet=CABINET[compartment],
                compartment=compartment,
                mode=mode,  # type: ignore[arg-type]  # a test names real modes
                actor_ref=member,
            ),
        )

    def pulses(self, t: float, session: str, compartment: str = "a1", attempt: int = 1, result: str = "opened") -> None:
        intent = f"{session}-i{attempt}"
        self.says(
            t,
            CabinetUnlockGranted(
                session=session,
                intent=intent,
                attempt=attempt,  # type: ignore[arg-type]  # 1 or 2
                board=1,
                channel=1,
                weights=(),
            ),
        )
        self.was(t + 0.1, "pulsed", compartment=compartment, device="board-1")
        self.says(t + 0.2, CabinetUnlockCompleted(session=session, intent=intent, result=result))  # type: ignore[arg-type]

    def opens(self, t: float, visit: str, session: str, compartment: str = "a1") -> None:
        self.was(t, "door_opened", visit=visit, compartment=compartment)
        self.says(t + 0.3, CabinetDoorOpened(compartment=compartment, session=session))

    def closes(self, t: float, visit: str, session: str, compartment: str = "a1") -> None:
        self.was(t, "door_closed", visit=visit, compartment=compartment)
        self.says(t + 0.3, CabinetDoorClosed(compartment=compartment, session=session, open_s=5.0))

    def sells(self, t: float, session: str, goods: dict[str, int], compartment: str = "a1", **more: object) -> None:
        lines = tuple(Line(sku=k, qty=n, price_fen=PRICE[k], shelf=SHELF[compartment]) for k, n in goods.items())
        delta_g = sum(n * GRAMS[k] for k, n in goods.items()) + 0.4
        self.says(
            t,
            CabinetSettlementResolved(
                session=session,
                lines=lines,
                shelves=(delta(delta_g, compartment),),
                **more,  # type: ignore[arg-type]  # a test names real fields
            ),
        )
        if goods:
            amount_fen = sum(n * PRICE[k] for k, n in goods.items())
            self.says(t + 0.1, PaymentCaptured(session=session, key=session, amount_fen=amount_fen))

    def reviews(self, t: float, session: str, delta_g: float | None, reason: str, *, blind: bool = False) -> None:
        self.says(
            t, CabinetSettlementNeedsReview(session=session, reason=reason, shelves=(delta(delta_g),), blind=blind)
        )

    def ends(self, t: float, session: str, outcome: str) -> None:
        self.says(t, CabinetSessionEnded(session=session, outcome=outcome))  # type: ignore[arg-type]  # a real outcome

    def purchase(
        self, t: float, number: int, goods: dict[str, int], member: str = "m-1", compartment: str = "a1"
    ) -> None:
        """A whole visit of 20 s in which all goes well."""
        visit, session = f"v{number}", f"s{number}"
        staffed = compartment == "t1"
        self.arrives(t, visit, member, compartment, scan=not staffed)
        self.starts(t + 2, session, member, compartment, "staff_release" if staffed else "self_service")
        self.pulses(t + 3, session, compartment)
        self.opens(t + 5, visit, session, compartment)
        for sku, qty in goods.items():
            self.moved(t + 6, visit, sku, qty, compartment)
        self.closes(t + 10, visit, session, compartment)
        self.sells(t + 12, session, goods, compartment)
        self.ends(t + 13, session, "settled" if goods else "nothing_taken")
        self.was(t + 14, "visit_ended", visit=visit, cabinet=CABINET[compartment])


def delta(delta_g: float | None, compartment: str = "a1") -> ShelfDelta:
    return ShelfDelta(shelf=SHELF[compartment], delta_g=delta_g, book_g=1000.0, epoch=1)


def written(said: Sequence[Said]) -> list[Event]:
    """The events as the cloud holds them: each lane numbered without a hole, decoded from real bytes."""
    numbers = {"ledger": 0, "telemetry": 0}
    events: list[Event] = []
    for t, boot, data in sorted(said, key=lambda one: one[0]):
        numbers[data.LANE] += 1
        stream = LEDGER if data.LANE == "ledger" else TELEMETRY
        stamp = Stamp(time="2026-06-01T00:00:00.000Z", boot=boot, monotonic_ns=int(t * 1e9), clock_quality="synced")
        raw = encode_event(data, stream=stream, seq=numbers[data.LANE], source="/t/s/agent", stamp=stamp)
        envelope: Envelope = decode_envelope(raw)
        events.append((envelope, decode_data(envelope)))
    return events


def day() -> Story:
    """Every kind of thing that can happen, told rightly."""
    story = Story()
    story.says(0.0, DeviceOnline(device="board-1", kind="lock_board"))
    story.purchase(10, 1, {"crisps": 2, "nuts": 1})
    story.purchase(40, 2, {})
    story.purchase(70, 3, {"smoke": 1}, member="", compartment="t1")
    # somebody scans and never opens; the lock needs two pulses
    story.arrives(100, "v4", "m-2")
    story.starts(102, "s4", "m-2")
    story.pulses(103, "s4", result="no_reply")
    story.pulses(109, "s4", attempt=2)
    story.was(114.1, "latch_expired", compartment="a1")
    story.sells(121, "s4", {})
    story.ends(122, "s4", "not_opened")
    story.was(118, "visit_ended", visit="v4", cabinet="snacks-a")
    # scans, and is refused before anything moves
    story.arrives(130, "v5", "m-2")
    story.starts(132, "s5", "m-2")
    story.ends(133, "s5", "cancelled")
    story.was(140, "visit_ended", visit="v5", cabinet="snacks-a")
    # takes one, and leaves something foreign: a review, open at the end of the day
    story.arrives(150, "v6")
    story.starts(152, "s6")
    story.pulses(153, "s6")
    story.opens(155, "v6", "s6")
    story.moved(156, "v6", "nuts", 1)
    story.was(157, "foreign", visit="v6", compartment="a1", shelf="shelf-a1", grams=33.0)
    story.closes(158, "v6", "s6")
    story.reviews(160, "s6", 120.0 - 33.0 + 0.5, "foreign_item")
    story.was(161, "visit_ended", visit="v6", cabinet="snacks-a")
    # a thief
    story.was(180, "door_opened", compartment="a1", detail="forced")
    story.says(180.4, CabinetDoorForced(compartment="a1"))
    story.moved(182, "", "crisps", 3)
    story.was(184, "door_closed", compartment="a1")
    story.says(190, CabinetStockUnexplained(compartment="a1", shelves=(delta(135.5),)))
    # the agent dies while a shopper stands at the open door; staff charge the proposal afterwards
    story.arrives(200, "v7")
    story.starts(202, "s7")
    story.pulses(203, "s7")
    story.opens(205, "v7", "s7")
    story.moved(206, "v7", "nuts", 1)
    story.kills.append(210.0)
    story.was(211, "door_closed", visit="v7", compartment="a1")
    story.was(212, "visit_ended", visit="v7", cabinet="snacks-a")
    story.boot = "boot-2"
    story.says(214, DeviceOnline(device="board-1", kind="lock_board"))
    story.reviews(218, "s7", 119.7, "blind", blind=True)
    nuts = (Line(sku="nuts", qty=1, price_fen=900, shelf="shelf-a1"),)
    story.says(300, CabinetSettlementResolved(session="s7", lines=nuts, shelves=(), decided_by="staff"))
    story.says(301, PaymentCaptured(session="s7", key="s7", amount_fen=900))
    story.ends(301.1, "s7", "settled")
    # staff fill the shelf up
    story.was(400, "visit_started", visit="v8", cabinet="snacks-a")
    story.starts(402, "s8", "staff-1", mode="restock")
    story.pulses(403, "s8")
    story.opens(405, "v8", "s8")
    story.moved(406, "v8", "crisps", 4, kind="stocked")
    story.closes(410, "v8", "s8")
    story.says(412, CabinetSettlementResolved(session="s8", lines=(), shelves=(delta(-180.2),)))
    story.ends(412, "s8", "restocked")
    story.was(413, "visit_ended", visit="v8", cabinet="snacks-a")
    story.purchase(450, 9, {"crisps": 1}, member="m-2")
    return story
