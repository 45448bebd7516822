"""What operators see, told by events: stock, doors, money, people, devices, and one sentence for each event."""

from __future__ import annotations

import asyncio
import re
import typing
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest
from cloud_bridge.presence import PresenceBook
from cloud_bridge.read_models import ReadModels
from cloud_bridge.read_models.alarms import draw_alarms
from cloud_bridge.read_models.names import Names
from cloud_bridge.read_models.sentences import sentence
from cloud_bridge.read_models.state import EVENTS_SHOWN
from cloud_bridge.read_models.tallies import BARS, Tallies, keep
from cloud_bridge.recommend import MOST_BOUGHT_HERE
from cloud_bridge.storage import Storage
from contracts import event_types as e
from contracts.clock import ManualClock, rfc3339, unix_ms
from contracts.envelope import Origin
from contracts.event_types import EVENT_TYPES, EventData, Line, ShelfDelta
from contracts.messages import Hello, Parent
from contracts.planogram import CabinetPlace, CompartmentPlace, DevicePlace, Product, ShelfPlace, StoreDocument
from tests.cloud_bridge.wire import CHILD, LEDGER, TELEMETRY, Chain

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai


def _product(sku: str, zh: str, en: str, price_fen: int, category: str = "snack") -> Product:
    return Product(sku=sku, name_zh=zh, name_en=en, price_fen=price_fen, unit_weight_g=100.0, category=category)


DOCUMENT = StoreDocument(
    name_zh="南京路店",
    name_en="Nanjing Road",
    region="上海",
    cabinets=(
        CabinetPlace(
            cabinet="c1", name_zh="零食柜", name_en="Snack cabinet", mode="self_service",
            compartments=(
                CompartmentPlace(compartment="A1", shelves=(ShelfPlace(shelf="s1", capacity={"cola": 10, "chips": 8}),)),
                CompartmentPlace(compartment="A2", shelves=(ShelfPlace(shelf="s2", capacity={"gum": 5}),)),
            ),
        ),
        CabinetPlace(
            cabinet="c2", name_zh="烟柜", name_en="Tobacco cabinet", mode="staff_release",
            compartments=(CompartmentPlace(compartment="T1", shelves=(ShelfPlace(shelf="s3", capacity={"smoke": 20}),)),),
        ),
    ),
    products=(
        _product("cola", "可乐", "Cola", 350),
        _product("chips", "薯片", "Crisps", 680),
        _product("gum", "口香糖", "Gum", 250),
        _product("smoke", "香烟", "Cigarettes", 2500, "tobacco"),
    ),
    devices=(DevicePlace(device="lock1", kind="lock_board", model="8A"), DevicePlace(device="scale1", kind="scale", model="WT")),
)  # fmt: skip
CONFIG = e.ConfigChanged(source="store.toml", digest="d1", document=msgspec.Raw(msgspec.json.encode(DOCUMENT)))
STOCK = [
    e.InventoryCounted(shelf=shelf, sku=sku, units=units)
    for shelf, sku, units in (("s1", "cola", 9), ("s1", "chips", 4), ("s2", "gum", 5), ("s3", "smoke", 7))
]


class World:
    """A store that speaks, an ingest that stores, read models that follow."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.clock = ManualClock(NOON)
        self.counters = Counters()
        self.presence = PresenceBook(self.counters)
        self.models = ReadModels(storage=storage, presence=self.presence, clock=self.clock, counters=self.counters)
        self.ingest = Ingest(
            storage=storage, clock=self.clock, counters=self.counters, on_progress=self.models.progressed
        )
        self.chains = {"ledger": Chain(place=LEDGER), "telemetry": Chain(CHILD, TELEMETRY)}
        self.sent = {"ledger": 0, "telemetry": 0}

    def now_ms(self) -> int:
        return unix_ms(self.clock.wall())

    def be_online(self) -> None:
        self.presence.follow([("demo", "shop1", "b", 1, "i", "1", 1, self.now_ms())])

    async def tell(
        self, *events: EventData, time: datetime | None = None, quality: str = "synced", origin: Origin | None = None
    ) -> None:
        """The store appends these, and the cloud has them."""
        for data in events:
            self.chains[data.LANE].say(data, time=rfc3339(time or self.clock.wall()), quality=quality, origin=origin)
        for lane, chain in self.chains.items():
            while self.sent[lane] < len(chain.raws):
                last = min(len(chain.raws), self.sent[lane] + 512)
                await self.ingest.batch(chain.place, chain.batch(self.sent[lane] + 1, last))
                self.sent[lane] = last
        await self.models.catch_up()

    @property
    def view(self):
        found = self.models.store("demo", "shop1")
        assert found is not None
        return found

    @property
    def row(self):
        return self.view.fleet

    def compartment(self, name: str):
        return next(k for c in self.view.cabinets for k in c.compartments if k.compartment == name)

    def units(self) -> dict[str, int]:
        return {
            slot.sku: slot.units
            for c in self.view.cabinets
            for k in c.compartments
            for s in k.shelves
            for slot in s.slots
        }


@pytest.fixture
async def world(storage: Storage) -> World:
    made = World(storage)
    await made.tell(CONFIG, *STOCK)
    return made


def started(session: str = "x1", compartment: str = "A1", mode: str = "self_service") -> EventData:
    return e.CabinetSessionStarted(session=session, cabinet="c1", compartment=compartment, mode=mode)


def line(sku: str, qty: int, price_fen: int, shelf: str = "s1") -> Line:
    return Line(sku=sku, qty=qty, price_fen=price_fen, shelf=shelf)


def resolved(*lines: Line, session: str = "x1", **more) -> EventData:
    return e.CabinetSettlementResolved(session=session, lines=lines, shelves=(), **more)


def sold(*lines: Line, session: str = "x1") -> list[EventData]:
    return [
        resolved(*lines, session=session),
        *(
            e.CabinetStockChanged(shelf=x.shelf, sku=x.sku, delta_units=-x.qty, evidence="weight", session=session)
            for x in lines
        ),
        e.PaymentCaptured(session=session, key=session, amount_fen=sum(x.qty * x.price_fen for x in lines)),
        e.CabinetSessionEnded(session=session, outcome="settled"),
    ]


# ------------------------------------------------------------------ the fleet


async def test_a_store_is_drawn_as_it_described_itself(world: World) -> None:
    row = world.row
    assert (row.name_zh, row.name_en, row.region) == ("南京路店", "Nanjing Road", "上海")
    assert (row.units, row.capacity) == (25, 43)
    assert world.units() == {"cola": 9, "chips": 4, "gum": 5, "smoke": 7}
    assert [c.mode for c in world.view.cabinets] == ["self_service", "staff_release"]
    slot = world.compartment("A1").shelves[0].slots[0]
    assert (slot.sku, slot.name_zh, slot.name_en, slot.price_fen, slot.category, slot.capacity) == (
        "cola",
        "可乐",
        "Cola",
        350,
        "snack",
        10,
    )
    assert world.view.watermarks == {"ledger": 5}


async def test_a_sale_counts_once_in_money_stock_and_offers(world: World) -> None:
    await world.tell(started(), *sold(line("cola", 2, 350), line("chips", 1, 680)))
    assert (world.row.sales_today, world.row.revenue_today_fen) == (1, 1380)
    assert world.units()["cola"] == 7
    assert world.models.offers("demo", "shop1").skus == ("cola", "chips")
    assert world.models.offers("demo", "shop1").reason_codes == (MOST_BOUGHT_HERE,)
    assert world.models.offers("demo", "elsewhere").skus == ()


async def test_revenue_is_money_that_came(world: World) -> None:
    await world.tell(
        started(),
        resolved(line("cola", 1, 350)),
        e.PaymentFailed(session="x1", key="x1", code="expired"),
        e.CabinetSessionEnded(session="x1", outcome="settled_unpaid"),
    )
    assert (world.row.sales_today, world.row.revenue_today_fen) == (1, 0)


async def test_nothing_taken_and_a_restock_are_no_sale(world: World) -> None:
    await world.tell(started(), resolved(), e.CabinetSessionEnded(session="x1", outcome="nothing_taken"))
    await world.tell(
        started("x2", mode="restock"),
        resolved(session="x2"),
        e.CabinetStockChanged(shelf="s1", sku="chips", delta_units=4, evidence="weight", session="x2"),
        e.CabinetSessionEnded(session="x2", outcome="restocked"),
    )
    assert (world.row.sales_today, world.units()["chips"]) == (0, 8)
    assert world.models.offers("demo", "shop1").skus == ()


async def test_today_is_the_day_in_shanghai(world: World) -> None:
    before_midnight = datetime(2026, 3, 1, 15, 59, tzinfo=UTC)  # 23:59 on 1 March
    after_midnight = datetime(2026, 3, 1, 16, 1, tzinfo=UTC)  # 00:01 on 2 March, still 1 March in UTC
    await world.tell(
        e.PaymentCaptured(session="a", key="a", amount_fen=1),
        e.PeopleCrossing(line="d", direction="in"),
        time=before_midnight,
    )
    await world.tell(
        e.PaymentCaptured(session="b", key="b", amount_fen=10),
        e.PeopleCrossing(line="d", direction="in", count=2),
        time=after_midnight,
    )
    assert (world.row.revenue_today_fen, world.row.visitors_today) == (10, 2)
    world.clock.step(12 * 3600)  # midnight passes
    assert (world.row.revenue_today_fen, world.row.visitors_today) == (0, 0)


async def test_a_clock_that_knows_nothing_is_not_believed(world: World) -> None:
    await world.tell(
        e.PaymentCaptured(session="a", key="a", amount_fen=5), time=datetime(1970, 1, 1, tzinfo=UTC), quality="unknown"
    )
    assert world.row.revenue_today_fen == 5  # by the time it was received
    assert world.view.events[0].time_ms == world.now_ms()


@pytest.mark.parametrize(
    ("quality", "offset_ms", "shown_h"),
    [
        ("estimated", 3_600_000.0, 1),  # the box is an hour behind: its events are an hour later than it says
        ("estimated", -7_200_000.0, -2),
        ("estimated", None, 0),  # nothing was told of this boot
        ("synced", 1_500.0, 0),  # good enough as it is
    ],
)
async def test_a_time_is_corrected_beside_the_event_by_what_its_boot_has_told(
    world: World, quality: str, offset_ms: float | None, shown_h: int
) -> None:
    if offset_ms is not None:
        await world.tell(e.ClockEstimated(boot="b1", offset_ms=offset_ms, rtt_ms=9.0))
        await world.tell(e.ClockEstimated(boot="another", offset_ms=9e9, rtt_ms=9.0))
    said = world.clock.wall()
    await world.tell(e.StoreClosed(staff_id="s", reason="x"), time=said, quality=quality)
    assert world.view.events[0].time_ms == unix_ms(said) + shown_h * 3_600_000
    raw = world.chains["ledger"].raws[-1]
    assert msgspec.json.decode(raw)["time"] == rfc3339(said)  # what was written is as it was


async def test_an_unknown_clock_is_believed_once_its_boot_has_told_how_far_it_is(world: World) -> None:
    wrong = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
    await world.tell(e.StoreOpened(staff_id="s"), time=wrong, quality="unknown")
    assert world.view.events[0].time_ms == unix_ms(world.clock.wall())  # when it came in
    offset_ms = unix_ms(world.clock.wall()) - unix_ms(wrong) - 60_000.0
    await world.tell(e.ClockEstimated(boot="b1", offset_ms=offset_ms, rtt_ms=9.0), time=wrong, quality="unknown")
    await world.tell(e.StoreClosed(staff_id="s", reason="x"), time=wrong, quality="unknown")
    assert world.view.events[0].time_ms == unix_ms(world.clock.wall()) - 60_000


async def test_what_a_fork_brings_again_counts_once(world: World) -> None:
    await world.tell(e.PaymentCaptured(session="a", key="a", amount_fen=5))
    chain = world.chains["ledger"]
    seq = len(chain.raws)
    origin = Origin(stream=chain.stream, seq=seq, hash=chain.hashes[seq].hex())
    world.chains["ledger"] = Chain("00000000-0000-4000-8000-000000000009", LEDGER)
    world.sent["ledger"] = 0
    await world.tell(e.PaymentCaptured(session="a", key="a", amount_fen=5), origin=origin)
    await world.tell(e.PaymentCaptured(session="b", key="b", amount_fen=30))
    assert world.row.revenue_today_fen == 35
    assert world.view.watermarks["ledger"] == 2  # of the stream in use


# ------------------------------------------------------------------ cabinets


async def test_a_door_follows_its_events(world: World) -> None:
    doors = [world.compartment("A1").door]
    for event in (
        e.CabinetDoorOpened(compartment="A1"),
        e.CabinetDoorClosed(compartment="A1"),
        e.CabinetDoorForced(compartment="A1"),
        e.CabinetDoorClosed(compartment="A1"),
        e.CabinetDoorHeldOpen(compartment="A1"),
    ):
        await world.tell(event)
        doors.append(world.compartment("A1").door)
    assert doors == ["unknown", "open", "closed", "open", "closed", "open"]
    assert world.compartment("A2").door == "unknown"


@pytest.mark.parametrize(
    "end",
    [
        resolved(line("cola", 1, 350)),  # settled: the slot is free, money goes on alone
        e.CabinetSettlementNeedsReview(session="x1", reason="ambiguous", shelves=()),
        e.CabinetSessionEnded(session="x1", outcome="cancelled"),
    ],
)
async def test_a_session_holds_its_compartment_until_its_conclusion(world: World, end: EventData) -> None:
    await world.tell(started())
    assert world.compartment("A1").session == "x1"
    await world.tell(end)
    assert world.compartment("A1").session == ""


UNKNOWN = ShelfDelta(shelf="s1", delta_g=None, book_g=0.0, epoch=1)
KNOWN = ShelfDelta(shelf="s1", delta_g=99.0, book_g=0.0, epoch=1)


async def test_a_review_is_open_until_somebody_decided(world: World) -> None:
    reviews = []
    for event in (
        started(),
        e.CabinetSettlementNeedsReview(session="x1", reason="ambiguous", shelves=(KNOWN,)),
        started("x2"),
        e.CabinetSettlementNeedsReview(session="x2", reason="foreign_item", shelves=(KNOWN,)),
        resolved(line("cola", 1, 350), decided_by="staff", staff_id="amy"),  # x1 is charged
        e.CabinetSessionEnded(session="x2", outcome="voided"),  # x2 is dropped
    ):
        await world.tell(event)
        reviews.append(world.row.open_reviews)
    assert reviews == [0, 1, 1, 2, 1, 0]
    assert not world.compartment("A1").blocked


@pytest.mark.parametrize(
    ("events", "blocked"),
    [
        ([e.CabinetDoorForced(compartment="A1")], True),  # an incident
        (
            [e.CabinetDoorForced(compartment="A1"), e.CabinetStockUnexplained(compartment="A1", shelves=(KNOWN,))],
            False,
        ),  # its weight is known
        ([e.CabinetStockUnexplained(compartment="A1", shelves=(UNKNOWN,))], True),  # staff must count
        (
            [
                e.CabinetStockUnexplained(compartment="A1", shelves=(UNKNOWN,)),
                e.InventoryCounted(shelf="s1", sku="cola", units=3),
            ],
            False,
        ),
        (
            [
                e.CabinetStockUnexplained(compartment="A1", shelves=(UNKNOWN,)),
                e.InventoryCounted(shelf="s2", sku="gum", units=3),
            ],
            True,
        ),  # another one
        (
            [
                e.CabinetStockUnexplained(compartment="A2", shelves=(msgspec.structs.replace(UNKNOWN, shelf="s2"),)),
                e.CabinetStockUnexplained(
                    compartment="A1", shelves=(UNKNOWN, msgspec.structs.replace(UNKNOWN, shelf="s9"))
                ),
                e.InventoryCounted(shelf="s1", sku="cola", units=3),
            ],
            True,
        ),  # one shelf of two: not yet
        ([started(), e.CabinetSettlementNeedsReview(session="x1", reason="unstable", shelves=(UNKNOWN,))], True),
        ([started(), e.CabinetSettlementNeedsReview(session="x1", reason="ambiguous", shelves=(KNOWN,))], False),
        (
            [
                started(mode="restock"),
                e.CabinetSettlementNeedsReview(session="x1", reason="foreign_item", shelves=(KNOWN,)),
            ],
            True,
        ),
        (
            [
                e.CabinetStockUnexplained(compartment="A1", shelves=(UNKNOWN,)),
                started(mode="restock"),
                e.CabinetSessionEnded(session="x1", outcome="restocked"),
            ],
            False,
        ),
    ],
)
async def test_a_compartment_is_blocked_until_its_stock_is_known(
    world: World, events: list[EventData], blocked: bool
) -> None:
    await world.tell(*events)
    assert world.compartment("A1").blocked is blocked


# ------------------------------------------------------------------ devices and alarms


async def test_devices_are_known_only_while_the_store_is(world: World) -> None:
    await world.tell(e.DeviceOnline(device="lock1", kind="lock_board"), e.DeviceOnline(device="cam", kind="camera"))
    assert [(d.device, d.state) for d in world.view.devices] == [
        ("lock1", "unknown"),
        ("scale1", "unknown"),
        ("cam", "unknown"),
    ]
    assert (world.row.devices_online, world.row.online) == (0, False)
    world.be_online()
    since = world.now_ms()
    assert [(d.device, d.kind, d.model, d.state, d.since_ms) for d in world.view.devices] == [
        ("lock1", "lock_board", "8A", "online", since), ("scale1", "scale", "WT", "unknown", 0), ("cam", "camera", "", "online", since),
    ]  # fmt: skip
    assert (world.row.devices_online, world.row.devices_total, world.row.online) == (2, 3, True)
    world.clock.step(61)
    assert (world.row.devices_online, world.row.online, world.row.last_seen_ms) == (0, False, since)


async def test_what_a_device_shows_is_the_latest_and_fills_no_list(world: World) -> None:
    kinds = DevicePlace(device="mist", kind="fog_machine", model="")  # newer than this bridge
    raw = msgspec.json.encode(msgspec.structs.replace(DOCUMENT, devices=(*DOCUMENT.devices, kinds)))
    await world.tell(e.ConfigChanged(source="store.toml", digest="d2", document=msgspec.Raw(raw)))
    listed = len(world.view.events)
    for number in (1.0, 2.0):
        await world.tell(e.DeviceReading(device="mist", kind="fog_machine", values={"fog": number, "state": "idle"}))
    mist = world.view.devices[2]
    assert (mist.device, mist.kind, dict(mist.values)) == ("mist", "fog_machine", {"fog": 2.0, "state": "idle"})
    assert len(world.view.events) == listed


async def test_a_fault_is_an_alarm_until_the_device_recovers(world: World) -> None:
    world.be_online()
    story = []
    for event in (
        e.DeviceOnline(device="lock1", kind="lock_board"),
        e.DeviceFault(device="lock1", kind="lock_board", code="stuck", detail="channel 3"),
        e.DeviceFault(device="lock1", kind="lock_board", code="noise"),
        e.DeviceRecovered(device="lock1", kind="lock_board", code="stuck"),
        e.DeviceRecovered(device="lock1", kind="lock_board", code="noise"),
        e.DeviceOffline(device="lock1", kind="lock_board", detail="no answer"),
    ):
        await world.tell(event)
        device = world.view.devices[0]
        story.append((device.state, device.detail, world.row.alarms))
    assert story == [
        ("online", "", 0), ("degraded", "stuck: channel 3", 1), ("degraded", "noise", 2), ("degraded", "noise", 1),
        ("online", "", 0), ("offline", "no answer", 0),
    ]  # fmt: skip


async def test_since_when_is_kept_while_nothing_changes(world: World) -> None:
    world.be_online()
    await world.tell(e.DeviceOnline(device="lock1", kind="lock_board"))
    since = world.view.devices[0].since_ms
    world.clock.step(30)
    await world.tell(e.DeviceOnline(device="lock1", kind="lock_board"))
    assert world.view.devices[0].since_ms == since


@pytest.mark.parametrize(
    ("event", "cure"),
    [
        (e.CabinetDoorForced(compartment="A1"), e.CabinetDoorClosed(compartment="A1")),
        (e.CabinetDoorHeldOpen(compartment="A1"), e.CabinetDoorClosed(compartment="A1")),
        (
            e.CabinetStockUnexplained(compartment="A1", shelves=(KNOWN,)),
            e.InventoryCounted(shelf="s1", sku="cola", units=1),
        ),
        (e.LicenceExpired(scope="tobacco"), None),
        (e.LedgerDamaged(lane="ledger", first=1, last=2), None),
        (
            e.LedgerDisk(level="full", used_percent=99, free_bytes=1),
            e.LedgerDisk(level="warn", used_percent=85, free_bytes=10**9),
        ),
        (e.StreamForked(lane="ledger", parent="p", common=1, reason="cloud_loss"), None),
    ],
)
async def test_an_alarm_is_counted_once_until_it_is_cured(
    world: World, event: EventData, cure: EventData | None
) -> None:
    await world.tell(event, event)
    assert world.row.alarms == 1
    if cure is not None:
        await world.tell(cure)
        assert world.row.alarms == 0


async def lose(world: World, first: int, last: int) -> Chain:
    """The cloud holds the ledger up to `first - 1`, and a fork says that `last` had been confirmed."""
    parent, child = world.chains["ledger"], Chain(CHILD)
    assert len(parent.raws) == first - 1
    said = Hello(
        stream=CHILD, instance="i", nonce="n", next_seq=1, tail_hash=child.hashes[0].hex(), t0=0,
        parent=Parent(stream=parent.stream, common=last, hash="00" * 32),
    )  # fmt: skip
    assert await world.ingest.hello(LEDGER, said) is not None
    return child


async def test_what_the_cloud_lost_is_an_alarm_with_its_range_though_the_store_has_not_told_it_yet(
    world: World,
) -> None:
    await lose(world, 6, 9)
    await world.models.catch_up()
    (alarm,) = world.view.alarms
    assert (world.row.alarms, alarm.what) == (1, "cloud loss ledger 6–9")
    assert alarm.zh == "云端丢失了已确认的记录：ledger 6–9"
    assert alarm.en == "The cloud lost events it had confirmed: ledger 6–9"
    assert alarm.since_ms == unix_ms(world.clock.wall())


async def test_the_store_and_the_cloud_tell_one_and_the_same_loss(world: World) -> None:
    child = await lose(world, 6, 9)
    child.say(
        e.StreamForked(lane="ledger", parent="p", common=9, reason="cloud_loss", lost_first=6, lost_last=9),
        time=rfc3339(world.clock.wall()),
    )
    await world.ingest.batch(LEDGER, child.batch(1, 1))
    await world.models.catch_up()
    assert [alarm.what for alarm in world.view.alarms] == ["cloud loss ledger 6–9"]
    assert "lost confirmed events 6–9" in world.view.events[0].en
    await world.models.rebuild()
    assert world.row.alarms == 1


async def test_every_alarm_has_words_in_both_languages(world: World) -> None:
    await world.tell(
        e.CabinetDoorForced(compartment="A1"),
        e.CabinetDoorHeldOpen(compartment="A2"),
        e.DeviceFault(device="uplink", kind="uplink", code="certificate_expired"),
        e.LicenceExpired(scope="tobacco"),
        e.LedgerDamaged(lane="ledger", first=1, last=2),
    )
    assert len(world.view.alarms) == world.row.alarms == 5
    for alarm in (*world.view.alarms, *draw_alarms({"unexplained A1": 0, "cloud loss ledger": 0})):
        assert alarm.what not in (alarm.zh, alarm.en)
        assert re.search("[一-鿿]", alarm.zh)
    assert draw_alarms({"new kind of trouble": 5})[0].en == "new kind of trouble"


async def test_a_fork_of_a_restored_disk_is_no_alarm(world: World) -> None:
    await world.tell(e.StreamForked(lane="ledger", parent="p", common=1, reason="diverged"))
    assert world.row.alarms == 0


# ------------------------------------------------------------------ people


async def test_visitors_are_counted_by_the_minute(world: World) -> None:
    assert world.view.visitors == ()
    minute = timedelta(minutes=1)
    now = world.clock.wall()
    for when, direction in (
        (now - 2 * minute, "in"),
        (now - 2 * minute, "in"),
        (now - minute, "out"),
        (now - 90 * minute, "in"),
    ):
        await world.tell(e.PeopleCrossing(line="d", direction=direction), time=when)
    await world.tell(
        e.PeopleCountInterval(
            line="d", start=rfc3339(now - 2 * minute), end=rfc3339(now - minute), entered=2, left=0, quality=1.0
        )
    )
    bars = world.view.visitors
    assert len(bars) == BARS
    assert [(b.entered, b.left) for b in bars[-3:]] == [(2, 0), (0, 1), (0, 0)]
    assert bars[-1].start_ms == world.now_ms() // 60_000 * 60_000
    assert sum(b.entered for b in bars) == 2
    assert world.row.visitors_today == 3  # the camera's sum repeats the crossings; it is not added


def test_a_store_that_tells_only_sums_is_counted_by_them() -> None:
    tallies = Tallies()
    tallies.interval(60_000, 3, 1)
    assert [(b.entered, b.left) for b in tallies.bars(60_000) if b.entered] == [(3, 1)]
    tallies.crossing(120_000, 1, 0)
    tallies.interval(120_000, 1, 0)
    assert tallies.today(120_000).visitors == 4


# ------------------------------------------------------------------ points


async def test_points_accrue_on_what_is_not_tobacco(world: World) -> None:
    member = e.MemberRecognised(session="x1", member_ref="m-73", method="qr")
    await world.tell(
        started(), member, *sold(line("cola", 2, 350), line("smoke", 1, 2500, "s3"), line("mystery", 1, 900))
    )
    assert world.models.points_earned("demo", "m-73") == 7  # 7.00 yuan of cola; neither tobacco nor what nobody knows
    await world.tell(
        started("x2"),
        e.MemberRecognised(session="x2", member_ref="m-73", method="qr"),
        *sold(line("chips", 1, 680), session="x2"),
    )
    assert world.models.points_earned("demo", "m-73") == 13  # whole yuan of each sale
    await world.tell(started("x3"), *sold(line("chips", 1, 680), session="x3"))  # nobody
    assert world.models.points_earned("demo", "m-73") == 13
    assert world.models.points_earned("other", "m-73") == 0


# ------------------------------------------------------------------ following


async def test_a_new_projector_sees_the_same(world: World, storage: Storage) -> None:
    await world.tell(started(), *sold(line("cola", 1, 350)), e.PeopleCrossing(line="d", direction="in"))
    before = (world.view, world.models.fleet())
    again = ReadModels(storage=storage, presence=world.presence, clock=world.clock, counters=world.counters)
    assert await again.catch_up() == world.models.row
    assert (again.store("demo", "shop1"), again.fleet()) == before
    assert await world.models.rebuild() == again.row
    assert (world.view, world.models.fleet()) == before


async def test_it_follows_what_is_stored(world: World) -> None:
    following = asyncio.create_task(world.models.run(), name="models")
    chain = world.chains["ledger"]
    chain.say(e.PaymentCaptured(session="a", key="a", amount_fen=5), time=rfc3339(world.clock.wall()))
    await world.ingest.batch(LEDGER, chain.batch(len(chain.raws), len(chain.raws)))
    while not world.row.revenue_today_fen:
        await asyncio.sleep(0.005)
    following.cancel()
    assert world.row.revenue_today_fen == 5


async def test_many_rows_are_read_in_steps(world: World) -> None:
    await world.tell(*(e.PeopleCrossing(line="d", direction="in") for _ in range(1203)))
    assert world.row.visitors_today == 1203
    assert await world.models.rebuild() == 1203 + 5


async def test_the_fleet_is_the_same_object_while_nothing_changes(world: World) -> None:
    first = world.models.fleet()
    assert world.models.fleet() is first
    world.be_online()
    assert world.models.fleet() is not first
    assert world.models.fleet()[0].online


async def test_a_store_that_only_said_hello_is_in_the_fleet(storage: Storage) -> None:
    world = World(storage)
    assert world.models.store("demo", "shop1") is None
    world.be_online()
    assert [(r.store, r.name_zh, r.online) for r in world.models.fleet()] == [("shop1", "shop1", True)]
    assert world.view.cabinets == ()


async def test_dead_letters_and_strangers_are_shown(world: World) -> None:
    chain = world.chains["ledger"]
    chain.add(b'{"no":"event"}')
    chain.add(b"")
    chain.raws.pop()
    chain.hashes.pop()
    seq = len(chain.raws) + 1
    chain.say(e.StoreOpened(staff_id="amy"))
    strange = chain.raws.pop().replace(b"store.opened", b"mirror.waved")
    chain.hashes.pop()
    assert seq == len(chain.raws) + 1
    chain.add(strange)
    await world.tell()
    assert world.view.dead_letters == 1
    assert [event.type for event in world.view.events[:2]] == ["mirror.waved", ""]
    assert "mirror.waved" in world.view.events[0].en
    assert world.view.events[1].level == "attention"


async def test_a_description_that_cannot_be_read_leaves_the_older_one(world: World) -> None:
    await world.tell(e.ConfigChanged(source="s", digest="d2", document=msgspec.Raw(b'{"name_zh":5}')))
    assert world.row.name_zh == "南京路店"
    assert world.models.counters()["projection_unreadable_document"] == 1


async def test_an_event_this_version_cannot_read_is_counted_and_passed(world: World) -> None:
    await world.tell(e.PaymentCaptured(session="a", key="a", amount_fen=5))
    await world.storage.write(
        lambda c: c.execute(
            "UPDATE events SET raw = ? WHERE stream = (SELECT min(born) FROM streams) AND seq = 2", (b"{}",)
        )
    )
    await world.models.rebuild()
    assert world.models.counters()["projection_unreadable_event"] == 1
    assert (world.units()["cola"], world.row.revenue_today_fen) == (0, 5)  # the rest is there


async def test_counters_of_the_agent_are_its_latest(world: World) -> None:
    await world.tell(
        e.AgentHealth(boot="b", counters={"bus.crc": 1, "old": 2}), e.AgentHealth(boot="b", counters={"bus.crc": 3})
    )
    assert world.view.counters == {"bus.crc": 3}


# ------------------------------------------------------------------ sentences


def _value(kind: object, name: str) -> object:
    """Some value of a field's type."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return _value(typing.get_args(kind)[0], name)
    if origin is typing.Literal:
        return typing.get_args(kind)[0]
    if origin is tuple:
        return (_value(typing.get_args(kind)[0], name),)
    if origin is dict:
        return {}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _instance(kind)
    if kind is msgspec.Raw:
        return msgspec.Raw(b"{}")
    named = {"compartment": "A1", "sku": "cola", "shelf": "s1", "items": "cola", "member_ref": "m-9173"}
    table = {str: named.get(name, "x7"), int: 3, float: 2.0, bool: True}
    return table.get(kind)


def _instance(cls: type) -> typing.Any:
    hints = typing.get_type_hints(cls, include_extras=True)
    return cls(**{field.name: _value(hints[field.name], field.name) for field in msgspec.structs.fields(cls)})


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_type_of_the_vocabulary_has_a_sentence_in_both_languages(name: str) -> None:
    zh, en, level = sentence(_instance(EVENT_TYPES[name]), Names(DOCUMENT))
    assert re.search(r"[\u4e00-\u9fff]", zh)
    assert re.search(r"[A-Za-z]", en)
    assert not re.search(r"[\u4e00-\u9fff]", en)
    assert name not in en  # told in words, not by its name
    assert "m-91" not in zh + en  # a member is masked
    assert level in {"info", "ok", "attention", "fault"}
    assert len(zh) + len(en) < 300


@pytest.mark.parametrize(
    ("event", "zh", "en"),
    [
        (
            resolved(line("cola", 2, 350), line("chips", 1, 680)),
            "售出 可乐 ×2、薯片 ×1，¥13.80",
            "Sold Cola ×2, Crisps ×1, ¥13.80",
        ),
        (resolved(), "结算：没有取走商品", "Settled: nothing was taken"),
        (
            e.CabinetDoorForced(compartment="A1"),
            "零食柜 A1：门在没有会话时被打开",
            "Snack cabinet A1: door opened without a session",
        ),
        (e.CabinetDoorOpened(compartment="Z9"), "Z9：门打开", "Z9: door opened"),  # not described
        (e.MemberRecognised(session="x", member_ref="m-9173", method="qr"), "识别会员 …73", "Member …73 recognised"),
        (
            e.InventoryCounted(shelf="s2", sku="gum", units=4),
            "盘点 零食柜 A2 s2：口香糖 4 件",
            "Counted Snack cabinet A2 s2: Gum, 4 units",
        ),
        (
            e.PaymentRequested(session="x", kind="capture", key="x", amount_fen=350),
            "请求收款 ¥3.50",
            "Capture of ¥3.50 requested",
        ),
        (
            e.PaymentRequested(session="x", kind="void", key="x", amount_fen=350),
            "请求撤销预授权",
            "Release of the hold requested",
        ),
        (e.PeopleCrossing(line="d", direction="out", count=2), "2 人离店", "2 left"),
        (
            e.ScanBarcode(scanner="s", symbology="qr", accepted=False, reason="not_a_member_code"),
            "扫码被拒绝（not_a_member_code）",
            "A code was refused (not_a_member_code)",
        ),
        (
            e.CommandCompleted(command="c", kind="revoke", outcome="unknown"),
            "指令 revoke 结果：unknown",
            "Command revoke: unknown",
        ),
        (
            e.GateDecision(session="x", stage="g1", outcome="denied", failed=("T01", "T03")),
            "闸门 g1：拒绝（T01、T03）",
            "Gate g1: denied (T01, T03)",
        ),
    ],
)
def test_sentences_say_what_happened(event: EventData, zh: str, en: str) -> None:
    assert sentence(event, Names(DOCUMENT))[:2] == (zh, en)


async def test_a_reading_tells_a_door_only_while_nothing_better_is_known(world: World) -> None:
    def doors() -> list[str]:
        return [k.door for c in world.view.cabinets for k in c.compartments]

    first = DOCUMENT.cabinets[0].compartments[0].compartment
    await world.tell(e.ConfigChanged(source="s", digest="d", document=msgspec.Raw(msgspec.json.encode(DOCUMENT))))
    assert doors()[0] == "unknown"
    await world.tell(e.CabinetDoorReading(compartment=first, open=False))
    assert doors()[0] == "closed"
    await world.tell(e.CabinetDoorOpened(compartment=first, session="x"))
    await world.tell(e.CabinetDoorReading(compartment=first, open=False))  # the other lane lags
    assert doors()[0] == "open"


async def test_the_latest_events_come_first_and_are_capped(world: World) -> None:
    await world.tell(
        *(e.StoreOpened(staff_id=f"s{n}") for n in range(EVENTS_SHOWN + 10)),
        e.AgentHealth(boot="b", counters={}),
        e.WeightReading(shelf="s1", gross_g=1.0, stable=True),
    )
    shown = world.view.events
    assert len(shown) == EVENTS_SHOWN
    assert shown[0].en == f"Store opened by s{EVENTS_SHOWN + 9}"  # readings and reports push nothing out
    assert [event.row for event in shown] == sorted((event.row for event in shown), reverse=True)


def test_a_table_forgets_its_oldest() -> None:
    table: dict[int, int] = {}
    for n in range(5):
        keep(table, n, n, 3)
    assert table == {2: 2, 3: 3, 4: 4}
