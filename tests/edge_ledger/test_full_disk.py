"""A disk that fills: told early, telemetry given up, the last words from the reserve, and back by itself."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from contracts.envelope import decode_data, decode_envelope
from contracts.event_types import CommandAccepted, LedgerDisk, TelemetryDropped
from edge.ledger import DiskUse, FullDiskError, Keeper, Retention, verify
from edge.ledger.disk_watch import disk_use, next_level
from edge.ledger.reserve import Reserve
from edge.ledger.tidy import TELEMETRY_FLOOR
from edge.ports import LedgerFullError, Transaction
from tests.edge_ledger.conftest import measure, sale, sales
from tests.edge_ledger.small_disk import mounted

MIB = 1 << 20


async def contents(ledger, lane="ledger"):
    view = ledger.lane(lane)
    return [decode_data(decode_envelope(raw)) for raw in (await view.read(view.freed.seq, 100_000, 1 << 30)).events]


class Filling:
    """A disk of 1000 blocks whose used share tests set."""

    def __init__(self, percent: int = 10) -> None:
        self.percent = percent

    def __call__(self, _folder: Path) -> DiskUse:
        return DiskUse(used_bytes=self.percent * 10, free_bytes=1000 - self.percent * 10)


# ------------------------------------------------------------------ the table


@pytest.mark.parametrize(
    ("before", "percent", "durable", "after"),
    [
        ("ok", 79, True, "ok"),
        ("ok", 80, True, "warn"),
        ("ok", 90, True, "free_telemetry"),  # a look may miss the step between
        ("warn", 78, True, "warn"),  # hysteresis: no flapping at the edge
        ("warn", 76, True, "ok"),
        ("warn", 89, True, "warn"),
        ("warn", 90, True, "free_telemetry"),
        ("free_telemetry", 88, True, "free_telemetry"),
        ("free_telemetry", 86, True, "warn"),
        ("free_telemetry", 78, True, "warn"),
        ("free_telemetry", 76, True, "ok"),
        ("ok", 10, False, "full"),  # an append that is not durable counts, whatever df says
        ("full", 99, False, "full"),
        ("full", 88, True, "free_telemetry"),
        ("full", 86, True, "warn"),
        ("full", 10, True, "ok"),
    ],
)
def test_the_level_of_a_disk(before, percent, durable, after) -> None:
    assert next_level(before, percent / 100, durable=durable) == after


def test_a_disk_is_measured_as_a_user_sees_it(tmp_path) -> None:
    use = disk_use(tmp_path)
    assert 0 < use.share < 1
    assert DiskUse(0, 0).share == 0.0


# ------------------------------------------------------------------ warnings


async def test_each_change_of_level_is_one_event_and_one_line(opened, caplog) -> None:
    disk = Filling()
    ledger = await opened(disk=disk)
    levels = []
    for percent in (10, 81, 82, 79, 91, 92, 85, 75, 70):
        disk.percent = percent
        levels.append((await ledger.tidy()).level)
    assert levels == ["ok", "warn", "warn", "warn", "free_telemetry", "free_telemetry", "warn", "ok", "ok"]
    told = [(e.level, e.used_percent) for e in await contents(ledger)]
    assert told == [("warn", 81), ("free_telemetry", 91), ("warn", 85), ("ok", 75)]
    assert len([r for r in caplog.records if "% full" in r.getMessage()]) == 4
    assert ledger.writable  # all of it sells on


async def test_at_ninety_percent_confirmed_events_go_first_then_old_telemetry_and_the_room_is_given_back(
    opened, path
) -> None:
    disk = Filling()
    ledger = await opened(disk=disk, retention=Retention(365, 1 << 40))
    for n in range(12):
        await ledger.commit(Transaction(records=[measure(m) for m in range(n * 500, n * 500 + 500)]))
        await ledger.commit(sales(n * 300, 300))
    await ledger.confirm("ledger", 3000)
    await ledger.tidy()
    before_bytes = path.stat().st_size
    disk.percent = 92
    found = await ledger.tidy()
    runs = 0
    while found.more:
        found = await ledger.tidy()
        runs += 1
        await ledger.commit(sales(9000 + runs))  # a sale passes between any two
    assert runs < 60
    lane = ledger.lane("telemetry")
    assert lane.waiting == TELEMETRY_FLOOR
    drops = [e for e in await contents(ledger) if isinstance(e, TelemetryDropped)]
    assert {e.reason for e in drops} == {"disk"}
    assert sum(e.count for e in drops) == lane.tail.seq - TELEMETRY_FLOOR
    assert len(drops) <= 3
    await ledger.close()
    assert path.stat().st_size < before_bytes * 0.35
    report = verify(path)
    assert report.problems == ()
    assert report.lanes[0].kept == report.lanes[0].tail_seq - 3000  # nothing that waits was touched


async def test_telemetry_that_trickles_in_on_a_full_disk_is_not_one_drop_each(opened) -> None:
    disk = Filling(95)
    ledger = await opened(disk=disk)
    for n in range(0, TELEMETRY_FLOOR + 200, 20):
        await ledger.commit(Transaction(records=[measure(m) for m in range(n, n + 20)]))
        await ledger.tidy()
    assert not [e for e in await contents(ledger) if isinstance(e, TelemetryDropped)]


# ------------------------------------------------------------------ the reserve


def test_the_reserve_is_real_blocks_and_comes_and_goes(tmp_path) -> None:
    reserve = Reserve(tmp_path / "r", MIB)
    assert reserve.make()
    assert (tmp_path / "r").stat().st_blocks * 512 >= MIB
    assert reserve.release()
    assert not (tmp_path / "r").exists()
    assert not reserve.release()  # there is nothing left to give
    (tmp_path / "r").write_bytes(b"torn")  # a crash while it was written
    assert reserve.make()
    assert (tmp_path / "r").stat().st_size == MIB


def test_a_hole_is_no_reserve(tmp_path) -> None:
    with (tmp_path / "r").open("wb") as file:
        file.truncate(MIB)
    assert Reserve(tmp_path / "r", MIB).make()
    assert (tmp_path / "r").stat().st_blocks * 512 >= MIB


@pytest.mark.parametrize("free", [0, MIB, 2 * MIB - 1])
def test_the_reserve_leaves_as_much_again_free(tmp_path, free) -> None:
    assert not Reserve(tmp_path / "r", MIB, lambda _folder: free).make()
    assert not (tmp_path / "r").exists()


def test_a_disk_that_refuses_leaves_no_half_reserve(tmp_path) -> None:
    assert not Reserve(tmp_path / "missing" / "r", MIB, lambda _folder: 1 << 40).make()


async def _pages_more(ledger, more: int) -> None:
    def limit(store) -> None:
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count={pages + more}")

    await ledger._writer.call(limit)


async def test_an_append_that_does_not_fit_gets_its_room_from_the_reserve_and_nothing_new_may_begin(
    opened, path, caplog
) -> None:
    """SQLite is made to fail; a reserve that frees nothing is simulated by lifting that limit when it is given up."""
    ledger = await opened(reserve_bytes=MIB)
    store = await ledger._writer.call(lambda s: s)
    assert ledger.writable
    await ledger.commit(sales(1))
    await _pages_more(ledger, 0)
    whole = store.reserve.release

    def release() -> bool:
        store.connection.execute("PRAGMA max_page_count=1073741823")
        return whole()

    store.reserve.release = release
    await ledger.commit(sales(2, 200))  # it is durable all the same
    assert not ledger.writable
    await ledger.commit(sales(900))  # so is the closing of what is open
    assert not ledger.writable
    found = await contents(ledger)
    assert [e.level for e in found if isinstance(e, LedgerDisk)] == ["full"]
    assert [int(e.command) for e in found if isinstance(e, CommandAccepted)] == [1, *range(2, 202), 900]
    assert len([r for r in caplog.records if "cannot be written" in r.getMessage()]) == 1
    assert (await ledger.tidy()).level == "ok"  # there is room: the reserve stands again
    assert ledger.writable
    assert path.with_name("ledger.db.reserve").stat().st_size == MIB
    assert [e.level for e in await contents(ledger) if isinstance(e, LedgerDisk)] == ["full", "ok"]


async def test_the_reserve_is_not_given_up_for_a_lock(opened, path) -> None:
    ledger = await opened(reserve_bytes=MIB)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerFullError):
        await ledger.commit(sales(1))
    other.execute("ROLLBACK")
    other.close()
    assert path.with_name("ledger.db.reserve").exists()
    assert (await ledger.tidy()).level == "ok"
    await ledger.commit(sales(1))
    assert ledger.writable


async def test_a_quota_counts_as_the_disk_and_is_held(opened, path) -> None:
    ledger = await opened(quota_bytes=2 * MIB, reserve_bytes=MIB)
    levels = []
    n = 0
    while ledger.writable:
        await ledger.commit(Transaction(records=[sale(n + m) for m in range(50)]))
        n += 50
        levels.append((await ledger.tidy()).level)
    assert list(dict.fromkeys(levels)) == ["ok", "warn", "free_telemetry", "full"]
    for _ in range(3):
        await ledger.tidy()
    assert not ledger.writable  # the disk has room, the quota has none
    await ledger.commit(sales(n, 100))  # the last words
    with pytest.raises(LedgerFullError):
        await ledger.commit(sales(n, 100 * 100))
    assert path.stat().st_size <= 3 * MIB
    await ledger.confirm("ledger", ledger.lane("ledger").tail.seq - 100)
    found = await ledger.tidy()
    while found.more:
        found = await ledger.tidy()
    assert (found.level, ledger.writable) == ("ok", True)
    assert verify(path).problems == ()


async def test_without_a_reserve_at_the_start_nothing_begins_until_there_is_one(opened) -> None:
    room = 0
    await (await opened()).close()
    ledger = await opened(reserve_bytes=MIB, free=lambda _folder: room)
    assert not ledger.writable
    assert (await ledger.tidy()).level == "full"
    room = 1 << 40
    assert (await ledger.tidy()).level == "ok"
    assert ledger.writable


# ------------------------------------------------------------------ a really full file system


async def test_a_really_full_disk_the_last_words_are_durable_and_it_comes_back_by_itself(
    opened, tmp_path, clock
) -> None:
    """Fails closed, says so, closes what is open, recovers; nothing acknowledged is lost."""
    with mounted(tmp_path / "disk", 40 * MIB) as disk:
        path = disk.folder / "ledger.db"
        ledger = await opened(path=path, reserve_bytes=2 * MIB)
        await ledger.commit(sales(0, 10))
        disk.fill()
        acknowledged, n = list(range(10)), 10
        while ledger.writable:
            await ledger.commit(sales(n))
            acknowledged.append(n)
            n += 1
            assert n < 5000
        assert not path.with_name("ledger.db.reserve").exists()
        for _ in range(20):  # closing records of what is open
            await ledger.commit(sales(n))
            acknowledged.append(n)
            n += 1
        disk.fill()
        with pytest.raises(LedgerFullError):
            await ledger.commit(sales(n, 30_000))
        assert (await ledger.tidy()).level == "full"
        assert not ledger.writable
        disk.clear()
        keeper = asyncio.create_task(Keeper(ledger=ledger, clock=clock).run())
        async with asyncio.timeout(20):
            while not ledger.writable:
                await asyncio.sleep(0.01)
                clock.step(1.0)
        keeper.cancel()
        await ledger.commit(sales(99_999))
        acknowledged.append(99_999)
        found = await contents(ledger)
        assert [int(e.command) for e in found if isinstance(e, CommandAccepted)] == acknowledged
        assert next(e.level for e in found if isinstance(e, LedgerDisk)) == "full"
        assert path.with_name("ledger.db.reserve").stat().st_size == 2 * MIB
        assert verify(path).problems == ()
        await ledger.close()
        again = await opened(path=path, reserve_bytes=2 * MIB)
        assert len([e for e in await contents(again) if isinstance(e, CommandAccepted)]) == len(acknowledged)
        await again.close()


async def test_a_full_disk_at_the_start_opens_what_is_there_and_begins_nothing(opened, tmp_path) -> None:
    with mounted(tmp_path / "disk", 40 * MIB) as disk:
        path = disk.folder / "ledger.db"
        ledger = await opened(path=path, reserve_bytes=2 * MIB)
        await ledger.commit(sales(0, 10))
        await ledger.close()
        path.with_name("ledger.db.reserve").unlink()
        disk.fill(200_000)
        ledger = await opened(path=path, reserve_bytes=2 * MIB)
        assert not ledger.writable
        assert ledger.lane("ledger").tail.seq == 10
        disk.clear()
        await ledger.tidy()
        assert ledger.writable
        await ledger.close()


async def test_pitfall_22_a_new_ledger_needs_room(opened, tmp_path) -> None:
    """5 MB free are not enough to make one, and nothing is left behind."""
    with mounted(tmp_path / "disk", 5 * MIB) as disk:
        with pytest.raises(FullDiskError, match="make room"):
            await opened(path=disk.folder / "ledger.db")
        assert sum(f.stat().st_size for f in disk.folder.iterdir()) < 64 * 1024
