"""What the store's pages see and may ask: the agent's side of the desk. Every answer is the sessions' own word."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.clock import Clock
from contracts.event_types import Lane, Line
from edge.config import CabinetConfig, CompartmentConfig, StoreConfig
from edge.counts import split
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
from edge.devices.health import DeviceHealth
from edge.greeting import Begun, Greeting
from edge.sessions import CabinetRunner, CabinetSnapshot, RequestResult
from edge.sessions import StaffDesk as Staff
from edge.sessions.snapshot import CompartmentSnapshot, SessionSnapshot
from edge.uplink.line_watch import LineFault

OFFLINE_ALARM_S = 10.0
PROOF = "id_card"


@dataclass(slots=True)
class Front:
    """Implements `DeskBackend` over the runners of all cabinets."""

    config: StoreConfig
    runners: Mapping[str, CabinetRunner]
    staff: Staff
    greeting: Greeting
    health: Mapping[str, DeviceHealth]
    clock: Clock
    online: Callable[[], bool]
    counters: Callable[[], Mapping[str, int]]
    greet: Callable[[Begun, str], None]  # ask the cloud for a greeting, apart
    disk: Callable[[], str]  # how full the ledger's disk is: ok warn free_telemetry full
    arm: Callable[[str, str], bool]  # await the own card of a person at a cabinet; False without a reader
    line_fault: Callable[[], LineFault | None] = lambda: None  # what a person must mend before the cloud can hear us
    cannot_fork: Callable[[], Mapping[Lane, float]] = dict  # lanes that find no room to go on, and since when
    _seen: dict[str, float] = field(default_factory=dict)  # session: when it was first shown
    _filling_s: float | None = None  # since when the disk has little room
    _due: dict[str, float] = field(default_factory=dict)  # compartment to be counted: since when we know

    # -------------------------------------------------------------- what pages see

    def state(self) -> DeskState:
        """All that the pages show, now."""
        snapshots = {c.id: self.runners[c.id].snapshot() for c in self.config.cabinet}
        live = frozenset(s.session.session for s in snapshots.values() if s.session)
        self.greeting.keep_only(live)
        now_s = self.clock.now_s()
        self._seen = {session: self._seen.get(session, now_s) for session in live}
        revokes = sorted({target for s in snapshots.values() for target in s.revoked})
        return DeskState(
            store_zh=self.config.name_zh,
            store_en=self.config.name_en,
            cabinets=tuple(self._cabinet(c, snapshots[c.id]) for c in self.config.cabinet),
            staff=tuple(
                StaffDesk(
                    staff_id=p.staff_id,
                    name=p.name,
                    manager=p.manager,
                    on_duty=p.on_duty,
                    beat_age_s=p.beat_age_s,
                    locked_s=p.locked_s,
                    known=p.known,
                )
                for p in self.staff.people()
            ),
            reviews=tuple(
                ReviewDesk(
                    session=r.session,
                    cabinet=name,
                    reason=r.reason,
                    delta_g=r.delta_g,
                    proposal=self._basket(r.proposal),
                )
                for name, s in snapshots.items()
                for r in s.reviews
            ),
            counts=self._counts(snapshots) if self.staff.on_duty() else (),
            alarms=self._alarms(snapshots, now_s),
            revokes=tuple(revokes),
            cloud_online=self.online(),
            counters={name[:64]: n for name, n in self.counters().items() if n},
        )

    def _cabinet(self, cabinet: CabinetConfig, snapshot: CabinetSnapshot) -> CabinetDesk:
        session = snapshot.session
        return CabinetDesk(
            cabinet=cabinet.id,
            name_zh=cabinet.name_zh,
            name_en=cabinet.name_en,
            mode=cabinet.mode,
            compartments=tuple(
                self._compartment(config, shown, session)
                for config, shown in zip(cabinet.compartment, snapshot.compartments, strict=True)
            ),
            session=self._session(session) if session else None,
        )

    def _compartment(
        self, config: CompartmentConfig, shown: CompartmentSnapshot, session: SessionSnapshot | None
    ) -> CompartmentDesk:
        """Tobacco is named only to an adult, in the session that has proven it (T12)."""
        proven = session is not None and session.age_proven and session.compartment == config.id
        goods: tuple[Goods, ...] = ()
        if not shown.tobacco or proven:
            goods = tuple(
                self._goods(stock.sku, shown.units.get((shelf.id, stock.sku), 0))
                for shelf in config.shelf
                for stock in shelf.stock
            )
        return CompartmentDesk(
            compartment=config.id,
            goods=goods,
            available=shown.available,
            reason=shown.reason,
            count_due=shown.count_due,
        )

    def _counts(self, snapshots: Mapping[str, CabinetSnapshot]) -> tuple[CountDesk, ...]:
        """What staff must count: each product of the compartment once, over all its shelves."""
        return tuple(
            CountDesk(
                cabinet=cabinet.id,
                compartment=config.id,
                goods=tuple(
                    self._goods(sku, sum(n for (_, name), n in shown.units.items() if name == sku))
                    for sku in dict.fromkeys(stock.sku for shelf in config.shelf for stock in shelf.stock)
                ),
            )
            for cabinet in self.config.cabinet
            for config, shown in zip(cabinet.compartment, snapshots[cabinet.id].compartments, strict=True)
            if shown.count_due
        )

    def _goods(self, sku: str, units: int) -> Goods:
        product = self.config.product_of(sku)
        return Goods(
            sku=sku, name_zh=product.name_zh, name_en=product.name_en, price_fen=product.price_fen, units=units
        )

    def _basket(self, lines: Sequence[Line]) -> tuple[BasketLine, ...]:
        products = ((self.config.product_of(line.sku), line) for line in lines)
        return tuple(
            BasketLine(sku=line.sku, name_zh=p.name_zh, name_en=p.name_en, qty=line.qty, price_fen=line.price_fen)
            for p, line in products
        )

    def _session(self, session: SessionSnapshot) -> SessionDesk:
        """A proof that was withdrawn (another card) hides the tobacco that was declared under it (T12)."""
        card = self.greeting.card(session.session)
        known = {product.sku for product in self.config.product}
        declared = [line for line in session.declared if session.age_proven or line.sku not in self.greeting.tobacco]
        member = None
        if card is not None:
            offers = tuple(self._goods(sku, 0) for sku in card.offers if sku in known - self.greeting.tobacco)
            member = MemberCard(name=card.name, points=card.points, offers=offers)
        return SessionDesk(
            session=session.session,
            compartment=session.compartment,
            mode=session.mode,
            state=session.state,
            seconds_left=session.seconds_left,
            needs=session.needs,
            member=member,
            declared=self._basket(declared),
            outcome=session.outcome,
            lines=self._basket(session.lines),
            failed_rules=session.failed_rules,
            adult_by=PROOF if session.age_proven else "",
            waiting_s=round(self.clock.now_s() - self._seen[session.session], 1),
        )

    def _alarms(self, snapshots: Mapping[str, CabinetSnapshot], now_s: float) -> tuple[AlarmDesk, ...]:
        alarms = [
            AlarmDesk(code=a.code, subject=a.subject, since_s=round(now_s - a.since_s, 1))
            for s in snapshots.values()
            for a in s.alarms
        ]
        alarms += [
            AlarmDesk(code="device_offline", subject=h.device, since_s=round(now_s - h.since_s, 1))
            for h in self.health.values()
            if h.state == "offline" and now_s - h.since_s >= OFFLINE_ALARM_S
        ]
        if self.disk() in {"warn", "free_telemetry"}:  # at `full` every cabinet says so itself
            self._filling_s = now_s if self._filling_s is None else self._filling_s
            alarms.append(AlarmDesk(code="disk_filling", subject="", since_s=round(now_s - self._filling_s, 1)))
        else:
            self._filling_s = None
        if (fault := self.line_fault()) is not None:
            since_s = now_s if fault.since_s is None else fault.since_s
            alarms.append(AlarmDesk(code="line_fault", subject=fault.code, since_s=round(now_s - since_s, 1)))
        alarms += [
            AlarmDesk(code="cannot_fork", subject=lane, since_s=round(now_s - since_s, 1))
            for lane, since_s in sorted(self.cannot_fork().items())
        ]
        due = [c.compartment for s in snapshots.values() for c in s.compartments if c.count_due]
        self._due = {name: self._due.get(name, now_s) for name in due}
        alarms += [
            AlarmDesk(code="count_due", subject=name, since_s=round(now_s - since_s, 1))
            for name, since_s in self._due.items()
        ]
        return tuple(alarms)

    # -------------------------------------------------------------- what pages ask

    async def ask(self, ask: Ask) -> Reply:
        """The agent's word on one request."""
        return await self._handlers[ask.action](self, ask)

    async def _start(self, ask: Ask) -> Reply:
        runner, compartment = self._place(ask)
        if runner is None or compartment is None:
            return _no("no_such_compartment")
        cabinet = next(c for c in self.config.cabinet if c.id == ask.cabinet)
        if cabinet.mode == "self_service":
            return _no("code_needed")
        if ask.session:
            line = self._line(compartment, ask)
            return _no("bad_basket") if line is None else _reply(await runner.declare(ask.session, (line,)))
        return _reply(await runner.request("staff_release", compartment.id, ""))

    async def _member(self, ask: Ask) -> Reply:
        if ask.cabinet not in self.runners:
            return _no("no_such_compartment")
        begun = await self.greeting.code(
            ask.code, device="kiosk", cabinet=ask.cabinet, compartment=ask.compartment, symbology="typed"
        )
        if begun.ok:
            self.greet(begun, ask.cabinet)
        return Reply(id="", ok=begun.ok, reason=begun.reason, session=begun.session)

    async def _cancel(self, ask: Ask) -> Reply:
        runner = self._runner_of(ask.session)
        return _no("no_session") if runner is None else _reply(await runner.cancel(ask.session))

    async def _sign_in(self, ask: Ask) -> Reply:
        why = await self.staff.sign_in(ask.staff_id, ask.pin, ask.terminal)
        return Reply(id="", ok=not why, reason=why)

    async def _sign_out(self, ask: Ask) -> Reply:
        ok = await self.staff.sign_out(ask.staff_id, ask.terminal)
        return Reply(id="", ok=ok, reason="" if ok else "staff_absent")

    async def _beat(self, ask: Ask) -> Reply:
        ok = self.staff.beat(ask.staff_id, ask.terminal)
        return Reply(id="", ok=ok, reason="" if ok else "staff_absent")

    async def _release(self, ask: Ask) -> Reply:
        runner = self._runner_of(ask.session)
        if runner is None:
            return _no("no_session")
        if not ask.pin:
            return _no("pin_required")
        if not self._as_shown(runner, ask):
            return _no("basket_changed")
        return _reply(await runner.release(ask.session, ask.staff_id, ask.pin))

    def _as_shown(self, runner: CabinetRunner, ask: Ask) -> bool:
        """What staff were shown is what they release: the basket of the session, as it stands in this moment."""
        shown = runner.snapshot().session
        declared = sorted((line.sku, line.qty) for line in shown.declared) if shown else []
        return declared == sorted((line.sku, line.qty) for line in ask.lines)

    async def _know(self, ask: Ask) -> Reply:
        if not self.staff.is_here(ask.staff_id, ask.terminal):
            return _no("staff_absent")
        return Reply(id="", ok=True) if self.arm(ask.cabinet, ask.staff_id) else _no("no_reader")

    async def _refuse(self, ask: Ask) -> Reply:
        runner = self._runner_of(ask.session)
        if runner is None:
            return _no("no_session")
        return _reply(await runner.refuse(ask.session, ask.staff_id, ask.reason))

    async def _review(self, ask: Ask) -> Reply:
        for runner in self.runners.values():
            if any(r.session == ask.session for r in runner.snapshot().reviews):
                return _reply(await runner.decide_review(ask.session, ask.staff_id, ask.accept))
        return _no("no_session")

    async def _restock(self, ask: Ask) -> Reply:
        runner, compartment = self._place(ask)
        if runner is None or compartment is None:
            return _no("no_such_compartment")
        if not ask.pin:
            return _no("pin_required")
        if ask.staff_id not in self.staff.on_duty():
            return _no("staff_absent")
        # Before anything begins: a snack's restock needs no release, so its door would open under a wrong PIN.
        if why := await self.staff.confirm(ask.staff_id, ask.pin):
            return _no(why)
        begun = await runner.request("restock", compartment.id, ask.staff_id)
        if not begun.ok or not self._holds_tobacco(compartment):
            return _reply(begun)
        released = await runner.release(begun.session, ask.staff_id, ask.pin)
        if not released.ok:
            await runner.cancel(begun.session)
        return _reply(released)

    def _holds_tobacco(self, compartment: CompartmentConfig) -> bool:
        return any(stock.sku in self.greeting.tobacco for shelf in compartment.shelf for stock in shelf.stock)

    async def _lift(self, ask: Ask) -> Reply:
        """Ask only the cabinets that hold the revoke, and no further after a no: one wrong PIN counts once."""
        if not ask.pin:
            return _no("pin_required")
        reply = _no("not_revoked")
        for runner in [r for r in self.runners.values() if ask.target in r.snapshot().revoked]:
            reply = _reply(await runner.lift(ask.target, ask.staff_id, ask.pin))
            if not reply.ok:
                break
        return reply

    async def _count(self, ask: Ask) -> Reply:
        """Only what waits for it: a second Save would otherwise undo the sales since the first."""
        runner, compartment = self._place(ask)
        if runner is None or compartment is None:
            return _no("no_such_compartment")
        if ask.staff_id not in self.staff.on_duty():
            return _no("staff_absent")
        shelves = split(compartment, ask.units)
        if shelves is None:
            return _no("bad_basket")
        if not any(c.compartment == compartment.id and c.count_due for c in runner.snapshot().compartments):
            return _no("not_due")
        return _reply(await runner.count(compartment.id, shelves, ask.staff_id))

    def _place(self, ask: Ask) -> tuple[CabinetRunner | None, CompartmentConfig | None]:
        cabinet = next((c for c in self.config.cabinet if c.id == ask.cabinet), None)
        compartment = next((k for k in cabinet.compartment if k.id == ask.compartment), None) if cabinet else None
        return self.runners.get(ask.cabinet), compartment

    def _runner_of(self, session: str) -> CabinetRunner | None:
        """The cabinet whose live session this is."""
        for runner in self.runners.values():
            shown = runner.snapshot().session
            if session and shown is not None and shown.session == session:
                return runner
        return None

    def _line(self, compartment: CompartmentConfig, ask: Ask) -> Line | None:
        for shelf in compartment.shelf:
            if any(stock.sku == ask.sku for stock in shelf.stock) and ask.qty >= 1:
                price_fen = self.config.product_of(ask.sku).price_fen
                return Line(sku=ask.sku, qty=ask.qty, price_fen=price_fen, shelf=shelf.id)
        return None

    _handlers = {  # noqa: RUF012 - a table of the class, never changed
        "start": _start,
        "member": _member,
        "cancel": _cancel,
        "sign_in": _sign_in,
        "sign_out": _sign_out,
        "beat": _beat,
        "release": _release,
        "refuse": _refuse,
        "review": _review,
        "restock": _restock,
        "lift": _lift,
        "count": _count,
        "know": _know,
    }


def _reply(result: RequestResult) -> Reply:
    return Reply(id="", ok=result.ok, reason=result.reason, session=result.session)


def _no(reason: str) -> Reply:
    return Reply(id="", ok=False, reason=reason)
