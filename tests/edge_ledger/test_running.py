"""While the agent runs: damage that only a read meets, a lock that goes away, a fork that does not fit."""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from contextlib import closing

import msgspec
import pytest

from edge.ledger import LedgerDamagedError, verify
from edge.ledger.lane_rows import BrokenRowError
from edge.ledger.stats import stats
from edge.ledger.witness import FORMAT, SLOT_BYTES, WitnessFile, _unpacked
from edge.ports import LedgerFullError
from tests.edge_ledger.conftest import sales

QUOTA = 400_000
DAMAGE = [  # what is done to a waiting event under the open ledger, and what a read says
    ("UPDATE ledger_event SET raw=CAST(replace(raw, 'test', 'best') AS BLOB) WHERE seq=4", "do not give their hash"),
    ("UPDATE ledger_event SET raw=NULL WHERE seq=4", "the bytes of 4 are gone"),
    ("UPDATE ledger_event SET hash=zeroblob(32) WHERE seq=6", "do not give their hash"),
]


@pytest.mark.parametrize(("statement", "said"), DAMAGE)
async def test_damage_that_a_read_meets_ends_the_agent_and_the_next_start_heals_it(
    opened, path, statement, said
) -> None:
    """Else the cloud refuses the chain for ever, and the lane stands still until a person comes."""
    ledger = await opened()
    await ledger.commit(sales(1, 6))
    with closing(sqlite3.connect(path)) as other:
        other.execute(statement)
        other.commit()
    with pytest.raises(BrokenRowError, match=said):
        await ledger.lane("ledger").read(0, 100, 1 << 20)
    with pytest.raises(LedgerDamagedError):
        await ledger.tidy()
    await ledger.close()
    again = await opened()
    assert again.lane("ledger").parent is not None  # it forked, the broken one is set aside
    assert verify(path).problems == ()


async def test_a_lock_that_went_away_leaves_the_ledger_writable(opened, path) -> None:
    """A failed confirmation closes the doors only as long as it would fail."""
    ledger = await opened(busy_timeout_s=0.05)
    await ledger.commit(sales(1, 6))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerFullError):
            await ledger.confirm("ledger", 2)
        assert not ledger.writable
        other.execute("ROLLBACK")
    await ledger.confirm("ledger", 2)
    assert ledger.writable


async def test_after_a_failed_call_the_writer_itself_looks_when_it_goes_again(opened, path) -> None:
    ledger = await opened(busy_timeout_s=0.05, probe_every_s=0.05)
    await ledger.commit(sales(1, 6))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerFullError):
            await ledger.confirm("ledger", 2)
        other.execute("ROLLBACK")
    async with asyncio.timeout(20):
        while not ledger.writable:
            await asyncio.sleep(0.02)


async def used_bytes(ledger) -> int:
    return await ledger._writer.call(lambda store: store.used_bytes())


async def test_a_fork_that_does_not_fit_closes_no_door(opened, path) -> None:
    """It writes all that waits again; a sale is a row."""
    ledger = await opened(quota_bytes=QUOTA)
    while await used_bytes(ledger) < QUOTA * 0.93:
        await ledger.commit(sales(1, 20))
    stream = ledger.lane("ledger").stream
    with pytest.raises(LedgerFullError):
        await ledger.fork("ledger", 0, "test")
    assert ledger.writable
    assert ledger.lane("ledger").stream == stream
    await ledger.commit(sales(1))
    assert verify(path).problems == ()


async def test_the_level_that_the_agent_found_is_what_stats_say(opened, path) -> None:
    """The disk alone has plenty: it is the quota that is nearly used."""
    ledger = await opened(quota_bytes=QUOTA)
    while await used_bytes(ledger) < QUOTA * 0.82:
        await ledger.commit(sales(1, 20))
    found = await ledger.tidy()
    assert found.level == "warn"
    assert stats(path).level == "warn"


# ------------------------------------------------------------------ the witness


async def test_whole_notes_take_turns_whatever_stands_between_them(opened, path) -> None:
    """A torn write leaves the other whole note, also when one commit stands between two."""
    ledger = await opened()
    for n in range(1, 6):
        await ledger.commit(sales(n))
        await ledger.tidy()
        raw = path.with_name(path.name + ".witness").read_bytes()
        assert _unpacked(raw[:SLOT_BYTES]) is not None
        assert n == 1 or _unpacked(raw[SLOT_BYTES : 2 * SLOT_BYTES]) is not None


async def test_a_torn_note_leaves_the_one_before(opened, path) -> None:
    ledger = await opened()
    for n in range(1, 4):
        await ledger.commit(sales(n))
        await ledger.tidy()
    file = path.with_name(path.name + ".witness")
    whole = file.read_bytes()
    before = WitnessFile(file).read()
    assert before is not None
    for at in (0, SLOT_BYTES):
        torn = bytearray(whole)
        torn[at : at + 40] = bytes(40)
        file.write_bytes(bytes(torn))
        left = WitnessFile(file).read()
        assert left is not None
        assert left.lanes["ledger"].tail_seq == before.lanes["ledger"].tail_seq  # the ends tell the rest
    file.write_bytes(whole)


async def test_an_idle_store_writes_no_notes(opened, path) -> None:
    ledger = await opened()
    await ledger.commit(sales(1))
    await ledger.tidy()
    file = path.with_name(path.name + ".witness")
    before = file.stat().st_mtime_ns
    for _ in range(5):
        await ledger.tidy()
    assert file.stat().st_mtime_ns == before


async def test_a_note_that_says_more_than_is_known_is_read_all_the_same(opened, path) -> None:
    """As an agent before this one wrote it, which noted whether it had ended by itself."""
    ledger = await opened()
    await ledger.commit(sales(1))
    await ledger.close()
    file = path.with_name(path.name + ".witness")
    known = WitnessFile(file).read()
    assert known is not None
    body = msgspec.json.encode({**msgspec.to_builtins(known), "clean": True, "number": known.number + 1})
    slot = b"ZGW%d %08x %04x " % (FORMAT, zlib.crc32(body), len(body)) + body
    file.write_bytes(slot.ljust(SLOT_BYTES))
    assert WitnessFile(file).read() == msgspec.structs.replace(known, number=known.number + 1)
