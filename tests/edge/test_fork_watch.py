"""A lane that must fork and finds no room rings until it goes on: at the store at once, in the cloud when it can hear."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.clock import ManualClock, SystemClock
from contracts.envelope import decode_data, decode_envelope
from contracts.event_types import CommandAccepted, DeviceFault, DeviceRecovered, Lane
from edge.fork_watch import ForkWatch
from edge.ledger import ForkRefusedError, Ledger
from edge.ports import LedgerFullError, Record, Transaction
from tests.edge_uplink.fake_bridge import FakeBridge, until
from tests.edge_uplink.model import Cloud
from tests.edge_uplink.test_client import Store

LARGE = 1 << 30


async def limited(ledger: Ledger, *, more_pages: int) -> None:
    """The file may grow by so many pages, and no further."""

    def limit(store) -> None:
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count={min(pages + more_pages, LARGE)}")

    await ledger._writer.call(limit)


def told(raws: list[bytes]) -> list[tuple[str, str]]:
    """What the ledger says of its faults, in order."""
    found = [decode_data(decode_envelope(raw)) for raw in raws]
    return [(type(e).__name__, e.code) for e in found if isinstance(e, DeviceFault | DeviceRecovered)]


async def kept(ledger: Ledger) -> list[bytes]:
    lane = ledger.lane("ledger")
    return [] if lane.tail == lane.freed else list((await lane.read(lane.freed.seq, 10_000, LARGE)).events)


class House:
    """A ledger, whose forks are tried as the uplink tries them, and the watch beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock()
        self.failed: Counter[Lane] = Counter()
        self.ledger: Ledger
        self.watch: ForkWatch

    async def start(self) -> None:
        self.ledger = await Ledger.open(
            self.path, clock=self.clock, tenant="t", store="s", boot="b", machine="m", telemetry_rows=100
        )
        self.failed.clear()
        self.watch = ForkWatch(ledger=self.ledger, failures=lambda lane: self.failed[lane], clock=self.clock)

    async def sell(self, count: int) -> None:
        for n in range(count):
            await self.ledger.commit(Transaction(records=[Record(CommandAccepted(command=str(n), kind="x"))]))

    async def fork(self, lane: Lane = "ledger", stream: str | None = None) -> None:
        try:
            await self.ledger.fork(lane, self.ledger.lane(lane).freed.seq, "restored", stream=stream)
        except (LedgerFullError, ForkRefusedError):
            self.failed[lane] += 1

    async def look(self) -> list[tuple[str, str]]:
        """A turn of the watch; what the ledger holds about it then."""
        self.watch.look()
        await self.watch.tell()
        return told(await kept(self.ledger))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path / "ledger.db")
    await made.start()
    yield made
    await made.ledger.close()


FAULT, OVER = ("DeviceFault", "ledger_cannot_fork"), ("DeviceRecovered", "ledger_cannot_fork")


async def test_no_room_is_told_once_and_taken_back(house: House, caplog: pytest.LogCaptureFixture) -> None:
    await house.sell(200)
    assert await house.look() == []
    await limited(house.ledger, more_pages=1)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):  # the uplink tries on
            await house.fork()
            assert await house.look() == [FAULT]
            assert set(house.watch.stuck) == {"ledger"}
    assert len([r for r in caplog.records if "must fork and cannot" in r.message]) == 1
    await limited(house.ledger, more_pages=LARGE)
    await house.fork()
    assert await house.look() == [FAULT, OVER]
    assert house.watch.stuck == {}
    assert await house.look() == [FAULT, OVER]


async def test_a_ledger_that_takes_nothing_is_told_when_it_does(house: House) -> None:
    await house.sell(200)
    await limited(house.ledger, more_pages=0)
    await house.ledger._writer.call(lambda store: store.connection.execute("PRAGMA query_only=1"))
    await house.fork()
    assert await house.look() == []
    assert set(house.watch.stuck) == {"ledger"}  # for the pages, which need no disk
    assert house.watch.counters["cannot_fork_not_written"] == 1
    await house.ledger._writer.call(lambda store: store.connection.execute("PRAGMA query_only=0"))
    await limited(house.ledger, more_pages=2)
    assert await house.look() == [FAULT]


async def test_a_refused_fork_rings_too_and_progress_without_one_ends_it(house: House) -> None:
    await house.sell(5)
    await house.fork(stream="another")
    assert await house.look() == [FAULT]
    await house.ledger.confirm("ledger", 3)  # the cloud asks for no fork any more
    assert await house.look() == [FAULT, OVER]


async def test_what_was_told_before_a_restart_is_taken_back_after_it(house: House) -> None:
    await house.sell(200)
    await limited(house.ledger, more_pages=1)
    await house.fork()
    assert await house.look() == [FAULT]
    await house.ledger.close()
    await house.start()
    assert await house.look() == [FAULT]
    await house.fork()
    assert await house.look() == [FAULT, OVER]


async def test_each_lane_rings_by_itself(house: House) -> None:
    await house.sell(5)
    await house.fork("telemetry", stream="another")
    assert await house.look() == [("DeviceFault", "telemetry_cannot_fork")]
    assert set(house.watch.stuck) == {"telemetry"}


async def test_over_a_real_broker_the_cloud_hears_of_it_in_the_end(broker, tmp_path: Path) -> None:
    """The cloud has lost what the store had freed; the store's disk has no room for the fork, then some."""
    store = Store(tmp_path)
    bridge = FakeBridge(store.topics)
    async with bridge.on(broker.url), store.on(broker.url):
        await store.sell(5)
        await until(store.drained_ledger)
    bridge.clouds["ledger"] = Cloud(window=2048)
    async with store.on("mqtt://127.0.0.1:9"):
        await store.sell(200)
    async with bridge.on(broker.url), store.on(broker.url):
        watch = ForkWatch(
            ledger=store.ledger,
            failures=lambda lane: store.uplink.counters.get(f"{lane}_fork_failed", 0),
            clock=SystemClock(),
        )
        await limited(store.ledger, more_pages=1)
        await until(lambda: store.uplink.counters.get("ledger_fork_failed", 0) >= 1)
        watch.look()
        await watch.tell()
        assert set(watch.stuck) == {"ledger"}
        await limited(store.ledger, more_pages=LARGE)
        await until(store.drained_ledger)
        watch.look()
        await watch.tell()
        await until(lambda: told(bridge.events("ledger")) == [FAULT, OVER])
