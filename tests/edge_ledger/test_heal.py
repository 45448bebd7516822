"""Whatever the disk gave back, the ledger opens, sets aside what is broken, goes on, and counts the loss."""

from __future__ import annotations

import random
import sqlite3

import pytest

from contracts.envelope import decode_data, decode_envelope
from contracts.event_types import CommandAccepted, LedgerDamaged
from edge.ledger import ForeignLedgerError, NewerLedgerError, show, verify
from edge.ports import Transaction
from tests.edge_ledger.conftest import measure, sale, sales


async def contents(ledger, lane="ledger"):
    view = ledger.lane(lane)
    return [decode_data(decode_envelope(raw)) for raw in (await view.read(view.freed.seq, 10_000, 1 << 30)).events]


async def filled(opened, events: int = 10, freed: int = 2) -> str:
    ledger = await opened()
    await ledger.commit(sales(1, events))
    await ledger.commit(Transaction(records=[measure(n) for n in range(5)], puts={("k", "a"): b"1"}))
    await ledger.confirm("ledger", freed)
    stream = ledger.lane("ledger").stream
    await ledger.close()
    return stream


BROKEN = [
    # statement, sales that are lost, first broken sequence
    ("UPDATE ledger_event SET raw=CAST(replace(raw, 'test', 'best') AS BLOB) WHERE seq=5", {5}, 5),
    ("UPDATE ledger_event SET raw=x'00' WHERE seq IN (5, 8)", {5, 8}, 5),
    ("UPDATE ledger_event SET hash=zeroblob(32) WHERE seq=5", {5, 6}, 5),  # neither can be proved
    ("DELETE FROM ledger_event WHERE seq=5", {5, 6}, 5),  # nothing proves what stands behind a hole
    ("DELETE FROM ledger_event WHERE seq>8", {9, 10}, 9),
    ("UPDATE ledger_event SET raw=NULL WHERE seq=3", {3}, 3),  # the first that is retained
    ("UPDATE ledger_event SET raw=x'00'", set(range(3, 11)), 3),  # all
]


@pytest.mark.parametrize(("statement", "lost", "first"), BROKEN)
async def test_rows_that_break_the_chain_are_set_aside_and_the_rest_goes_on(
    opened, path, statement, lost, first
) -> None:
    old = await filled(opened)
    with sqlite3.connect(path) as disk:
        disk.execute(statement)
    ledger = await opened()
    found = await contents(ledger)
    assert {int(e.command) for e in found if isinstance(e, CommandAccepted)} == set(range(3, 11)) - lost
    (told,) = [e for e in found if isinstance(e, LedgerDamaged)]
    assert (told.lane, told.first) == ("ledger", first)
    parent = ledger.lane("ledger").parent
    assert (parent.stream, parent.common) == (old, 2)  # nothing beyond what is confirmed may be left behind
    assert ledger.state("k") == {"a": b"1"}
    assert verify(path).problems == ()
    await ledger.commit(sales(99))
    await ledger.close()
    stream = (await opened()).lane("ledger").stream  # healed once, sound ever after
    assert stream == ledger.lane("ledger").stream


async def test_damage_in_telemetry_is_told_in_the_ledger_lane(opened, path) -> None:
    await filled(opened)
    with sqlite3.connect(path) as disk:
        disk.execute("UPDATE telemetry_event SET raw=x'00' WHERE seq=2")
    ledger = await opened()
    assert len(await contents(ledger, "telemetry")) == 4
    assert any(isinstance(e, LedgerDamaged) and e.lane == "telemetry" for e in await contents(ledger))
    assert verify(path).lanes[1].quarantined == 1


@pytest.mark.parametrize("kind", ["header", "truncated", "flipped"])
async def test_pitfall_19_a_file_that_cannot_be_read_is_kept_aside_and_the_shop_goes_on(opened, path, kind) -> None:
    await filled(opened, events=400, freed=0)
    raw = bytearray(path.read_bytes())
    if kind == "header":
        raw[:16] = bytes(16)
    elif kind == "truncated":
        del raw[len(raw) // 2 :]
    else:
        raw[100:400] = bytes(300)  # the page that says where the tables are
    path.write_bytes(raw)
    ledger = await opened()
    aside = path.with_name(path.name + ".damaged-1")
    assert aside.read_bytes()[:50] == bytes(raw[:50])
    found = await contents(ledger)
    assert {e.lane for e in found if isinstance(e, LedgerDamaged)} == {"ledger", "telemetry"}
    await ledger.commit(Transaction(records=[sale(9)]))
    assert verify(path).problems == ()
    assert show(path, "ledger", limit=1)


async def test_any_flipped_bytes_are_survived(opened, path) -> None:
    await filled(opened, events=60, freed=0)
    sound, rng = path.read_bytes(), random.Random(19)
    for _ in range(25):
        raw = bytearray(sound)
        for _ in range(rng.choice((1, 8, 64))):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        for name in path.parent.glob(path.name + "*"):
            if not name.name.endswith(".lock"):
                name.unlink()
        path.write_bytes(raw)
        try:
            ledger = await opened()
        except (
            ForeignLedgerError,
            NewerLedgerError,
        ):  # the flip hit the version or the application id: refused by name
            continue
        await ledger.commit(sales(1))
        await ledger.close()
