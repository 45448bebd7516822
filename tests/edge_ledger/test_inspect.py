"""Looking into a ledger: while the agent runs, and every kind of damage is named."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys

import pytest

from contracts.envelope import decode_envelope
from edge.ledger import LedgerOpenError, show, verify
from edge.ports import Transaction
from tests.edge_ledger.conftest import measure, sale, sales


async def filled(opened):
    ledger = await opened(telemetry_rows=10)
    await ledger.commit(sales(1, 6))
    await ledger.commit(Transaction(records=[measure(n) for n in range(12)], puts={("k", "a"): b"1"}))
    await ledger.confirm("ledger", 2)
    return ledger


async def test_pitfall_20_a_running_ledger_is_shown_and_verified(opened, path) -> None:
    ledger = await filled(opened)
    rows = show(path, "ledger", after=3, limit=2)
    assert [r.seq for r in rows] == [4, 5]
    assert decode_envelope(rows[0].raw).sequence == 4
    assert rows[0].hash == ledger.lane("ledger").hash_at(4)
    assert show(path, "telemetry")[0].raw is None  # dropped
    report = verify(path)
    assert report.problems == ()
    assert (report.tenant, report.store, report.machine, report.state_rows) == ("t1", "s1", "m1", 1)
    book, measured = report.lanes
    assert (book.lane, book.freed_seq, book.tail_seq, book.kept, book.dropped) == ("ledger", 2, 7, 5, 0)
    assert (measured.lane, measured.tail_seq, measured.kept, measured.dropped) == ("telemetry", 12, 10, 2)
    await ledger.commit(sales(9))  # nobody was in the way
    await ledger.close()
    assert verify(path).lanes[0].tail_seq == 8


LOOKS = """
import sys
from pathlib import Path
from edge.ledger import Tail, show, verify
from edge.ledger.export import export, export_quarantine
from edge.ledger.requeue import set_aside
from edge.ledger.stats import stats

path = Path(sys.argv[1])
for lane in ("ledger", "telemetry"):
    assert show(path, lane) and Tail(path, lane, count=2).first().rows and list(export(path, lane, 0, lambda *_: None))
assert not verify(path).problems and stats(path).lanes
assert not set_aside(path) and not list(export_quarantine(path))
print(sorted(name for name in ("sqlite_utils", "numpy") if name in sys.modules))
"""


async def test_a_look_changes_nothing_and_loads_nothing_that_makes_tables(opened, path) -> None:
    """In a process of its own, as a person starts it: see docs/adr/0019."""
    await (await filled(opened)).close()
    before = path.read_bytes()
    words = [sys.executable, "-c", LOOKS, str(path)]
    done = await asyncio.to_thread(
        lambda: subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert path.read_bytes() == before
    assert not any(file.stat().st_size for file in path.parent.glob("*-wal"))


DAMAGE = [
    (
        "UPDATE ledger_event SET raw=replace(raw, 'test', 'best') WHERE seq=4",
        "ledger 4: its bytes do not give the hash",
    ),
    ("UPDATE ledger_event SET raw=x'00' WHERE seq=4", "ledger 4: envelope"),
    ("UPDATE ledger_event SET hash=zeroblob(32) WHERE seq=4", "ledger 5: its bytes do not give the hash"),
    ("UPDATE ledger_event SET hash=zeroblob(32) WHERE seq=7", "ledger: the chain ends at 7"),
    ("DELETE FROM ledger_event WHERE seq=5", "ledger 5: missing, next is 6"),
    ("DELETE FROM ledger_event WHERE seq=7", "ledger: the chain ends at 6"),
    ("UPDATE ledger_event SET raw=NULL WHERE seq=3", "ledger 3: without bytes"),
    ("UPDATE ledger_event SET raw=(SELECT raw FROM ledger_event WHERE seq=3) WHERE seq=4", "ledger 4: says it is"),
    ("UPDATE sqlite_sequence SET seq=3 WHERE name='ledger_event'", "ledger: the counter of sequences"),
    ("UPDATE state SET value=x'7b'", "state k/a: no JSON"),
]


@pytest.mark.parametrize(("statement", "problem"), DAMAGE)
async def test_damage_is_named(opened, path, statement, problem) -> None:
    await (await filled(opened)).close()
    with sqlite3.connect(path) as other:
        other.execute(statement)
    assert any(line.startswith(problem) for line in verify(path).problems), verify(path).problems


async def test_problems_are_listed_up_to_a_bound(opened, path) -> None:
    ledger = await opened()
    await ledger.commit(Transaction(records=[sale(n) for n in range(150)]))
    await ledger.close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE ledger_event SET raw=x'00'")
    assert len(verify(path).problems) == 100


async def test_what_is_no_ledger_is_refused(tmp_path) -> None:
    with pytest.raises(LedgerOpenError, match="no such file"):
        verify(tmp_path / "missing.db")
    text = tmp_path / "text.db"
    text.write_text("nothing of ours " * 100)
    with pytest.raises(LedgerOpenError):
        verify(text)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE photos (id)")
    with pytest.raises(LedgerOpenError, match="no ledger"):
        show(other, "ledger")
