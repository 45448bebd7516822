"""What pages may see and ask, over real cabinets with a lock, scales and a ledger in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from contracts.event_types import CabinetSessionStarted, Line
from contracts.member_code import mint_member_code
from contracts.messages import RecogniseAnswer, Response
from device_drivers.capabilities import AdultReading
from edge.config import CompartmentConfig, StoreConfig
from edge.counts import split
from edge.desk.messages import Ask, CabinetDesk, Reply, Wish
from edge.devices.health import DeviceHealth
from edge.front import OFFLINE_ALARM_S, Front
from edge.greeting import Begun, Greeting
from edge.sessions import CabinetRunner, StaffDesk
from edge.uplink.line_watch import LineFault
from tests.edge_sessions.build import policy
from tests.edge_sessions.fakes import (
    PIN,
    PIN_HASH,
    QUICK,
    FakeLedger,
    FakeLock,
    FakePayment,
    FakeScale,
    KnownStaff,
    QuickClock,
)

KEY = b"k" * 32
CODE = mint_member_code("m0001", KEY)
ADULT = AdultReading(adult=True, doc_valid=True, person_day_key="ab" * 16)
MINOR = AdultReading(adult=False, doc_valid=True, person_day_key="")
UNITS = 10
GRAMS = {"biscuit": 50.0, "smoke": 22.0, "cigar": 41.0}


def _product(sku: str, category: str) -> dict[str, Any]:
    return {
        "sku": sku,
        "name_zh": f"{sku}-zh",
        "name_en": f"{sku}-en",
        "price_fen": 500,
        "unit_weight_g": GRAMS[sku],
        "sigma_g": 0.02,
        "category": category,
    }


def _compartment(name: str, lock: str, channel: int, sku: str) -> dict[str, Any]:
    stock = [{"sku": sku, "units": UNITS, "capacity": UNITS}]
    shelf = {"id": f"{name}-s", "scale": f"scale-{name}", "stock": stock}
    return {"id": name, "lock": lock, "channel": channel, "shelf": [shelf]}


def _cabinet(name: str, mode: str, *compartments: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "name_zh": name, "name_en": name, "mode": mode, "compartment": compartments}


PLACES = {"k1": "biscuit", "t1": "smoke", "t2": "cigar"}


def _config() -> StoreConfig:
    """A snack cabinet `snacks` with door k1, a tobacco cabinet `tobacco` with doors t1 and t2."""
    return StoreConfig.model_validate(
        {
            "tenant": "t",
            "store": "s",
            "name_zh": "店",
            "name_en": "shop",
            "data_dir": "data",
            "member_key_file": "key",
            "cloud": {"url": "mqtt://localhost:1"},
            "bus": [
                {"id": "locks", "url": "serial:///dev/null", "protocol": "lock_8a"},
                {"id": "scales", "url": "serial:///dev/null", "protocol": "modbus_rtu"},
            ],
            "device": [
                *(
                    {
                        "kind": "lock_board",
                        "id": f"lock-{n}",
                        "bus": "locks",
                        "address": n,
                        "feedback_polarity": "open_short",
                    }
                    for n in (1, 2)
                ),
                *(
                    {"kind": "scale", "id": f"scale-{name}", "bus": "scales", "address": n}
                    for n, name in enumerate(PLACES, 1)
                ),
            ],
            "product": [_product("biscuit", "snack"), _product("smoke", "tobacco"), _product("cigar", "tobacco")],
            "cabinet": [
                _cabinet("snacks", "self_service", _compartment("k1", "lock-1", 1, "biscuit")),
                _cabinet(
                    "tobacco",
                    "staff_release",
                    _compartment("t1", "lock-2", 1, "smoke"),
                    _compartment("t2", "lock-2", 2, "cigar"),
                ),
            ],
            "staff": [
                {"id": "anna", "name": "Anna", "pin_hash": PIN_HASH, "manager": True, "adult_verified": True},
                {"id": "ben", "name": "Ben", "pin_hash": PIN_HASH, "adult_verified": True},
            ],
        }
    )


class Cloud:
    """Greets everyone, and offers everything there is, tobacco too, and what this store does not have."""

    async def ask(self, method, args, ttl_s):
        member = RecogniseAnswer(
            member_ref=args["member"], name="Lin", points=7, offers=("smoke", "biscuit", "moon"), reason_codes=("new",)
        )
        return Response(id="r", ok=True, member=member)


class House:
    """Both cabinets and their front, in memory."""

    def __init__(self) -> None:
        self.config = _config()
        self.clock, self.ledger, self.payment = QuickClock(), FakeLedger(), FakePayment()
        rules = policy()
        quick = {"verify": 0.3, "weigh": 0.5, "retry_min": 0.1, "retry_max": 0.5}
        rules = rules.model_copy(update={"timeouts_s": rules.timeouts_s.model_copy(update=quick)})
        self.locks = {"lock-1": FakeLock(), "lock-2": FakeLock()}
        self.scales = {f"scale-{name}": FakeScale(UNITS * GRAMS[sku]) for name, sku in PLACES.items()}
        self.staff = KnownStaff(staff=self.config.staff, policy=rules, ledger=self.ledger, clock=self.clock)
        self.greeting = Greeting(
            key=KEY,
            start=self._start,
            cloud=Cloud(),
            tell=lambda _data, _device: None,
            changed=lambda: None,
            tobacco=frozenset({"smoke", "cigar"}),
            clock=self.clock,
        )
        self.runners = {
            cabinet.id: CabinetRunner(
                cabinet=cabinet,
                store=self.config,
                policy=rules,
                ledger=self.ledger,
                locks=self.locks,
                scales=self.scales,
                payment=self.payment,
                clock=self.clock,
                staff=self.staff,
                rng=Random(7),
                on_change=lambda: None,
                pace=QUICK,
            )
            for cabinet in self.config.cabinet
        }
        self.health: dict[str, DeviceHealth] = {}
        self.greeted: list[Begun] = []
        self.armed: list[tuple[str, str]] = []
        self.disk = "ok"
        self.session = ""  # of what was prepared last
        self.front = Front(
            config=self.config,
            runners=self.runners,
            staff=self.staff,
            greeting=self.greeting,
            health=self.health,
            clock=self.clock,
            online=lambda: True,
            disk=lambda: self.disk,
            counters=lambda: {"seen": 3, "never": 0, "l" * 70: 1},
            greet=lambda begun, _cabinet: self.greeted.append(begun),
            arm=self._arm,
        )

    async def _start(self, cabinet: str, compartment: str, member_ref: str) -> Begun:
        result = await self.runners[cabinet].request("self_service", compartment, member_ref)
        return Begun(ok=result.ok, session=result.session if result.ok else "", reason=result.reason)

    def _arm(self, cabinet: str, staff_id: str) -> bool:
        self.armed.append((cabinet, staff_id))
        return cabinet == "tobacco"

    # -------------------------------------------------------------- asking and looking

    async def ask(self, action: str, **fields: Any) -> Reply:
        return await self.front.ask(Ask(id="1", action=action, **fields))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not true():
                await asyncio.sleep(0.002)

    def cabinet(self, name: str) -> CabinetDesk:
        return next(c for c in self.front.state().cabinets if c.cabinet == name)

    def shown(self, name: str) -> str:
        """The state of the session on a cabinet's screen."""
        session = self.cabinet(name).session
        return session.state if session else ""

    @property
    def frames(self) -> int:
        return sum(lock.frames for lock in self.locks.values())

    # -------------------------------------------------------------- situations, each on top of the one before

    async def duty(self) -> None:
        assert (await self.ask("sign_in", staff_id="anna", pin=PIN, terminal="counter")).ok

    async def bens_duty(self) -> None:
        assert (await self.ask("sign_in", staff_id="ben", pin=PIN, terminal="counter")).ok

    async def asked(self) -> None:
        await self.duty()
        reply = await self.ask("start", cabinet="tobacco", compartment="t1")
        assert reply.ok, reply
        self.session = reply.session

    async def proven(self) -> None:
        await self.asked()
        assert (await self.runners["tobacco"].age_proof(self.session, ADULT, "id_card")).ok

    async def declared(self) -> None:
        await self.proven()
        wish = {"cabinet": "tobacco", "compartment": "t1", "session": self.session, "sku": "smoke", "qty": 2}
        assert (await self.ask("start", **wish)).ok

    async def declared_by_staff(self) -> None:
        await self.declared()
        own = AdultReading(adult=True, doc_valid=True, person_day_key="staff-anna")
        assert (await self.runners["tobacco"].age_proof(self.session, own, "id_card")).ok

    async def declared_unknown(self) -> None:
        await self.declared()
        await self.bens_duty()
        await self.staff.sign_out("anna", "counter")
        await StaffDesk.sign_in(self.staff, "anna", PIN, "counter")

    async def asked_and_left(self) -> None:
        await self.asked()
        await self.staff.sign_out("anna", "counter")
        await self.bens_duty()

    async def snack(self) -> None:
        reply = await self.ask("member", cabinet="snacks", compartment="k1", code=CODE)
        assert reply.ok, reply
        self.session = reply.session

    async def review(self) -> None:
        await self.snack()
        await self.until(lambda: self.shown("snacks") == "open")
        self.scales["scale-k1"].gross_g -= 33.0  # no basket weighs that
        self.locks["lock-1"].open[1] = False
        await self.until(lambda: bool(self.front.state().reviews))

    async def duty_and_review(self) -> None:
        await self.duty()
        await self.review()

    async def uncounted(self) -> None:
        """The scales behind k1 and t1 restart: what they showed before proves nothing."""
        for name in ("k1", "t1"):
            self.scales[f"scale-{name}"].power_on = True
        await self.until(lambda: sum(k.count_due for c in self.front.state().cabinets for k in c.compartments) == 2)

    async def duty_and_uncounted(self) -> None:
        await self.duty()
        await self.uncounted()

    async def revoked(self) -> None:
        for runner in self.runners.values():
            await runner.revoke("store")

    async def duty_and_revoked(self) -> None:
        await self.duty()
        await self.revoked()

    async def duty_and_one_shut(self) -> None:
        await self.duty()
        await self.runners["tobacco"].revoke("cabinet:tobacco")

    async def bens_duty_and_revoked(self) -> None:
        await self.bens_duty()
        await self.revoked()


@asynccontextmanager
async def open_house() -> AsyncIterator[House]:
    house = House()
    tasks = [asyncio.create_task(r.run(), name=name) for name, r in house.runners.items()]
    try:
        calm = ("", "staff_absent")
        await house.until(lambda: all(k.reason in calm for c in house.front.state().cabinets for k in c.compartments))
        yield house
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result


async def nothing(_house: House) -> None:
    pass


T1 = {"cabinet": "tobacco", "compartment": "t1"}
K1 = {"cabinet": "snacks", "compartment": "k1"}
ANNA = {"staff_id": "anna", "pin": PIN}
BEN = {"staff_id": "ben", "pin": PIN}
HERE = {"staff_id": "anna", "terminal": "counter"}
LIVE = {"session": "LIVE"}  # stands for the session of the situation
SHOWN = {"lines": (Wish(sku="smoke", qty=2),)}
WISH = {"sku": "smoke", "qty": 1}
NO_PLACE = "no_such_compartment"
BISCUITS = {"units": {"biscuit": 4}}

ROWS: list[tuple[Callable[[House], Awaitable[None]], str, dict[str, Any], str]] = [
    # the situation; what is asked; why not (empty: it is done)
    (nothing, "start", {"cabinet": "x", "compartment": "k1"}, NO_PLACE),  # no such cabinet
    (nothing, "start", {"cabinet": "snacks", "compartment": "x"}, NO_PLACE),  # no such door
    (nothing, "start", {"cabinet": "snacks", "compartment": "t1"}, NO_PLACE),  # the door of another cabinet
    (nothing, "start", K1, "code_needed"),  # self-service begins with a code
    (House.snack, "start", {**K1, **LIVE, "sku": "biscuit", "qty": 1}, "code_needed"),  # and declares nothing
    (nothing, "start", T1, "staff_absent"),  # nobody on duty: not even a session (T01)
    (House.duty, "start", T1, ""),
    (House.asked, "start", {"cabinet": "tobacco", "compartment": "t2"}, "busy"),  # one session a cabinet
    (House.duty, "start", {**T1, "session": "x", **WISH}, "no_session"),  # no such session
    (House.asked, "start", {**T1, **LIVE, **WISH}, "age_needed"),  # not proven yet
    (House.proven, "start", {**T1, **LIVE, "sku": "cigar", "qty": 1}, "bad_basket"),  # behind the other door
    (House.proven, "start", {**T1, **LIVE, "sku": "biscuit", "qty": 1}, "bad_basket"),  # in the other cabinet
    (House.proven, "start", {**T1, **LIVE, "sku": "nothing", "qty": 1}, "bad_basket"),  # not sold here
    (House.proven, "start", {**T1, **LIVE, "sku": "smoke", "qty": 0}, "bad_basket"),  # none
    (House.proven, "start", {**T1, **LIVE, "sku": "smoke", "qty": 4}, "over_cap"),  # T06: three a sale
    (
        House.proven,
        "start",
        {"cabinet": "tobacco", "compartment": "t2", **LIVE, "sku": "cigar", "qty": 1},
        "bad_basket",  # the session was proven for another door
    ),
    (House.proven, "start", {**T1, **LIVE, **WISH}, ""),
    (nothing, "member", {"cabinet": "x", "code": CODE}, NO_PLACE),
    (nothing, "member", {**K1, "code": ""}, "bad_code"),
    (nothing, "member", {**K1, "code": CODE[:-1] + "0"}, "bad_code"),
    (nothing, "member", {**K1, "code": mint_member_code("m0001", b"x" * 32)}, "bad_code"),  # another tenant's
    (House.duty, "member", {**T1, "code": CODE}, "counter_only"),  # a code opens no tobacco (T11)
    (House.snack, "member", {**K1, "code": CODE}, "busy"),
    (nothing, "member", {**K1, "code": CODE}, ""),
    (nothing, "cancel", {}, "no_session"),  # an empty name is nobody's session
    (nothing, "cancel", {"session": "x"}, "no_session"),
    (House.asked, "cancel", LIVE, ""),
    (nothing, "sign_in", {"staff_id": "anna", "pin": "0000"}, "wrong_pin"),
    (nothing, "sign_in", {"staff_id": "zoe", "pin": PIN}, "wrong_pin"),  # a stranger learns nothing
    (nothing, "sign_in", ANNA, ""),
    (nothing, "sign_out", HERE, "staff_absent"),
    (House.duty, "sign_out", {**HERE, "terminal": "x"}, "staff_absent"),  # a page signs out its own people only
    (House.duty, "sign_out", HERE, ""),
    (nothing, "beat", HERE, "staff_absent"),
    (House.duty, "beat", {**HERE, "staff_id": "ben"}, "staff_absent"),
    (House.duty, "beat", {**HERE, "terminal": "x"}, "staff_absent"),  # another page's beat is none of ours
    (House.duty, "beat", HERE, ""),
    (nothing, "release", {**ANNA, "session": "x"}, "no_session"),
    (House.declared, "release", {"staff_id": "anna", **LIVE}, "pin_required"),
    (House.declared, "release", {"staff_id": "anna", "pin": "0000", **LIVE, **SHOWN}, "wrong_pin"),
    (House.declared, "release", {**BEN, **LIVE, **SHOWN}, "staff_absent"),  # the right PIN of one who is not here
    (House.declared, "release", {**ANNA, **LIVE}, "basket_changed"),  # no word of what was shown
    (House.declared, "release", {**ANNA, **LIVE, "lines": (Wish(sku="smoke", qty=1),)}, "basket_changed"),
    (House.declared, "release", {**ANNA, **LIVE, "lines": (Wish(sku="cigar", qty=2),)}, "basket_changed"),
    (House.declared, "release", {**ANNA, **LIVE, "lines": 2 * SHOWN["lines"]}, "basket_changed"),
    (House.declared_by_staff, "release", {**ANNA, **LIVE, **SHOWN}, "staff_is_buyer"),  # anna's own card (T02)
    (House.declared_unknown, "release", {**ANNA, **LIVE, **SHOWN}, "staff_unknown"),  # her card was not read
    (House.asked_and_left, "release", {**ANNA, **LIVE}, "staff_absent"),
    (House.proven, "release", {**ANNA, **LIVE}, "nothing_declared"),
    (House.declared, "release", {**ANNA, **LIVE, **SHOWN}, ""),
    (nothing, "know", {**HERE, "cabinet": "tobacco"}, "staff_absent"),
    (House.duty, "know", {**HERE, "cabinet": "tobacco", "terminal": "x"}, "staff_absent"),  # from another page
    (House.duty, "know", {**HERE, "cabinet": "snacks"}, "no_reader"),
    (House.duty, "know", {**HERE, "cabinet": "tobacco"}, ""),
    (nothing, "refuse", {"staff_id": "anna", "session": "x"}, "no_session"),
    (House.asked, "refuse", {"staff_id": "ben", **LIVE}, "staff_absent"),
    (House.asked, "refuse", {"staff_id": "anna", **LIVE, "reason": "no_card"}, ""),
    (nothing, "review", {"staff_id": "anna", "session": "x", "accept": True}, "no_session"),
    (House.duty, "review", {"staff_id": "anna", "session": "", "accept": True}, "no_session"),
    (House.review, "review", {"staff_id": "anna", **LIVE, "accept": False}, "staff_absent"),
    (House.duty_and_review, "review", {"staff_id": "anna", **LIVE, "accept": False}, ""),
    (nothing, "restock", {"cabinet": "x", "compartment": "k1", **ANNA}, NO_PLACE),
    (House.duty, "restock", {**K1, "staff_id": "anna"}, "pin_required"),
    (nothing, "restock", {**K1, **ANNA}, "staff_absent"),
    (House.duty, "restock", {**K1, **BEN}, "staff_absent"),
    (House.duty, "restock", {**K1, "staff_id": "anna", "pin": "0000"}, "wrong_pin"),
    (House.duty, "restock", {**T1, "staff_id": "anna", "pin": "0000"}, "wrong_pin"),
    (House.asked, "restock", {**T1, **ANNA}, "busy"),
    (House.duty, "restock", {**K1, **ANNA}, ""),
    (House.duty, "restock", {**T1, **ANNA}, ""),
    (House.duty_and_revoked, "lift", {"staff_id": "anna", "target": "store"}, "pin_required"),
    (House.duty, "lift", {**ANNA, "target": "store"}, "not_revoked"),
    (House.revoked, "lift", {**ANNA, "target": "store"}, "not_manager"),  # not on duty
    (House.bens_duty_and_revoked, "lift", {**BEN, "target": "store"}, "not_manager"),
    (House.duty_and_revoked, "lift", {"staff_id": "anna", "pin": "0000", "target": "store"}, "wrong_pin"),
    (House.duty_and_revoked, "lift", {**ANNA, "target": "cabinet:snacks"}, "not_revoked"),
    (House.duty_and_revoked, "lift", {**ANNA, "target": "store"}, ""),
    (House.duty_and_uncounted, "member", {**K1, "code": CODE}, "count_due"),  # nothing is sold before the count
    (House.duty_and_uncounted, "start", T1, "count_due"),
    (House.duty_and_uncounted, "start", {"cabinet": "tobacco", "compartment": "t2"}, ""),  # its neighbour sells on
    (House.duty_and_uncounted, "restock", {**K1, **ANNA}, ""),  # how staff reach the goods
    (House.uncounted, "count", {**K1, **BISCUITS, "staff_id": "anna"}, "staff_absent"),
    (House.duty_and_uncounted, "count", {**K1, **BISCUITS, "staff_id": "ben"}, "staff_absent"),
    (House.duty_and_uncounted, "count", {"cabinet": "x", "compartment": "k1", "staff_id": "anna"}, NO_PLACE),
    (House.duty_and_uncounted, "count", {**K1, "staff_id": "anna"}, "bad_basket"),  # nothing counted
    (House.duty_and_uncounted, "count", {**K1, "units": {"smoke": 3}, "staff_id": "anna"}, "bad_basket"),
    (House.duty_and_uncounted, "count", {**K1, "units": {"biscuit": 3, "moon": 1}, "staff_id": "anna"}, "bad_basket"),
    (House.duty, "count", {**K1, **BISCUITS, "staff_id": "anna"}, "not_due"),  # a second Save undoes no sale
    (House.duty_and_uncounted, "count", {**K1, **BISCUITS, "staff_id": "anna"}, ""),
    (House.duty_and_uncounted, "count", {**T1, "units": {"smoke": 3}, "staff_id": "anna"}, ""),
]
OPENS = {"member", "restock", "release"}  # the only asks that may lead to a frame


def _name(row: object) -> str:
    return getattr(row, "__name__", "") or (str(row) if isinstance(row, str) else "")


@pytest.mark.parametrize(("prepare", "action", "fields", "reason"), ROWS, ids=_name)
async def test_every_ask_is_answered_with_the_sessions_own_word(
    prepare: Callable[[House], Awaitable[None]], action: str, fields: dict[str, Any], reason: str
) -> None:
    async with open_house() as house:
        await prepare(house)
        before = house.frames
        reply = await house.ask(action, **{k: house.session if v == "LIVE" else v for k, v in fields.items()})
        assert (reply.ok, reply.reason) == (not reason, reason)
        if not reason and action in OPENS:
            await house.until(lambda: house.frames == before + 1)
        elif action in OPENS and prepare != House.snack:
            await house.clock.sleep(3.0)  # store time, in which a door that opens by mistake would
            assert house.frames == before


async def test_every_action_of_the_socket_is_in_the_table() -> None:
    assert {action for _, action, _, _ in ROWS} == set(Front._handlers)


async def test_one_wrong_pin_at_a_lift_counts_once_however_many_cabinets_are_shut() -> None:
    """Five wrong PINs lock a person out: four wrong lifts must not."""
    async with open_house() as house:
        await house.duty_and_revoked()
        for _ in range(4):
            assert (await house.ask("lift", staff_id="anna", pin="0000", target="store")).reason == "wrong_pin"
        assert (await house.ask("lift", **ANNA, target="store")).ok
        assert house.front.state().revokes == ()


async def test_a_snack_door_stays_shut_under_a_wrong_pin() -> None:
    """A snack's restock needs no release: the PIN must be right before anything begins."""
    async with open_house() as house:
        await house.duty()
        assert (await house.ask("restock", **K1, staff_id="anna", pin="9999")).reason == "wrong_pin"
        assert house.shown("snacks") == ""
        assert not any(isinstance(event, CabinetSessionStarted) for event in house.ledger.events)


# ------------------------------------------------------------------ T12


def goods(house: House, cabinet: str) -> dict[str, list[str]]:
    return {k.compartment: [g.sku for g in k.goods] for k in house.cabinet(cabinet).compartments}


async def test_tobacco_is_named_only_to_an_adult_behind_the_door_that_was_asked_for() -> None:
    async with open_house() as house:
        for prepare in (nothing, House.asked):
            await prepare(house)
            assert goods(house, "tobacco") == {"t1": [], "t2": []}
            assert goods(house, "snacks") == {"k1": ["biscuit"]}
        await house.runners["tobacco"].age_proof(house.session, MINOR, "id_card")
        assert goods(house, "tobacco") == {"t1": [], "t2": []}
        await house.runners["tobacco"].age_proof(house.session, ADULT, "id_card")
        assert goods(house, "tobacco") == {"t1": ["smoke"], "t2": []}
        session = house.cabinet("tobacco").session
        assert session is not None
        assert session.adult_by == "id_card"
        await house.ask("cancel", session=house.session)
        assert goods(house, "tobacco") == {"t1": [], "t2": []}


async def test_what_was_declared_is_hidden_again_when_the_proof_is_withdrawn() -> None:
    async with open_house() as house:
        await house.declared()
        session = house.cabinet("tobacco").session
        assert session is not None
        assert [(line.sku, line.qty) for line in session.declared] == [("smoke", 2)]
        await house.runners["tobacco"].age_proof(house.session, MINOR, "id_card")  # another card is laid down
        text = str(house.cabinet("tobacco"))
        assert "smoke" not in text
        assert "adult_by=''" in text
        await house.ask("cancel", session=house.session)
        await house.until(lambda: house.shown("tobacco") in ("done", ""))
        assert "smoke" not in str(house.cabinet("tobacco"))


async def test_offers_hold_neither_tobacco_nor_what_is_not_sold_here() -> None:
    async with open_house() as house:
        await house.snack()
        await house.greeting.greet(house.session, "m0001", "snacks")
        session = house.cabinet("snacks").session
        assert session is not None
        assert session.member is not None
        assert (session.member.name, session.member.points) == ("Lin", 7)
        assert [g.sku for g in session.member.offers] == ["biscuit"]
        assert house.greeted[0].member_ref == "m0001"


async def test_a_card_is_forgotten_when_its_session_leaves_the_screen() -> None:
    async with open_house() as house:
        await house.snack()
        await house.greeting.greet(house.session, "m0001", "snacks")
        house.front.state()
        assert house.greeting.card(house.session) is not None
        house.locks["lock-1"].opens = False
        await house.until(lambda: house.cabinet("snacks").session is None)
        assert house.greeting.card(house.session) is None


# ------------------------------------------------------------------ count before the next sale


async def test_a_count_is_asked_of_staff_and_the_door_sells_again() -> None:
    async with open_house() as house:
        await house.uncounted()
        assert house.front.state().counts == ()  # nobody is there to count
        await house.duty()
        state = house.front.state()
        assert [(c.cabinet, c.compartment, [(g.sku, g.units) for g in c.goods]) for c in state.counts] == [
            ("snacks", "k1", [("biscuit", UNITS)]),
            ("tobacco", "t1", [("smoke", UNITS)]),
        ]
        assert [(a.code, a.subject) for a in state.alarms if a.code == "count_due"] == [
            ("count_due", "k1"),
            ("count_due", "t1"),
        ]
        shown = house.cabinet("snacks").compartments[0]
        assert (shown.available, shown.reason, shown.count_due) == (False, "count_due", True)
        assert (await house.ask("count", **K1, **BISCUITS, staff_id="anna")).ok
        state, shown = house.front.state(), house.cabinet("snacks").compartments[0]
        assert (shown.available, shown.reason, shown.count_due) == (True, "", False)
        assert [g.units for g in shown.goods] == [4]
        assert [c.compartment for c in state.counts] == ["t1"]
        assert [a.subject for a in state.alarms if a.code == "count_due"] == ["t1"]
        await house.snack()


async def test_the_alarm_of_a_count_grows_older() -> None:
    async with open_house() as house:
        await house.uncounted()
        await house.clock.sleep(2.0)
        assert all(a.since_s >= 1.9 for a in house.front.state().alarms if a.code == "count_due")


async def test_what_staff_must_count_is_not_named_where_customers_look() -> None:
    """T12: tobacco stands in the list for staff only."""
    async with open_house() as house:
        await house.duty_and_uncounted()
        assert "smoke" not in str(house.front.state().cabinets)
        assert "smoke" in str(house.front.state().counts)
        await house.staff.sign_out("anna", "counter")
        assert "smoke" not in str(house.front.state())


def _two_shelves() -> CompartmentConfig:
    """Biscuits on both shelves (10 and 6 fit), cigars on the second."""
    stock = {"a": [("biscuit", 10)], "b": [("biscuit", 6), ("cigar", 4)]}
    return CompartmentConfig.model_validate(
        {
            "id": "k1",
            "lock": "lock-1",
            "channel": 1,
            "shelf": [
                {"id": name, "scale": name, "stock": [{"sku": s, "units": 0, "capacity": n} for s, n in goods]}
                for name, goods in stock.items()
            ],
        }
    )


@pytest.mark.parametrize(
    ("units", "by_shelf"),
    [
        ({"biscuit": 0, "cigar": 0}, {"a": {"biscuit": 0}, "b": {"biscuit": 0, "cigar": 0}}),
        ({"biscuit": 7, "cigar": 2}, {"a": {"biscuit": 7}, "b": {"biscuit": 0, "cigar": 2}}),
        ({"biscuit": 14, "cigar": 9}, {"a": {"biscuit": 10}, "b": {"biscuit": 4, "cigar": 9}}),
        ({"biscuit": 40, "cigar": 0}, {"a": {"biscuit": 10}, "b": {"biscuit": 30, "cigar": 0}}),  # none is lost
        ({"biscuit": 7}, None),  # not all of it
        ({"biscuit": 7, "cigar": 2, "smoke": 1}, None),  # more than stands there
        ({}, None),
    ],
)
def test_pieces_of_a_product_are_spread_over_its_shelves(
    units: dict[str, int], by_shelf: dict[str, dict[str, int]] | None
) -> None:
    assert split(_two_shelves(), units) == by_shelf


# ------------------------------------------------------------------ the rest of the state


async def test_an_offline_device_rings_after_ten_seconds() -> None:
    async with open_house() as house:
        health = DeviceHealth("scale-k1", "scale", house.clock, lambda _h, _b: None, state="offline")
        house.health["scale-k1"] = health
        health.since_s = house.clock.now_s() + 1.0 - OFFLINE_ALARM_S  # a second of store time is left
        assert house.front.state().alarms == ()
        await house.until(lambda: bool(house.front.state().alarms))
        alarm = house.front.state().alarms[0]
        assert (alarm.code, alarm.subject) == ("device_offline", "scale-k1")
        assert alarm.since_s >= OFFLINE_ALARM_S
        health.state = "online"
        assert house.front.state().alarms == ()


async def test_a_line_that_a_person_must_mend_rings_with_its_reason() -> None:
    async with open_house() as house:
        for fault, expected in (
            (None, []),
            (LineFault("certificate_expired", "certificate has expired", house.clock.now_s()), ["certificate_expired"]),
            (LineFault("clock_not_set", "told before this boot"), ["clock_not_set"]),
        ):
            house.front.line_fault = lambda fault=fault: fault
            alarms = house.front.state().alarms
            assert [a.subject for a in alarms if a.code == "line_fault"] == expected
            assert all(a.since_s >= 0 for a in alarms)


async def test_a_lane_that_cannot_fork_rings_until_it_goes_on() -> None:
    async with open_house() as house:
        for stuck, expected in (
            ({}, []),
            ({"telemetry": house.clock.now_s(), "ledger": house.clock.now_s()}, ["ledger", "telemetry"]),
            ({}, []),
        ):
            house.front.cannot_fork = lambda stuck=stuck: stuck
            alarms = house.front.state().alarms
            assert [a.subject for a in alarms if a.code == "cannot_fork"] == expected


async def test_a_disk_that_fills_rings_until_it_has_room_and_leaves_a_full_one_to_the_cabinets() -> None:
    async with open_house() as house:
        codes = []
        for level in ("ok", "warn", "free_telemetry", "full", "ok", "warn"):
            house.disk = level
            codes.append([a.code for a in house.front.state().alarms])
        assert codes == [[], ["disk_filling"], ["disk_filling"], [], [], ["disk_filling"]]
        await house.clock.sleep(1.0)
        assert house.front.state().alarms[0].since_s >= 0.9


async def test_the_state_tells_of_staff_reviews_revokes_and_counters() -> None:
    async with open_house() as house:
        await house.duty_and_review()
        await house.runners["tobacco"].revoke("cabinet:tobacco")
        state = house.front.state()
        assert [(p.staff_id, p.manager, p.on_duty) for p in state.staff] == [
            ("anna", True, True),
            ("ben", False, False),
        ]
        review = state.reviews[0]
        assert (review.session, review.cabinet, review.delta_g) == (house.session, "snacks", 33.0)
        assert state.revokes == ("cabinet:tobacco",)
        assert state.counters == {"seen": 3, "l" * 64: 1}  # no zeroes, and nothing longer than the socket takes
        assert state.cloud_online


async def test_a_session_counts_its_waiting_from_when_it_was_first_shown() -> None:
    async with open_house() as house:
        await house.asked()
        house.front.state()
        await house.clock.sleep(2.0)
        session = house.cabinet("tobacco").session
        assert session is not None
        assert session.needs == ("age", "release")
        assert session.waiting_s is not None
        assert session.waiting_s >= 1.9


async def test_a_sale_shows_its_receipt_in_the_stores_own_words() -> None:
    async with open_house() as house:
        await house.snack()
        await house.until(lambda: house.shown("snacks") == "open")
        house.scales["scale-k1"].gross_g -= 2 * GRAMS["biscuit"]
        house.locks["lock-1"].open[1] = False
        await house.until(lambda: house.shown("snacks") == "done")
        session = house.cabinet("snacks").session
        assert session is not None
        assert [(x.sku, x.name_zh, x.qty, x.price_fen) for x in session.lines] == [("biscuit", "biscuit-zh", 2, 500)]
        assert goods(house, "snacks") == {"k1": ["biscuit"]}
        await house.until(lambda: house.cabinet("snacks").compartments[0].goods[0].units == UNITS - 2)


def test_a_line_of_an_unknown_shelf_is_never_priced() -> None:
    house = House()
    compartment = house.config.cabinet[0].compartment[0]
    assert house.front._line(compartment, Ask(id="1", action="start", sku="biscuit", qty=2)) == Line(
        sku="biscuit", qty=2, price_fen=500, shelf="k1-s"
    )
    assert house.front._line(compartment, Ask(id="1", action="start", sku="smoke", qty=2)) is None
