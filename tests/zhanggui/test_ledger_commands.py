"""`zhanggui edge ledger tail, export, requeue, stats` over real files, damaged ones and those of a running agent."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from contracts.clock import ManualClock
from contracts.envelope import decode_envelope
from contracts.event_types import CommandAccepted
from edge.ledger import Ledger, LedgerOpenError, Tail, verify
from edge.ledger.export import verify_export
from edge.ledger.requeue import requeue, set_aside
from edge.ledger.stats import Stats
from edge.ports import Record, Transaction
from tests.zhanggui.test_commands import done, refused, sql, zhanggui


async def opened(path: Path) -> Ledger:
    return await Ledger.open(
        path, clock=ManualClock(), tenant="t", store="s", boot="b2", machine="m1", telemetry_rows=10
    )


def order(n: int) -> Transaction:
    return Transaction(records=[Record(CommandAccepted(command=f"order-{n}", kind="test"), "desk")])


def healed(path: Path) -> None:
    """The agent starts and stops once: what breaks the chain is set aside."""

    async def once() -> None:
        await (await opened(path)).close()

    asyncio.run(once())


# ------------------------------------------------------------------ tail


def test_tail_shows_the_newest(ledger: Path) -> None:
    said = done("edge", "ledger", "tail", str(ledger), "-n", "3")
    assert [n for n in range(1, 7) if f"order-{n}" in said] == [5, 6]  # the seventh tells of dropped telemetry
    assert "telemetry.dropped" in said
    lines = done("edge", "ledger", "tail", str(ledger), "-n", "2", "--json").splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [6, 7]


def test_tail_follows_over_a_fork_and_a_file_that_is_away(ledger: Path) -> None:
    tail = Tail(ledger, "ledger", count=0)
    first = tail.first()
    assert (first.rows, list(tail.more())) == ([], [])

    async def more() -> None:
        book = await opened(ledger)
        await book.commit(order(8))
        assert [row.seq for part in tail.more() for row in part.rows] == [8]
        await book.fork("ledger", 6, "test")
        parts = list(tail.more())
        assert [part.fresh for part in parts] == [True]
        assert [row.seq for row in parts[0].rows] == [1, 2, 3]  # the seventh, the eighth, and the word of the fork
        assert parts[0].stream != first.stream
        await book.commit(order(9))
        assert [row.seq for part in tail.more() for row in part.rows] == [4]
        await book.close()

    asyncio.run(more())
    away = ledger.with_name("away.db")
    ledger.rename(away)
    assert list(tail.more()) == []
    away.rename(ledger)
    assert list(tail.more()) == []


def test_tail_follow_ends_with_ctrl_c(ledger: Path) -> None:
    """As a person starts it: what is committed meanwhile is printed, and Ctrl-C ends it."""
    command = [sys.executable, "-m", "zhanggui.cli", "edge", "ledger", "tail", str(ledger), "-n", "1", "--follow"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stdout or ()))
    reader.start()
    try:
        _until(lambda: any("telemetry.dropped" in line for line in said))

        async def more() -> None:
            book = await opened(ledger)
            await book.commit(order(8))
            await book.close()

        asyncio.run(more())
        _until(lambda: any("order-8" in line for line in said))
        process.send_signal(2)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()
        reader.join(10)


def _until(true) -> None:
    end_s = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.05)


# ------------------------------------------------------------------ export


def test_an_export_proves_itself(ledger: Path, tmp_path: Path) -> None:
    to = tmp_path / "out.jsonl"
    assert "6 lines" in done("edge", "ledger", "export", str(ledger), "--to", str(to))
    head, *rows = [json.loads(line) for line in to.read_bytes().splitlines()]
    assert (head["tenant"], head["store"], head["lane"], head["after"]) == ("t", "s", "ledger", 2)
    assert [row["seq"] for row in rows] == [3, 4, 5, 6, 7]
    assert rows[0]["event"]["data"]["command"] == "order-3"
    assert "whole" in done("edge", "ledger", "verify", str(to))
    assert "is there already" in refused("edge", "ledger", "export", str(ledger), "--to", str(to))
    assert "3 lines" in done("edge", "ledger", "export", str(ledger), "--to", str(to), "--after", "5", "--force")
    assert "whole" in done("edge", "ledger", "verify", str(to))
    assert [path.name for path in tmp_path.glob(".*")] == []  # no part of a file is left


DAMAGE = [  # what is done to an exported file, and what `verify` says of it
    ("order-5", "order-7", "the bytes of ledger 5 do not give its hash"),
    ('"seq":5', '"seq":6', "ledger 6 follows 4"),
    ('"hash":"', '"hash":"zz', "line 1: no export"),
    ('{"seq":4', '["seq":4', "line 3"),
]


@pytest.mark.parametrize(("old", "new", "problem"), DAMAGE)
def test_a_changed_export_is_broken(ledger: Path, tmp_path: Path, old: str, new: str, problem: str) -> None:
    to = tmp_path / "out.jsonl"
    done("edge", "ledger", "export", str(ledger), "--to", str(to))
    to.write_text(to.read_text().replace(old, new, 1))
    result = zhanggui("edge", "ledger", "verify", str(to))
    assert problem in result.stderr + str(result.exception)
    assert result.exit_code != 0


NAMES = [  # what an export may be called: the bytes say what it is
    "out",
    "out.json",
    "ledger.db",  # as a ledger is
    "out.jsonl.1",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_export_is_known_by_its_content(ledger: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "away").mkdir()
    to = tmp_path / "away" / name
    done("edge", "ledger", "export", str(ledger), "--to", str(to))
    assert "5 events after 2, of t/s" in done("edge", "ledger", "verify", str(to))
    to.write_text(to.read_text().replace("order-5", "order-7", 1))
    assert "do not give its hash" in zhanggui("edge", "ledger", "verify", str(to)).stderr


def test_a_ledger_is_known_by_its_content(ledger: Path) -> None:
    named = ledger.rename(ledger.with_name("copy.jsonl"))
    assert "written to 7" in done("edge", "ledger", "verify", str(named))


def test_an_export_may_come_out_of_a_pipe(ledger: Path) -> None:
    """As `verify <(zcat ledger.jsonl.gz)` gives it: read once, from the front."""
    lines = zhanggui("edge", "ledger", "export", str(ledger), "--to", "-").stdout_bytes
    readable, writable = os.pipe()
    os.write(writable, lines)
    os.close(writable)
    try:
        assert "whole" in done("edge", "ledger", "verify", f"/dev/fd/{readable}")
    finally:
        os.close(readable)


STRANGE = [  # what a file holds, and how `verify` names it
    (b"", "neither a ledger nor an export, but empty"),
    (gzip.compress(b"{}"), "but packed with gzip; unpack it first"),
    (b'[store]\nid = "s001"\n', "but text that begins with '[store]"),
    (b"\x7fELF\x02\x01\x01", "but bytes that begin with 7f 45 4c 46"),
    (b"SQLite format 3\0" + bytes(4096), "not a database"),  # read as a ledger, which says so
    (b'{"lane":"ledger"}\n', "no export of a lane: Object missing required field `tenant`"),
    (b'{"seq":1,"hash":"' + b"0" * 300_000, "no export of a lane"),  # one line without an end: never read whole
]


@pytest.mark.parametrize(("content", "sentence"), STRANGE)
def test_what_is_neither_is_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    strange = tmp_path / "strange.jsonl"
    strange.write_bytes(content)
    assert sentence in refused("edge", "ledger", "verify", str(strange))


def test_dropped_telemetry_and_broken_bytes_are_exported_as_they_are(ledger: Path, tmp_path: Path) -> None:
    lines = done("edge", "ledger", "export", str(ledger), "--to", "-", "--lane", "telemetry").encode().splitlines()
    head, count, problems = verify_export(lines)
    assert (head.lane, count, problems) == ("telemetry", 12, [])
    assert sum(b'"dropped":true' in line for line in lines) == 2
    sql(ledger, "UPDATE ledger_event SET raw = x'7b0a7d' WHERE seq = 4")  # JSON, but on two lines
    lines = done("edge", "ledger", "export", str(ledger), "--to", "-").encode().splitlines()
    assert json.loads(lines[2])["raw"] == "ewp9"
    assert verify_export(lines)[2] == ["line 3: the bytes of ledger 4 do not give its hash"]


def test_export_refuses_what_cannot_be(ledger: Path, tmp_path: Path) -> None:
    to = str(tmp_path / "out.jsonl")
    assert "no sequence 99" in refused("edge", "ledger", "export", str(ledger), "--to", to, "--after", "99")
    assert "no such file" in refused("edge", "ledger", "export", str(tmp_path / "none.db"), "--to", to)
    assert "no such folder" in refused("edge", "ledger", "export", str(ledger), "--to", str(tmp_path / "a" / "b"))
    assert "no such file" in refused("edge", "ledger", "verify", str(tmp_path / "none.jsonl"))
    assert not Path(to).exists()


# ------------------------------------------------------------------ requeue


@pytest.fixture
def damaged(ledger: Path) -> Path:
    """The hash of the fourth is altered, so the fifth cannot be proved by it; the sixth has lost its bytes. All three
    are set aside by the agent's next start."""
    sql(ledger, "UPDATE ledger_event SET hash = zeroblob(32) WHERE seq = 4")
    sql(ledger, "UPDATE ledger_event SET raw = x'00' WHERE seq = 6")
    healed(ledger)
    return ledger


ASIDE = [  # what befell the file, and of each row set aside: sequence, whether proved, why it cannot come back
    # readable, but not what was written
    (
        ["UPDATE ledger_event SET raw = CAST(replace(raw, 'order-5', 'order-7') AS BLOB) WHERE seq = 5"],
        [(5, False, "altered")],
    ),
    # all of them are, and each fits its neighbour's name
    (
        ["UPDATE ledger_event SET raw = CAST(replace(raw, 'order-', 'ordre-') AS BLOB) WHERE seq > 2 AND seq < 7"],
        [(n, False, "altered") for n in (3, 4, 5, 6)],
    ),
    # the hash alone: its own bytes and those behind it prove each other
    (["UPDATE ledger_event SET hash = zeroblob(32) WHERE seq = 4"], [(4, True, ""), (5, True, "")]),
    # two neighbours' hashes
    (
        ["UPDATE ledger_event SET hash = zeroblob(32) WHERE seq IN (4, 5)"],
        [(4, True, ""), (5, True, ""), (6, True, "")],
    ),
    # the hash, and the bytes behind it: what would prove either is gone
    (
        [
            "UPDATE ledger_event SET hash = zeroblob(32) WHERE seq = 4",
            "UPDATE ledger_event SET raw = CAST(replace(raw, 'order-5', 'order-7') AS BLOB) WHERE seq = 5",
        ],
        [(4, False, "altered"), (5, False, "altered")],
    ),
    # behind a hole nobody can tell
    (["DELETE FROM ledger_event WHERE seq = 4"], [(5, False, "")]),
    # no bytes, no proof
    (["UPDATE ledger_event SET raw = NULL WHERE seq = 7"], [(7, False, "gone")]),
]


@pytest.mark.parametrize(("befell", "expected"), ASIDE)
def test_the_chain_says_which_bytes_are_what_was_written(
    ledger: Path, befell: list[str], expected: list[tuple[int, bool, str]]
) -> None:
    for statement in befell:
        sql(ledger, statement)
    healed(ledger)
    rows = set_aside(ledger)
    assert [(row.seq, row.proved) for row in rows] == [(seq, proved) for seq, proved, _ in expected]
    for row, (_, _, why) in zip(rows, expected, strict=True):
        assert why in row.why_not
        assert bool(why) == bool(row.why_not)
    before = [row.raw for row in _all(ledger)]
    said = zhanggui("edge", "ledger", "requeue", str(ledger), "--all", "--yes")
    back = len(_all(ledger)) - len(before)
    proved = sum(row.proved for row in rows)
    assert back == proved + (proved > 0)  # and the word of it
    if stay := sum(bool(row.why_not) for row in rows):
        assert f"{stay} damaged" in said.stderr
    if any(not row.proved and not row.why_not for row in rows):
        assert "nothing proves: look at each" in said.stderr
    assert verify(ledger).problems == ()


def test_an_altered_event_is_refused_by_its_number_too(ledger: Path) -> None:
    sql(ledger, "UPDATE ledger_event SET raw = CAST(replace(raw, 'order-5', 'order-7') AS BLOB) WHERE seq = 5")
    healed(ledger)
    (row,) = set_aside(ledger)
    said = refused("edge", "ledger", "requeue", str(ledger), str(row.number), "--yes")
    assert "altered: its bytes do not give its hash" in said
    assert "order-7" not in done("edge", "ledger", "show", str(ledger))


def test_bytes_that_rot_beside_the_ledger_are_not_believed(damaged: Path) -> None:
    sql(damaged, "UPDATE quarantine SET raw = CAST(replace(raw, 'order-5', 'order-7') AS BLOB)")
    assert [(row.seq, row.proved, bool(row.why_not)) for row in set_aside(damaged)][1] == (5, False, True)


def test_what_comes_back_has_the_hash_that_its_bytes_gave(ledger: Path) -> None:
    """Or else the cloud, which may have it under that hash, would count it twice."""
    (hash_4,) = [row.hash for row in _all(ledger) if row.seq == 4]
    sql(ledger, "UPDATE ledger_event SET hash = zeroblob(32) WHERE seq = 4")
    healed(ledger)
    number = str(set_aside(ledger)[0].number)
    done("edge", "ledger", "requeue", str(ledger), number, "--yes")
    *_, again, _word = [decode_envelope(row.raw) for row in _all(ledger)]
    assert (again.origin.seq, again.origin.hash) == (4, hash_4.hex())
    (behind,) = set_aside(ledger)
    assert (behind.seq, behind.proved) == (5, True)  # still: the ledger itself knows now what stands before it


def test_what_was_set_aside_cannot_be_proved(damaged: Path, tmp_path: Path) -> None:
    to = tmp_path / "aside.jsonl"
    assert "3 lines" in done("edge", "ledger", "export", str(damaged), "--to", str(to), "--quarantine")
    assert "what was set aside as damaged" in refused("edge", "ledger", "verify", str(to))


def test_what_was_set_aside_comes_back_once(damaged: Path) -> None:
    rows = set_aside(damaged)
    assert [(row.lane, row.seq, bool(row.why_not)) for row in rows] == [
        ("ledger", 4, False),
        ("ledger", 5, False),
        ("ledger", 6, True),
    ]
    assert "order" not in done("edge", "ledger", "requeue", str(damaged))  # a list, no more
    number = str(rows[1].number)
    said = zhanggui("edge", "ledger", "requeue", str(damaged), number)
    assert "say --yes" in said.stderr
    assert len(set_aside(damaged)) == 3
    said = zhanggui("edge", "ledger", "requeue", str(damaged), number, "--yes", "--as", "amy")
    assert "1 of them is in the ledger again" in said.output
    assert [row.seq for row in set_aside(damaged)] == [4, 6]
    *_, again, word = [decode_envelope(row.raw) for row in _all(damaged)]
    assert (again.origin.stream, again.origin.seq) == (rows[0].stream, 5)
    assert json.loads(bytes(word.data)) == {"lane": "ledger", "count": 1, "by": "amy"}
    assert verify(damaged).problems == ()
    assert "may be back already" in refused("edge", "ledger", "requeue", str(damaged), number, "--yes")
    healed(damaged)  # the agent finds nothing to mend
    assert verify(damaged).problems == ()


def _all(path: Path):
    tail = Tail(path, "ledger", count=100)
    return tail.first().rows


def test_requeue_refuses_what_is_no_event_and_does_nothing_then(damaged: Path) -> None:
    before = [row.raw for row in _all(damaged)]
    numbers = [str(row.number) for row in set_aside(damaged)]
    assert "cannot come back" in refused("edge", "ledger", "requeue", str(damaged), *numbers, "--yes")
    assert [row.raw for row in _all(damaged)] == before
    assert len(set_aside(damaged)) == 3
    said = zhanggui("edge", "ledger", "requeue", str(damaged), "--all", "--yes", "--json")
    assert [row["chosen"] for row in json.loads(said.stdout)] == [True, True, False]
    assert "2 of them" in said.stderr
    assert "1 damaged: cannot come back" in said.stderr


def test_requeue_needs_a_ledger_that_nobody_uses(damaged: Path) -> None:
    number = str(set_aside(damaged)[0].number)

    async def running() -> str:
        book = await opened(damaged)
        try:
            return await asyncio.to_thread(refused, "edge", "ledger", "requeue", str(damaged), number, "--yes")
        finally:
            await book.close()

    assert "another agent uses it" in asyncio.run(running())
    damaged.with_name(damaged.name + "-wal").write_bytes(b"left behind")
    assert "did not end by itself" in refused("edge", "ledger", "requeue", str(damaged), number, "--yes")


def test_a_requeue_that_fails_half_way_leaves_all_as_it_was(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The word of it does not fit: neither does what it speaks of."""
    number = set_aside(damaged)[0].number

    def full(*_args) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("edge.ledger.store.Store.add", full)
    with pytest.raises(LedgerOpenError, match="make room"):
        requeue(damaged, [number], by="amy", stamp=_stamp())
    assert len(set_aside(damaged)) == 3
    assert verify(damaged).problems == ()


def _stamp():
    from zhanggui.ledger_commands import _stamp

    return _stamp()


def test_rows_of_state_never_come_back(ledger: Path) -> None:
    async def write() -> None:
        book = await opened(ledger)
        await book.commit(Transaction(puts={("weight", "a"): b"1"}))
        await book.close()

    asyncio.run(write())
    sql(ledger, "UPDATE state SET value = x'32'")
    healed(ledger)
    (row,) = set_aside(ledger)
    assert (row.lane, row.why_not != "") == ("state", True)


# ------------------------------------------------------------------ stats


def test_stats_count(damaged: Path) -> None:
    found = msgspec.json.decode(done("edge", "ledger", "stats", str(damaged), "--json"), type=Stats)
    book, measured = found.lanes
    assert (book.lane, book.confirmed_seq, book.set_aside, book.waiting) == ("ledger", 0, 3, book.last_seq)
    assert book.parent is not None
    assert (measured.last_seq, measured.waiting, measured.gone, measured.set_aside) == (12, 10, 2, 0)
    assert book.waiting_bytes > 100
    assert book.oldest.startswith("20")
    assert found.file_bytes == damaged.stat().st_size
    assert found.bytes_an_event > 0
    said = done("edge", "ledger", "stats", str(damaged))
    assert "t/s, instance m1" in said


def test_stats_name_files_that_were_set_aside(ledger: Path) -> None:
    ledger.with_name("ledger.db.damaged-1").write_bytes(b"")
    assert "ledger.db.damaged-1" in done("edge", "ledger", "stats", str(ledger))
    with closing(sqlite3.connect(ledger)) as other:
        other.execute("UPDATE meta SET value='x' WHERE key='written'")
        other.commit()
    assert "not noted yet" in done("edge", "ledger", "stats", str(ledger))


@pytest.mark.parametrize("command", ["tail", "stats", "requeue"])
def test_no_ledger_is_one_sentence(tmp_path: Path, command: str) -> None:
    text = tmp_path / "text.db"
    text.write_text("nothing of ours " * 100)
    assert "no such file" in refused("edge", "ledger", command, str(tmp_path / "none.db"))
    assert str(text) in refused("edge", "ledger", command, str(text))
