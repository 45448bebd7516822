"""Commits: durable when they return, whole or not at all, in order, alone in their failures."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from contracts.envelope import (
    MAX_EVENT_BYTES,
    BadEventError,
    EventTooLargeError,
    decode_data,
    decode_envelope,
    next_hash,
    root_hash,
)
from contracts.event_types import AgentHealth, CommandAccepted, EventData
from edge.ledger import verify
from edge.ports import LedgerFullError, Record, Transaction
from tests.edge_ledger.conftest import measure, sale, sales


async def events(ledger, lane="ledger"):
    view = ledger.lane(lane)
    part = await view.read(view.freed.seq, 10_000, 1 << 30)
    return [decode_envelope(raw) for raw in part.events]


async def test_an_event_carries_who_when_and_in_which_order(ledger, clock) -> None:
    await ledger.commit(sales(1))
    clock.step(61.5)
    ledger.clock_quality = "synced"
    await ledger.commit(Transaction(records=[Record(CommandAccepted(command="2", kind="x"), device="lock_1")]))
    first, second = await events(ledger)
    stream = ledger.lane("ledger").stream
    assert (first.id, first.sequence, first.boot) == (f"{stream}:1", 1, "b1")
    assert (first.source, first.clockquality, first.monotonicns) == ("/t1/s1/agent", "unknown", 0)
    assert (second.source, second.clockquality) == ("/t1/s1/lock_1", "synced")
    assert (second.time, second.monotonicns) == ("2026-01-01T00:01:01.500Z", 61_500_000_000)


async def test_pitfall_17_order_is_by_sequence_whatever_the_wall_clock_does(opened, path) -> None:
    """The clock jumps a week ahead, an hour back, to 1970; what was written stays, the order too."""
    from datetime import UTC, datetime

    from contracts.clock import ManualClock

    class Jumping(ManualClock):
        at = datetime(2026, 1, 1, tzinfo=UTC)

        def wall(self) -> datetime:
            return self.at

    jumping = Jumping()
    ledger = await opened(clock=jumping)
    for n, year in enumerate((2026, 2027, 1970, 2026), start=1):
        jumping.at = datetime(year, 1, 1, tzinfo=UTC)
        jumping.step(1)
        await ledger.commit(sales(n))
    found = await events(ledger)
    assert [e.sequence for e in found] == [1, 2, 3, 4]
    assert [e.time[:4] for e in found] == ["2026", "2027", "1970", "2026"]
    assert [e.monotonicns for e in found] == sorted(e.monotonicns for e in found)


async def test_the_chain_covers_the_exact_bytes(ledger) -> None:
    await ledger.commit(sales(1, 3))
    lane = ledger.lane("ledger")
    digest = root_hash(lane.stream)
    assert lane.hash_at(0) == digest
    for seq, raw in enumerate((await lane.read(0, 10, 1 << 20)).events, start=1):
        digest = next_hash(digest, raw)
        assert lane.hash_at(seq) == digest
    assert lane.tail == (3, digest)
    assert lane.hash_at(4) is None
    assert lane.hash_at(-1) is None


async def test_each_event_goes_to_its_own_lane_and_each_lane_counts_alone(ledger) -> None:
    await ledger.commit(Transaction(records=[sale(1), measure(), sale(2), measure(), measure()]))
    assert (ledger.lane("ledger").tail.seq, ledger.lane("telemetry").tail.seq) == (2, 3)
    assert ledger.lane("ledger").stream != ledger.lane("telemetry").stream


async def test_concurrent_commits_share_a_sync_and_keep_their_order(ledger) -> None:
    groups: list[int] = []
    store = await ledger._writer.call(lambda s: s)
    whole = store.commit
    store.commit = lambda group: (groups.append(len(group)), whole(group))[1]
    await asyncio.gather(*(ledger.commit(sales(n)) for n in range(300)))
    assert [decode_data(e).command for e in await events(ledger)] == [str(n) for n in range(300)]
    assert len(groups) < 100
    assert max(groups) <= 256


async def test_a_bad_transaction_fails_alone(ledger) -> None:
    class Personal(EventData, frozen=True, kw_only=True):
        TYPE = "test.personal"
        PRIVACY = "personal"

    huge = Record(AgentHealth(boot="b1", counters={f"{n:0>60}": n for n in range(1200)}))
    results = await asyncio.gather(
        ledger.commit(sales(1)),
        ledger.commit(Transaction(records=[sale(90), huge], puts={("k", "a"): b"1"})),  # over 64 KiB
        ledger.commit(Transaction(records=[sale(91), Record(Personal())])),  # personal data never leaves the store
        ledger.commit(Transaction(puts={("k", "b"): "text"})),  # not bytes
        ledger.commit(Transaction(puts={("k", "\ud800"): b"1"})),  # no UTF-8
        ledger.commit(sales(2)),
        return_exceptions=True,
    )
    kinds = [type(r) for r in results]
    assert kinds == [type(None), EventTooLargeError, BadEventError, TypeError, UnicodeEncodeError, type(None)]
    assert [decode_data(e).command for e in await events(ledger)] == ["1", "2"]
    assert ledger.state("k") == {}
    assert ledger.writable  # these were the callers' own faults


async def test_an_event_leaves_room_for_the_origin_that_a_fork_writes_into_it(ledger) -> None:
    """The largest event that is accepted still fits after a fork of a fork."""
    size = 0
    for count in range(760, 900):
        try:
            await ledger.commit(
                Transaction(records=[sale(1), Record(CommandAccepted(command="x", kind="k" * count * 84))])
            )
        except EventTooLargeError:
            break
        size = count
    assert size
    for _ in range(2):
        await ledger.fork("ledger", 0, "restored")
    raws = (await ledger.lane("ledger").read(0, 10_000, 1 << 30)).events
    assert MAX_EVENT_BYTES - 600 < max(map(len, raws)) <= MAX_EVENT_BYTES


# ------------------------------------------------------------------ state


async def test_state_and_events_become_true_together_and_outlive_both_confirmation_and_restart(opened) -> None:
    ledger = await opened()
    await ledger.commit(Transaction(records=[sale(1)], puts={("session", "a"): b'{"n":1}', ("session", "b"): b"2"}))
    before = ledger.state("session")
    await ledger.commit(Transaction(deletes=[("session", "b")], puts={("other", "b"): b"3"}))
    await ledger.confirm("ledger", 1)
    assert dict(before) == {"a": b'{"n":1}', "b": b"2"}  # a snapshot
    await ledger.close()
    again = await opened()
    assert again.state("session") == {"a": b'{"n":1}'}
    assert again.state("other") == {"b": b"3"}
    assert again.state("unknown") == {}


async def test_a_delete_and_a_put_of_one_key_leave_the_put(ledger, opened) -> None:
    await ledger.commit(Transaction(puts={("k", "a"): b"1"}))
    await ledger.commit(Transaction(deletes=[("k", "a")], puts={("k", "a"): b"2"}))
    assert ledger.state("k") == {"a": b"2"}
    await ledger.close()
    assert (await opened()).state("k") == {"a": b"2"}


async def test_state_in_memory_changes_only_after_the_sync(ledger) -> None:
    waiting = asyncio.ensure_future(ledger.commit(Transaction(puts={("k", "a"): b"1"})))
    await asyncio.sleep(0)
    assert ledger.state("k") == {}
    await waiting
    assert ledger.state("k") == {"a": b"1"}


async def test_a_caller_that_gives_up_takes_nothing_back(ledger) -> None:
    task = asyncio.ensure_future(ledger.commit(Transaction(records=[sale(1)], puts={("k", "a"): b"1"})))
    await asyncio.sleep(0)
    task.cancel()
    await ledger.commit(sales(2))
    assert ledger.lane("ledger").tail.seq == 2
    assert ledger.state("k") == {"a": b"1"}


async def test_growth_wakes_a_watcher_of_that_lane(ledger) -> None:
    wake = asyncio.Event()
    ledger.lane("ledger").watch(wake)
    await ledger.commit(Transaction(records=[measure()]))
    assert not wake.is_set()
    await ledger.commit(sales(1))
    assert wake.is_set()
    wake.clear()
    ledger.lane("ledger").unwatch(wake)
    await ledger.commit(sales(2))
    assert not wake.is_set()


async def test_a_closed_ledger_refuses(ledger) -> None:
    await ledger.commit(sales(1))
    await ledger.close()
    await ledger.close()
    with pytest.raises(RuntimeError):
        await ledger.commit(sales(2))


# ------------------------------------------------------------------ a disk that does not take it


async def _limit(ledger, pages_more: int) -> None:
    def limit(store) -> None:
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count={pages + pages_more}")

    await ledger._writer.call(limit)


async def test_a_full_disk_fails_the_commit_whole_and_the_next_that_fits_succeeds(ledger, path) -> None:
    await ledger.commit(sales(1))
    await _limit(ledger, 3)
    big = Transaction(records=[sale(n) for n in range(200)], puts={("k", "a"): b"1"})
    small = sales(2)
    results = await asyncio.gather(
        ledger.commit(small), ledger.commit(big), ledger.commit(small), return_exceptions=True
    )
    assert [type(r) for r in results] == [type(None), LedgerFullError, type(None)]  # one bad one fails alone
    assert ledger.lane("ledger").tail.seq == 3
    assert ledger.state("k") == {}
    assert ledger.counters["append_failed"] == 1
    assert ledger.writable  # the last append did succeed
    assert verify(path).problems == ()


async def test_writable_says_so_and_comes_back_by_itself_once_there_is_room(ledger) -> None:
    await ledger.commit(sales(1))
    await _limit(ledger, 0)
    with pytest.raises(LedgerFullError):
        await ledger.commit(sales(0, 500))
    assert not ledger.writable
    await asyncio.sleep(0.05)
    assert not ledger.writable  # it tried, there is still no room
    await _limit(ledger, 10_000)
    async with asyncio.timeout(10):
        while not ledger.writable:  # nobody appends meanwhile: the gates are shut
            await asyncio.sleep(0.01)
    await ledger.commit(sales(2))
    assert ledger.lane("ledger").tail.seq == 2


async def test_pitfall_21_freed_room_is_used_again(ledger) -> None:
    """After a backlog the file takes as much again without growing."""
    await ledger.commit(sales(1, 2000))
    await ledger.confirm("ledger", 2000)
    await _limit(ledger, 4)
    await ledger.commit(sales(1, 1900))
    assert ledger.lane("ledger").tail.seq == 3900


async def test_pitfall_02_another_program_that_holds_the_lock_costs_one_clear_failure(ledger, path, caplog) -> None:
    """Bounded wait, one log line, nothing lost of what was acknowledged, nothing doubled."""
    await ledger.commit(sales(1))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    results = await asyncio.gather(*(ledger.commit(sales(n)) for n in range(2, 6)), return_exceptions=True)
    assert {type(r) for r in results} == {LedgerFullError}
    assert len([r for r in caplog.records if "cannot be written" in r.getMessage()]) == 1
    other.execute("ROLLBACK")
    other.close()
    await ledger.commit(sales(9))
    assert [decode_data(e).command for e in await events(ledger)] == ["1", "9"]


async def test_pitfall_23_a_long_reader_stops_no_writer_and_the_wal_shrinks_after_it(ledger, path) -> None:
    await ledger.commit(sales(1))
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM ledger_event").fetchone()
    for n in range(20):
        await ledger.commit(sales(n, 50))
    assert ledger.lane("ledger").tail.seq == 1001
    reader.execute("COMMIT")
    reader.close()
    limit = await ledger._writer.call(lambda s: s.connection.execute("PRAGMA journal_size_limit").fetchone()[0])
    assert limit == 16 * 1024 * 1024


async def test_an_error_in_the_writer_reaches_its_callers_and_the_writer_lives_on(ledger) -> None:
    store = await ledger._writer.call(lambda s: s)
    whole = store.commit

    def broken(_group):
        raise RuntimeError("a mistake of ours")

    store.commit = broken
    with pytest.raises(RuntimeError, match="mistake"):
        await ledger.commit(sales(1))
    store.commit = whole
    with pytest.raises(ZeroDivisionError):
        await ledger._writer.call(lambda _s: 1 // 0)
    await ledger.commit(sales(2))
    assert ledger.lane("ledger").tail.seq == 1
