"""The agent put together, over real ptys: what it sells, what it refuses, what it survives, why it will not start."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cloud_bridge.app import Settings, create_app
from cloud_bridge.storage import read_events
from contracts.clock import SystemClock
from contracts.envelope import decode_data, decode_envelope
from contracts.event_types import (
    LANES,
    AgeCheckFailed,
    CabinetSessionEnded,
    CabinetSessionStarted,
    CabinetSettlementResolved,
    CabinetUnlockDenied,
    ConfigChanged,
    DeviceOffline,
    InventoryCounted,
    MemberRecognised,
    PaymentCaptured,
    PeopleCountInterval,
    PeopleCrossing,
    ScanBarcode,
)
from edge import agent as agent_module
from edge.agent import AgentError, opened, run_agent
from edge.config import load_store
from edge.desk.messages import Wish
from edge.ledger import show
from edge.supervisor import Supervisor
from edge.vision import CameraHealth
from edge.vision.messages import Interval
from tests.edge.shop import ADULT_CARD, MINOR_CARD, NOON, STAFF_CARD, Shop, described
from tests.edge_sessions.fakes import PIN

BASKET = {("S1-a", "690001"): 2, ("S1-b", "690004"): 1}  # 2 × 6.50 + 18.90
BASKET_FEN = 2 * 650 + 1890


class QuickSupervisor(Supervisor):
    """Tries again within half a second: back-off is real time."""

    async def keep(
        self, name: str, start: Any, *, cap_s: float = 30.0, fatal: tuple[type[Exception], ...] = ()
    ) -> None:
        await super().keep(name, start, cap_s=min(cap_s, 0.5), fatal=fatal)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "DRAIN_S", 0.05)
    monkeypatch.setattr(agent_module, "Supervisor", QuickSupervisor)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A store whose cloud is not there."""
    return Shop(tmp_path)


def lines(resolved: CabinetSettlementResolved) -> dict[tuple[str, str], int]:
    return {(line.shelf, line.sku): line.qty for line in resolved.lines}


def told(shop: Shop, kind: type) -> list[Any]:
    """What stands in either lane."""
    both = [row for lane in LANES for row in show(shop.config.data_dir / "ledger.db", lane, 0, 10_000)]
    return [d for row in both if row.raw is not None and isinstance(d := decode_data(decode_envelope(row.raw)), kind)]


# ------------------------------------------------------------------ selling


async def test_a_snack_is_sold_without_a_cloud(shop: Shop) -> None:
    async with shop.running():
        assert await shop.buys(BASKET) == "settled"
        (resolved,) = shop.said(CabinetSettlementResolved)
        assert lines(resolved) == BASKET
        assert [c.amount_fen for c in shop.said(PaymentCaptured)] == [BASKET_FEN]
        assert shop.said(CabinetSessionStarted)[0].actor_ref == "m0001"
        assert [(s.scanner, s.accepted) for s in shop.said(ScanBarcode)] == [("scanner-S1", True)]
        assert not shop.agent.uplink.online
    assert shop.judged().findings == ()
    assert shop.judged().counters["units"] == 3
    # the store is described to the cloud once, not at every start
    async with shop.running():
        pass
    assert len(shop.said(ConfigChanged)) == 1


async def test_a_sale_reaches_the_cloud_and_the_cloud_greets(tmp_path: Path, broker: Any) -> None:
    shop = Shop(tmp_path, broker.url, store="agent-sells")
    settings = Settings(
        database=tmp_path / "cloud.db", mqtt_url=broker.url, pages=False, members_file=shop.demo.members_csv
    )
    app = create_app(settings, clock=shop.clock, rng=Random(5))

    def held() -> list[Any]:
        raws = [
            row.raw
            for lane in LANES
            for row in read_events(settings.database, "demo", "agent-sells", lane)
            if row.dead is None
        ]
        return [decode_data(decode_envelope(raw)) for raw in raws]

    async with app.router.lifespan_context(app), shop.running() as agent:
        await shop.until(lambda: agent.uplink.online)
        visit = shop.arrive("S1", "m0003")
        shop.scan(visit, "m0003")
        await shop.until(lambda: (shown := shop.session("S1")) is not None and shown.member is not None)
        shown = shop.session("S1")
        assert shown is not None
        assert shown.member is not None
        assert (shown.member.name, shown.member.points) == ("会员 03", 111)
        await shop.opens(visit)
        await shop.takes(visit, "S1-b", "690003")
        await shop.leaves(visit)
        await shop.until(lambda: any(isinstance(data, CabinetSessionEnded) for data in held()))
        said = held()
        resolved = next(data for data in said if isinstance(data, CabinetSettlementResolved))
        assert lines(resolved) == {("S1-b", "690003"): 1}
        assert [data.amount_fen for data in said if isinstance(data, PaymentCaptured)] == [990]
        await shop.until(lambda: any(isinstance(data, MemberRecognised) for data in held()))
        # what the cloud has confirmed is freed here, and nothing is left over
        await shop.until(lambda: not any(agent.ledger.lane(lane).waiting for lane in LANES))


async def test_a_stop_waits_for_no_greeting(tmp_path: Path, broker: Any) -> None:
    """There is a broker and nobody behind it: a question waits eight seconds for its answer."""
    shop = Shop(tmp_path, broker.url, store="agent-waits")
    async with shop.running() as agent:
        await shop.until(lambda: agent.uplink.counters.get("connected", 0) > 0)
        visit = shop.arrive("S1", "m0001")
        shop.scan(visit)
        await shop.until(lambda: bool(agent._greetings))
    assert agent.uplink.counters.get("request_timeout", 0) == 0
    assert agent.counters["greeting.no_answer"] == 0


# ------------------------------------------------------------------ refusing


async def test_a_forged_code_opens_nothing(shop: Shop) -> None:
    async with shop.running() as agent:
        visit = shop.arrive("S1")
        forged = shop.codes["m0001"].replace("m0001", "m0002")
        shop.rig.scan("scanner-S1", forged, visit=visit)
        await shop.until(lambda: bool(shop.said(ScanBarcode)))
        assert [(s.accepted, s.reason) for s in shop.said(ScanBarcode)] == [(False, "not_a_member_code")]
        assert agent.all_counters()["code.refused"] == 1
        assert (shop.pulses(), shop.said(CabinetSessionStarted)) == (0, [])
        shop.world.leave(visit)
    assert shop.judged().findings == ()


async def test_nobody_on_duty_means_no_tobacco_session(shop: Shop) -> None:
    async with shop.running():
        await shop.until(lambda: shop.ready("T1"))
        reply = await shop.ask("start", cabinet="T1", compartment="T1-1")
        assert (reply.ok, reply.reason) == (False, "staff_absent")
        # a member's code is no way round it
        reply = await shop.ask("member", cabinet="T1", compartment="T1-1", code=shop.codes["m0001"])
        assert (reply.ok, reply.reason) == (False, "counter_only")
        assert (shop.pulses(), shop.said(CabinetSessionStarted)) == (0, [])


async def asked_for_tobacco(shop: Shop, *, signed_in: bool = False) -> tuple[str, str]:
    """Amy is on duty, a customer stands at the tobacco cabinet; the visit and the session."""
    if not signed_in:
        await shop.until(lambda: shop.ready("T1"))
        assert (await shop.ask("sign_in", staff_id="amy", pin=PIN, terminal="counter")).ok
    visit = shop.arrive("T1")
    begun = await shop.ask("start", cabinet="T1", compartment="T1-1")
    assert begun.reason == "no_licence"  # without a calendar that is known, no licence is known to be valid (T04)
    shop.agent.ledger.clock_quality = "synced"  # as after an answer of the cloud
    begun = await shop.ask("start", cabinet="T1", compartment="T1-1")
    assert begun.ok, begun
    return visit, begun.session


async def amys_card_was_read(shop: Shop) -> None:
    """As somebody does once a day: ask, lay, wait, take it back. The reader must have seen it gone."""
    assert (await shop.ask("know", staff_id="amy", cabinet="T1", terminal="counter")).ok
    shop.rig.lay_card("id-T1", STAFF_CARD)
    staff = shop.agent.staff
    await shop.until(lambda: staff.beat("amy", "counter") and any(p.known for p in staff.people()))
    shop.rig.lay_card("id-T1", None)
    for _ in range(6):
        await asyncio.sleep(agent_module.CARD_EVERY_S / 2)
        assert staff.beat("amy", "counter")  # store time is quick, and the reader looks in real time


async def test_nobody_sells_tobacco_to_themselves(shop: Shop) -> None:
    """Amy is on duty and known; the card that proves the buyer's age is her own (T02)."""
    async with shop.running():
        await shop.until(lambda: shop.ready("T1"))
        assert (await shop.ask("sign_in", staff_id="amy", pin=PIN, terminal="counter")).ok
        await amys_card_was_read(shop)
        visit, session = await asked_for_tobacco(shop, signed_in=True)
        shop.rig.lay_card("id-T1", STAFF_CARD, visit=visit)
        await shop.until(lambda: (shown := shop.session("T1")) is not None and shown.adult_by == "id_card")
        wish = {"cabinet": "T1", "compartment": "T1-1", "session": session, "sku": "690101", "qty": 1}
        assert (await shop.ask("start", **wish)).ok
        shown = (Wish(sku="690101", qty=1),)
        reply = await shop.ask("release", session=session, staff_id="amy", pin=PIN, lines=shown)
        assert (reply.ok, reply.reason) == (False, "staff_is_buyer")
        assert (await shop.ask("cancel", session=session)).ok
        await shop.until(lambda: shop.outcomes() == ["cancelled"])
        assert shop.pulses() == 0
        shop.rig.lay_card("id-T1", None)
        shop.world.leave(visit)


async def test_a_minors_card_never_leads_to_a_frame(shop: Shop) -> None:
    async with shop.running():
        visit, session = await asked_for_tobacco(shop)
        shop.rig.lay_card("id-T1", MINOR_CARD, visit=visit)
        await shop.until(lambda: bool(shop.said(AgeCheckFailed)))
        wish = {"cabinet": "T1", "compartment": "T1-1", "session": session, "sku": "690101", "qty": 1}
        assert (await shop.ask("start", **wish)).reason == "age_needed"
        assert not (await shop.ask("release", session=session, staff_id="amy", pin=PIN)).ok
        shown = shop.session("T1")
        assert shown is not None
        assert shown.adult_by == ""
        assert (await shop.ask("cancel", session=session)).ok
        await shop.until(lambda: shop.outcomes() == ["cancelled"])
        assert shop.pulses() == 0
        assert len(shop.said(AgeCheckFailed)) == 1  # one laying down is judged once
        shop.world.leave(visit)
    assert shop.judged().findings == ()


async def test_an_adult_buys_tobacco_from_staff(shop: Shop) -> None:
    async with shop.running():
        await shop.until(lambda: shop.ready("T1"))
        assert (await shop.ask("sign_in", staff_id="amy", pin=PIN, terminal="counter")).ok
        await amys_card_was_read(shop)
        visit, session = await asked_for_tobacco(shop, signed_in=True)
        shop.rig.lay_card("id-T1", ADULT_CARD, visit=visit)
        await shop.until(lambda: (shown := shop.session("T1")) is not None and shown.adult_by == "id_card")
        wish = {"cabinet": "T1", "compartment": "T1-1", "session": session, "sku": "690101", "qty": 2}
        assert (await shop.ask("start", **wish)).ok
        shown = (Wish(sku="690101", qty=2),)
        assert (await shop.ask("release", session=session, staff_id="amy", pin=PIN, lines=shown)).ok
        await shop.opens(visit, "T1-1")
        await shop.takes(visit, "T1-1s", "690101", 2)
        await shop.leaves(visit, "T1-1")
        shop.rig.lay_card("id-T1", None)
        await shop.until(lambda: shop.outcomes() == ["settled"])
        assert [c.amount_fen for c in shop.said(PaymentCaptured)] == [5000]
        assert shop.pulses() == 1
        assert ADULT_CARD.encode() not in b"".join(
            p.read_bytes() for p in shop.config.data_dir.iterdir() if p.is_file()
        )
    assert shop.judged().findings == ()


# ------------------------------------------------------------------ surviving


async def at_the_scan(shop: Shop, visit: str) -> None:
    """The line goes as the code is shown."""
    shop.rig.unplug("locks")
    shop.scan(visit)


async def before_the_door_opens(shop: Shop, visit: str) -> None:
    shop.scan(visit)
    await shop.until(lambda: shop.world.is_free("S1-door"))
    shop.rig.unplug("locks")


async def with_the_door_open(shop: Shop, visit: str) -> None:
    shop.scan(visit)
    await shop.opens(visit)
    await shop.takes(visit, "S1-a", "690001")
    shop.rig.unplug("locks")


async def as_the_door_closes(shop: Shop, visit: str) -> None:
    await with_the_door_open(shop, visit)
    shop.rig.replug("locks")
    await shop.until(lambda: (s := shop.session("S1")) is not None and s.state in ("open", "weigh", "done"))
    shop.world.close("S1-door", visit)
    shop.rig.unplug("locks")


# Ten store seconds are one real second here: on a full machine a reply comes too late, and a truthful end is another one.
@pytest.mark.proof
@pytest.mark.parametrize("meddle", [at_the_scan, before_the_door_opens, with_the_door_open, as_the_door_closes])
async def test_a_lock_line_that_goes_midway_charges_nothing_wrong_and_comes_back(
    shop: Shop, meddle: Callable[[Shop, str], Any]
) -> None:
    async with shop.running() as agent:
        visit = shop.arrive("S1", "m0001")
        await meddle(shop, visit)
        await shop.clock.sleep(6.0)
        await shop.leaves(visit)
        shop.rig.replug("locks")
        await shop.until(lambda: shop.ready("S1"))
        # whatever became of it: a charge is right, or there is none
        assert await shop.buys({("S1-c", "690006"): 1}, "m0002") == "settled"
        assert agent.all_counters().get("crash.bus:locks", 0) == 0
    result = shop.judged()
    assert result.findings == ()
    sold = {line.sku: line.qty for r in shop.said(CabinetSettlementResolved) for line in r.lines}
    assert sold.pop("690006") == 1
    assert sold in ({}, {"690001": 1})


async def test_a_scale_that_restarts_shuts_its_door_until_staff_have_counted(shop: Shop) -> None:
    def door() -> tuple[bool, str]:
        here = next(c for c in shop.agent.front.state().cabinets if c.cabinet == "S1")
        return here.compartments[0].available, here.compartments[0].reason

    async with shop.running():
        shop.world.restart_scale("S1-a")
        await shop.until(lambda: door() == (False, "count_due"))
        typed = {"cabinet": "S1", "compartment": "S1-door", "code": shop.codes["m0001"]}
        assert (await shop.ask("member", **typed)).reason == "count_due"
        assert (await shop.ask("sign_in", staff_id="amy", pin=PIN, terminal="counter")).ok
        count = next(c for c in shop.agent.front.state().counts if c.cabinet == "S1")
        units = {g.sku: g.units for g in count.goods}
        asked = {"cabinet": "S1", "compartment": "S1-door", "staff_id": "amy"}
        assert (await shop.ask("count", **asked, units={**units, "690001": 1})).ok
        assert door() == (True, "")
        assert await shop.buys(BASKET) == "settled"
    counted = [e for e in shop.said(InventoryCounted) if e.reason == "count"]
    assert {(e.shelf, e.sku): e.units for e in counted}["S1-a", "690001"] == 1
    assert {e.staff_id for e in counted} == {"amy"}
    assert [e.reason for e in shop.said(CabinetUnlockDenied)] == ["count_due"]
    assert shop.judged().findings == ()


async def test_a_store_without_its_scanner_sells_by_typed_code_and_says_so(shop: Shop) -> None:
    async with shop.running():
        shop.rig.unplug("scan-snack")
        await shop.until(lambda: any(d.device == "scanner-S1" for d in told(shop, DeviceOffline)))
        visit = shop.arrive("S1", "m0001")
        reply = await shop.ask("member", cabinet="S1", compartment="S1-door", code=shop.codes["m0001"])
        assert reply.ok
        await shop.opens(visit)
        await shop.leaves(visit)
        await shop.until(lambda: shop.outcomes() == ["nothing_taken"])
        shop.rig.replug("scan-snack")
        await shop.until(lambda: shop.agent.devices.health["scanner-S1"].state == "online")
        assert await shop.buys({("S1-a", "690002"): 1}) == "settled"


# ------------------------------------------------------------------ cameras


class FakeCamera:
    """Stands in for `CameraService`: a test says what it saw."""

    made: dict[str, Any]

    def __init__(self, **given: Any) -> None:
        FakeCamera.made = given
        self.counters = {"restarts": 1}

    async def run(self) -> None:
        """This camera may not be analysed: the real one returns then, too."""


CAMERA = """
[[device]]
kind = "camera"
id = "entrance"
source = "sim://entrance"
codes_cabinet = "S1"
read_codes_every = 5
"""


async def test_what_a_camera_sees_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "CameraService", FakeCamera)
    shop = Shop(tmp_path)
    with shop.demo.store_toml.open("a") as file:
        file.write(CAMERA)
    shop.config = load_store(shop.demo.store_toml)
    async with shop.running() as agent:
        saw = FakeCamera.made

        def seen(state: Any) -> CameraHealth:
            return CameraHealth(camera="entrance", state=state, since=NOON, reason="no picture")

        assert agent.all_counters()["camera.entrance.restarts"] == 1
        saw["on_crossing"]("in")
        moment = "2026-03-02T04:00:00.000Z"
        saw["on_interval"](Interval(start=moment, end=moment, entered=1, left=0, quality=1.0, frames=5, skipped=0))
        saw["on_health"](seen("online"))
        assert agent.devices.health["entrance"].state == "online"
        saw["on_health"](seen("offline"))
        assert agent.devices.health["entrance"].state == "degraded"
        await shop.until(lambda: bool(told(shop, PeopleCrossing)) and bool(told(shop, PeopleCountInterval)))
        shop.arrive("S1", "m0001")
        for _ in range(3):  # it stays in sight
            saw["on_code"](shop.codes["m0001"])
        await shop.until(lambda: bool(shop.said(CabinetSessionStarted)))
        assert agent.counters["camera.code_repeated"] == 2


# ------------------------------------------------------------------ starting and ending


def plugged(folder: Path, **changes: str) -> Path:
    """A store description whose ports exist; `changes` replace text in it."""
    store_toml = described(folder).store_toml
    text = store_toml.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    store_toml.write_text(text)
    for bus in load_store(store_toml).bus:
        Path(bus.port).touch()
    return store_toml


def missing_port(folder: Path) -> Path:
    store_toml = plugged(folder)
    Path(load_store(store_toml).bus[0].port).unlink()
    return store_toml


def bad_pin(folder: Path) -> Path:
    store_toml = plugged(folder)
    lines = store_toml.read_text().splitlines()
    store_toml.write_text("\n".join('pin_hash = "2468"' if x.startswith("pin_hash") else x for x in lines))
    return store_toml


def bad_url(folder: Path) -> Path:
    return plugged(folder, **{"mqtt://127.0.0.1:1": "http://me:secret@cloud"})


def no_key(folder: Path) -> Path:
    store_toml = plugged(folder)
    (store_toml.parent / "member.key").unlink()
    return store_toml


def bad_policy(folder: Path) -> Path:
    store_toml = plugged(folder)
    policy = store_toml.parent / "policy.toml"
    policy.write_text(policy.read_text().replace("presence = ", "presense = "))
    return store_toml


def not_there(folder: Path) -> Path:
    return folder / "none.toml"


def desk_in_the_way(folder: Path) -> Path:
    store_toml = plugged(folder)
    (store_toml.parent / "edge" / "desk.sock").mkdir()
    return store_toml


REFUSALS = [
    # what is wrong, what the sentence must name: the file, the key, the fix
    (not_there, ["none.toml", "name the store description"]),
    (missing_port, ["store.toml", "bus.locks.url", "plug the adapter in"]),
    (bad_pin, ["store.toml", "staff.amy.pin_hash", "staff.bo.pin_hash", "zhanggui edge hash-pin"]),
    (bad_url, ["store.toml", "cloud.url", "mqtt://"]),
    (no_key, ["member.key", "copy the tenant's key"]),
    (bad_policy, ["policy.toml", "presense", "unknown key"]),
    (desk_in_the_way, ["desk.sock"]),
]


@pytest.mark.parametrize(("spoil", "names"), REFUSALS)
async def test_what_a_person_can_mend_is_refused_with_file_key_and_fix(
    tmp_path: Path, spoil: Callable[[Path], Path], names: list[str]
) -> None:
    with pytest.raises(AgentError) as refusal:
        await run_agent(spoil(tmp_path), clock=SystemClock(), rng=Random(1))
    for name in names:
        assert name in str(refusal.value)
    assert "secret" not in str(refusal.value)


async def test_two_agents_on_one_ledger_are_one_too_many(tmp_path: Path) -> None:
    store_toml = plugged(tmp_path)
    async with opened(load_store(store_toml), clock=SystemClock(), rng=Random(1)):
        with pytest.raises(AgentError, match=r"ledger\.db"):
            await run_agent(store_toml, clock=SystemClock())


async def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.rig.plug_all()
    task = asyncio.create_task(run_agent(shop.demo.store_toml, clock=shop.clock), name="agent")
    await shop.until(lambda: task.done() or shop.demo.desk_socket.exists())
    os.kill(os.getpid(), signal.SIGTERM)
    await task
    assert not shop.demo.desk_socket.exists()
    shop.rig.unplug_all()
