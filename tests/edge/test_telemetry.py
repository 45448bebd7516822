"""Facts are gathered, committed in sums, bounded, and survive a full disk in memory."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from contracts.clock import ManualClock
from contracts.envelope import EventTooLargeError
from contracts.event_types import (
    AgentHealth,
    BusError,
    CabinetDoorReading,
    DeviceOffline,
    DeviceOnline,
    PeopleOccupancy,
    WeightReading,
)
from device_drivers.capabilities import WeightSample
from edge import telemetry
from edge.devices.health import DeviceHealth, WatchedScale
from edge.ports import LedgerFullError, Transaction
from edge.telemetry import Telemetry


class Book:
    """A ledger that only remembers; `full` makes it refuse."""

    def __init__(self) -> None:
        self.said: list[object] = []
        self.full = False
        self.writable = True

    async def commit(self, transaction: Transaction) -> None:
        if self.full:
            raise LedgerFullError("no room")
        self.said += [r.data for r in transaction.records]

    def state(self, kind: str) -> Mapping[str, bytes]:
        return {}


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def sink(book: Book, clock: ManualClock) -> Telemetry:
    return Telemetry(ledger=book, clock=clock, boot="b", counters=lambda: {"scan.refused": 2, "nothing": 0})


async def test_facts_wait_out_a_full_disk(sink: Telemetry, book: Book):
    book.full = True
    sink.tell(PeopleOccupancy(value=1))
    await sink.flush()
    assert sink.counters["telemetry.not_written"] == 1
    book.full = False
    await sink.flush()
    assert book.said == [PeopleOccupancy(value=1)]


async def test_two_flushes_at_once_tell_everything_once(sink: Telemetry, book: Book, monkeypatch: pytest.MonkeyPatch):
    """The drain of a stop meets the flush of every second."""
    import asyncio

    real = book.commit

    async def slow(transaction: Transaction) -> None:
        await asyncio.sleep(0)
        await real(transaction)

    monkeypatch.setattr(book, "commit", slow)
    for n in range(3):
        sink.tell(PeopleOccupancy(value=n))
    await asyncio.gather(sink.flush(), sink.flush())
    assert book.said == [PeopleOccupancy(value=n) for n in range(3)]


async def test_the_queue_is_bounded_and_counts_what_does_not_fit(sink: Telemetry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(telemetry, "QUEUE_MAX", 3)
    for n in range(5):
        sink.tell(PeopleOccupancy(value=n))
    assert sink.counters["telemetry.queue_full"] == 2


async def test_bus_faults_are_told_in_sums(sink: Telemetry, book: Book):
    for _ in range(3):
        sink.bus_fault("locks", "lock_8a", "crc")
    sink.bus_fault("locks", "lock_8a", "timeout")
    sink._tell_bus_errors()
    await sink.flush()
    assert book.said == [
        BusError(bus="locks", protocol="lock_8a", kind="crc", count=3),
        BusError(bus="locks", protocol="lock_8a", kind="timeout", count=1),
    ]


async def test_devices_are_told_when_they_come_and_go(sink: Telemetry, book: Book, clock: ManualClock):
    health = DeviceHealth("s", "scale", clock, sink.device_changed)
    health.ok()
    health.failed("silent")
    clock.step(4)
    health.failed("silent")
    await sink.flush()
    assert book.said == [
        DeviceOnline(device="s", kind="scale"),
        DeviceOffline(device="s", kind="scale", detail="silent", retries=2),
    ]


async def test_run_tells_health_and_weights_that_moved(sink: Telemetry, book: Book, clock: ManualClock):
    import asyncio

    class Fixed:
        async def sample(self):
            return WeightSample(100.04, stable=True)

    scale = WatchedScale(Fixed(), DeviceHealth("sc", "scale", clock, lambda _h, _b: None))
    await scale.sample()
    running = asyncio.create_task(sink.run({"A1": ("sc", scale)}, lambda: {"d1": False, "d2": None}))
    await asyncio.sleep(0)
    await clock.advance(telemetry.WEIGHTS_EVERY_S + 1)
    running.cancel()
    assert book.said.count(WeightReading(shelf="A1", gross_g=100.0, stable=True)) == 1
    assert book.said.count(CabinetDoorReading(compartment="d1", open=False)) == 1  # told once; d2 is not known
    assert not any(isinstance(x, CabinetDoorReading) and x.compartment == "d2" for x in book.said)
    health = [x for x in book.said if isinstance(x, AgentHealth)]
    assert len(health) == 2
    assert health[0].counters == {"scan.refused": 2}
    assert health[0].rss_bytes > 1_000_000


async def test_one_fact_that_the_ledger_refuses_takes_no_other_with_it(sink: Telemetry, book: Book):
    commit = book.commit

    async def picky(transaction: Transaction) -> None:
        if any(r.data == PeopleOccupancy(value=2) for r in transaction.records):
            raise EventTooLargeError("too large")
        await commit(transaction)

    book.commit = picky  # type: ignore[method-assign]  # a ledger with a limit
    for n in (1, 2, 3):
        sink.tell(PeopleOccupancy(value=n))
    await sink.flush()
    assert book.said == [PeopleOccupancy(value=1), PeopleOccupancy(value=3)]
    assert sink.counters["telemetry.refused"] == 1
