"""A scripted agent behind a real desk server: it plays the state tables in short, and a test moves the goods."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from contracts.clock import SystemClock
from edge.desk.messages import (
    AlarmDesk,
    Ask,
    BasketLine,
    CabinetDesk,
    CompartmentDesk,
    CountDesk,
    DeskState,
    Goods,
    MemberCard,
    Reply,
    ReviewDesk,
    SessionDesk,
    StaffDesk,
)
from edge.desk.server import DeskServer

COLA = Goods(sku="cola", name_zh="可乐 330 毫升", name_en="Cola 330 ml", price_fen=350, units=12)
CHIPS = Goods(sku="chips", name_zh="原味薯片", name_en="Plain crisps", price_fen=780, units=6)
TEA = Goods(sku="tea", name_zh="无糖乌龙茶", name_en="Oolong tea, no sugar", price_fen=550, units=9)
NUTS = Goods(sku="nuts", name_zh="每日坚果", name_en="Daily nuts", price_fen=1290, units=4)
SMOKE_A = Goods(sku="ta", name_zh="样品甲 硬盒", name_en="Sample A, hard pack", price_fen=2600, units=18)
SMOKE_B = Goods(sku="tb", name_zh="样品乙 软盒", name_en="Sample B, soft pack", price_fen=4500, units=7)
SMOKE_C = Goods(sku="tc", name_zh="样品丙 细支", name_en="Sample C, slim", price_fen=1800, units=0)
MEMBER = MemberCard(name="陈女士", points=1280, offers=(TEA, NUTS))
TOBACCO_WORDS = ("样品", "Sample")
CODE = "ZG1.M73.0123456789abcdef"
PIN = "2468"


def line(goods: Goods, qty: int) -> BasketLine:
    return BasketLine(sku=goods.sku, name_zh=goods.name_zh, name_en=goods.name_en, qty=qty, price_fen=goods.price_fen)


def first_state() -> DeskState:
    """A quiet store: a snack cabinet with one door, one with two, a staffed cabinet, two staff."""
    return DeskState(
        store_zh="南山店",
        store_en="Nanshan",
        cabinets=(
            CabinetDesk(
                cabinet="snack",
                name_zh="零食柜",
                name_en="Snack cabinet",
                mode="self_service",
                compartments=(CompartmentDesk(compartment="A1", goods=(COLA, CHIPS, TEA, NUTS), available=True),),
            ),
            CabinetDesk(
                cabinet="drinks",
                name_zh="饮料柜",
                name_en="Drinks cabinet",
                mode="self_service",
                compartments=(
                    CompartmentDesk(compartment="B1", goods=(COLA, TEA), available=True),
                    CompartmentDesk(compartment="B2", goods=(TEA,), available=False, reason="blocked"),
                ),
            ),
            CabinetDesk(
                cabinet="staffed",
                name_zh="店员放行柜",
                name_en="Staffed cabinet",
                mode="staff_release",
                compartments=(
                    CompartmentDesk(compartment="C1", goods=(), available=True),
                    CompartmentDesk(compartment="C2", goods=(), available=True),
                ),
            ),
        ),
        staff=(
            StaffDesk(staff_id="li", name="李敏", manager=True, on_duty=False),
            StaffDesk(staff_id="wang", name="王强", manager=False, on_duty=False),
        ),
        cloud_online=True,
    )


class FakeStore:
    """Runs its own loop in a thread, so that a browser test may block. Call its verbs from the test's thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = first_state()
        self.asked: list[Ask] = []
        self.answers: dict[str, str] = {}  # action -> reason of a refusal to give next
        self.pin_for_release = False
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server = DeskServer(path, self, SystemClock())
        self._task: asyncio.Task[None] | None = None

    # -------------------------------------------------------------- life

    def start(self) -> None:
        self._thread.start()

        async def begin() -> None:
            self._task = asyncio.create_task(self._server.run())
            await self._server.ready()

        asyncio.run_coroutine_threadsafe(begin(), self._loop).result(10)

    def stop(self) -> None:
        async def end() -> None:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def state(self) -> DeskState:
        return self.now

    def reset(self) -> None:
        self._on_loop(lambda: self._set(first_state()))
        self.asked.clear()
        self.answers.clear()
        self.pin_for_release = False

    # -------------------------------------------------------------- what the world does

    def _on_loop(self, do: Callable[[], None]) -> None:
        async def run() -> None:
            do()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _set(self, state: DeskState) -> None:
        self.now = state
        self._server.changed()

    def _cabinet(self, cabinet: str) -> CabinetDesk:
        return next(c for c in self.now.cabinets if c.cabinet == cabinet)

    def _put(self, cabinet: str, **fields: Any) -> None:
        self._set(
            replace(
                self.now,
                cabinets=tuple(replace(c, **fields) if c.cabinet == cabinet else c for c in self.now.cabinets),
            )
        )

    def session(self, cabinet: str, **fields: Any) -> None:
        """Change the live session of a cabinet."""

        def do() -> None:
            session = self._cabinet(cabinet).session
            assert session is not None
            self._put(cabinet, session=replace(session, **fields))

        self._on_loop(do)

    def put(self, cabinet: str, **fields: Any) -> None:
        self._on_loop(lambda: self._put(cabinet, **fields))

    def all(self, **fields: Any) -> None:
        self._on_loop(lambda: self._set(replace(self.now, **fields)))

    def end(self, cabinet: str, outcome: str, *lines: BasketLine, rules: tuple[str, ...] = ()) -> None:
        self.session(
            cabinet, state="done", outcome=outcome, lines=lines, failed_rules=rules, needs=(), seconds_left=None
        )

    def prove_adult(self, cabinet: str) -> None:
        """A card on the reader: only now may goods be named."""

        def do() -> None:
            here = self._cabinet(cabinet)
            assert here.session is not None
            doors = tuple(
                replace(d, goods=(SMOKE_A, SMOKE_B, SMOKE_C)) if d.compartment == here.session.compartment else d
                for d in here.compartments
            )
            session = replace(here.session, needs=("release",), adult_by="id_card")
            self._put(cabinet, session=session, compartments=doors)

        self._on_loop(do)

    def scan_member(self, cabinet: str) -> None:
        """A code before the scanner: the agent starts a session by itself."""

        def do() -> None:
            self._begin(cabinet, self._cabinet(cabinet).compartments[0].compartment, state="held", member=MEMBER)

        self._on_loop(do)

    def on_duty(self, *staff: str) -> None:
        self.all(
            staff=tuple(
                replace(s, on_duty=s.staff_id in staff, beat_age_s=4.0 if s.staff_id in staff else None)
                for s in self.now.staff
            )
        )

    def review(self, *proposal: BasketLine) -> None:
        item = ReviewDesk(session="r1", cabinet="snack", reason="ambiguous", delta_g=692.4, proposal=proposal)
        self.all(reviews=(item,))

    def count(self, cabinet: str, compartment: str, *goods: Goods) -> None:
        """The weights behind a door proved nothing: it sells again once staff have counted."""
        self.all(
            counts=(*self.now.counts, CountDesk(cabinet=cabinet, compartment=compartment, goods=goods)),
            alarms=(*self.now.alarms, AlarmDesk(code="count_due", subject=compartment, since_s=12.0)),
        )
        doors = tuple(
            replace(d, available=False, reason="count_due", count_due=True) if d.compartment == compartment else d
            for d in self._cabinet(cabinet).compartments
        )
        self.put(cabinet, compartments=doors)

    def alarm(self, code: str, subject: str, since_s: float = 95.0) -> None:
        self.all(alarms=(AlarmDesk(code=code, subject=subject, since_s=since_s),))

    # -------------------------------------------------------------- what the agent answers

    def _begin(self, cabinet: str, compartment: str, **fields: Any) -> str:
        session = f"s{next(self._numbers)}"
        mode = self._cabinet(cabinet).mode
        live = SessionDesk(session=session, compartment=compartment, mode=mode, **{"state": "asked", **fields})
        self._put(cabinet, session=live)
        return session

    def _person(self, staff_id: str, **fields: Any) -> None:
        self._set(
            replace(
                self.now,
                staff=tuple(replace(s, **fields) if s.staff_id == staff_id else s for s in self.now.staff),
            )
        )

    async def ask(self, ask: Ask) -> Reply:
        self.asked.append(ask)
        if ask.action in self.answers:
            return Reply(id="", ok=False, reason=self.answers[ask.action])
        return Reply(id="", ok=False, reason=word) if (word := self._decide(ask)) else Reply(id="", ok=True)

    def _decide(self, ask: Ask) -> str:
        """Empty: granted."""
        of_session = next(
            (c for c in self.now.cabinets if c.session is not None and c.session.session == ask.session), None
        )
        match ask.action:
            case "start" if ask.sku and of_session is not None and of_session.session is not None:
                goods = next(g for g in (SMOKE_A, SMOKE_B, SMOKE_C) if g.sku == ask.sku)
                self._put(
                    of_session.cabinet,
                    session=replace(
                        of_session.session, declared=(line(goods, ask.qty),), waiting_s=3.0, seconds_left=97.0
                    ),
                )
            case "start" if self._cabinet(ask.cabinet).mode == "self_service":
                return "code_needed"
            case "start":
                self._begin(ask.cabinet, ask.compartment, needs=("age", "release"), seconds_left=114.0)
            case "member":
                if ask.code != CODE:
                    return "bad_code"
                self._begin(ask.cabinet, ask.compartment, state="held", member=MEMBER)
            case "cancel" if of_session is not None:
                self._put(of_session.cabinet, session=None)
            case "sign_in":
                if ask.pin != PIN:
                    return "wrong_pin"
                self._person(ask.staff_id, on_duty=True, beat_age_s=0.0)
            case "sign_out":
                self._person(ask.staff_id, on_duty=False, beat_age_s=None)
            case "beat":
                self._person(ask.staff_id, beat_age_s=0.0)
            case "release" if of_session is not None and of_session.session is not None:
                if self.pin_for_release and ask.pin != PIN:
                    return "wrong_pin" if ask.pin else "pin_required"
                self._put(
                    of_session.cabinet,
                    session=replace(of_session.session, needs=(), state="wait", seconds_left=10.0),
                )
            case "refuse" if of_session is not None and of_session.session is not None:
                self._put(
                    of_session.cabinet,
                    session=replace(
                        of_session.session, needs=(), state="done", outcome="cancelled", failed_rules=("refused",)
                    ),
                )
            case "review":
                self._set(replace(self.now, reviews=tuple(r for r in self.now.reviews if r.session != ask.session)))
            case "restock":
                if ask.pin != PIN:
                    return "wrong_pin"
                self._begin(ask.cabinet, ask.compartment, state="wait", seconds_left=10.0)
            case "lift":
                if ask.pin != PIN:
                    return "wrong_pin"
                self._set(replace(self.now, revokes=tuple(r for r in self.now.revokes if r != ask.target)))
            case "know":
                self._person(ask.staff_id, known=True)  # as if the card had been laid at once
            case "count":
                self._counted(ask)
            case _:
                return "gone"
        return ""

    def _counted(self, ask: Ask) -> None:
        doors = tuple(
            replace(d, available=True, reason="", count_due=False) if d.compartment == ask.compartment else d
            for d in self._cabinet(ask.cabinet).compartments
        )
        self._put(ask.cabinet, compartments=doors)
        self._set(
            replace(
                self.now,
                counts=tuple(c for c in self.now.counts if c.compartment != ask.compartment),
                alarms=tuple(a for a in self.now.alarms if a.subject != ask.compartment),
            )
        )
