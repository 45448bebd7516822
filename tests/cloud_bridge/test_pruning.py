"""What is let go and what stays, on both databases; and that a bridge gets its turn between any two pieces."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from cloud_bridge.commands import book
from cloud_bridge.commands.book import Issued
from cloud_bridge.ingest.service import apply_batch
from cloud_bridge.ingest.streams import adopt, load
from cloud_bridge.storage import Connection, Db, open_writer, pruning
from cloud_bridge.storage.months import Month
from cloud_bridge.storage.pruning import PAUSE_S, Pruned, prune
from contracts.envelope import Origin
from contracts.event_types import CommandAccepted, CommandCompleted, StoreOpened
from contracts.messages import Parent
from tests.cloud_bridge.wire import CHILD, LEDGER, STREAM, TELEMETRY, Chain

BEFORE = Month(2001, 6)  # no test makes partitions of that time: PostgreSQL holds these events in its default
GRANDCHILD = "00000000-0000-4000-8000-000000000003"


def at(month: Month, day: int = 1) -> int:
    return int(datetime(month.year, month.month, day, tzinfo=UTC).timestamp() * 1000)


OLD, NEW = at(BEFORE.later(-1), 31), at(BEFORE)
WINDOW = 10_000


def unhurried(_seconds: float) -> None:
    """Nobody waits in these tests."""


def count(db: Db, table: str) -> int:
    row = db.one(f"SELECT count(*) FROM {table}")
    assert row is not None
    return int(row[0])


def put(db: Connection, chain: Chain, first: int, last: int, received_ms: int, **batch) -> None:
    with db.transaction():
        done = apply_batch(db, chain.place, chain.batch(first, last, **batch), now_ms=received_ms, window=WINDOW)
    assert done.refused == ""


def fork(db: Connection, child: str, parent: Chain, common: int) -> None:
    named = Parent(stream=parent.stream, common=common, hash=parent.hashes[common].hex())
    with db.transaction():
        adopt(db, load(db, child, LEDGER), named, OLD)


# ------------------------------------------------------------------ in pieces


def test_events_go_in_pieces_and_a_bridge_gets_its_turn_after_each(
    database: Path | str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "PIECE_ROWS", 10)
    chain = Chain().grow(40)
    put(connection, chain, 1, 35, OLD)
    put(connection, chain, 36, 39, NEW)
    left: list[int] = []

    def pause(seconds: float) -> None:
        assert seconds == PAUSE_S
        with closing(open_writer(database)) as bridge:
            left.append(count(bridge, "events"))
            if len(left) == 1:  # it writes while half of the work is still to be done
                put(bridge, chain, 40, 40, NEW)

    pruned = prune(database, before=BEFORE, pause=pause)
    assert left == [29, 20, 10, 5]
    assert [seq for (seq,) in connection.rows("SELECT seq FROM events ORDER BY seq")] == list(range(36, 41))
    assert pruned.events == (() if "://" in str(database) else (STREAM,))
    assert prune(database, before=BEFORE, pause=unhurried) == Pruned()
    put(connection, chain, 1, 40, NEW)  # the watermark stands: what is sent again is not taken again
    assert count(connection, "events") == 5


def test_a_run_that_ends_in_the_middle_leaves_the_rest_for_the_next(
    database: Path | str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "PIECE_ROWS", 10)
    put(connection, Chain().grow(35), 1, 35, OLD)

    def killed(_seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(database, before=BEFORE, pause=killed)
    assert count(connection, "events") == 25
    prune(database, before=BEFORE, pause=unhurried)
    assert count(connection, "events") == 0


# ------------------------------------------------------------------ what else goes


def gaps(db: Connection) -> None:
    chain = Chain(CHILD, TELEMETRY).grow(20)
    put(db, chain, 4, 6, OLD, gap=(1, 3))
    put(db, chain, 9, 10, NEW, gap=(7, 8))


def parked(db: Connection) -> None:
    """Batches that wait for one before them: three in a stream that the store has left, one in that it is in."""
    parent, child = Chain().grow(9), Chain(CHILD).grow(9)
    for seq in (3, 5, 7):
        put(db, parent, seq, seq, NEW)
    put(db, child, 4, 4, OLD)
    fork(db, CHILD, parent, 0)


def issued(db: Connection, name: str, expires_ms: int) -> None:
    with db.transaction():
        book.issue(
            db,
            Issued(
                tenant="demo",
                store="shop1",
                id=name,
                stream=STREAM,
                type="telemetry.flush",
                args={},
                issued_by="amy",
                issued_ms=OLD - 1000,
                expires_ms=expires_ms,
            ),
        )


def words(db: Connection, chain: Chain, names: list[str], received_ms: int) -> None:
    first = len(chain.raws) + 1
    for name in names:
        chain.say(CommandAccepted(command=name, kind="telemetry.flush"))
        last = chain.say(CommandCompleted(command=name, kind="telemetry.flush", outcome="done"))
    put(db, chain, first, last, received_ms)


def commands(db: Connection) -> None:
    issued(db, "old-answered", OLD)
    issued(db, "old-silent", OLD)
    issued(db, "old-but-open", NEW)
    issued(db, "new", NEW + 1000)
    chain = Chain()
    words(db, chain, ["old-answered", "old-but-open", "unknown-old"], OLD)
    words(db, chain, ["new", "unknown-new"], NEW)


class Case(NamedTuple):
    """What there is, what is counted, and a question about what is left with its answer."""

    there: Callable[[Connection], None]
    counted: dict[str, int]
    question: str
    left: list[str]


CASES = [
    # the chain goes on from a gap by the hash of what follows it
    Case(gaps, {"gaps": 1}, "SELECT last FROM gaps ORDER BY last", ["8"]),
    # nothing is sent any more in a stream that was left, so nothing makes room for what waits there
    Case(parked, {"parked": 3}, "SELECT first FROM parked ORDER BY first", ["4"]),
    # a command goes when its time is over, however it ended, and takes its words along
    Case(commands, {"commands": 2, "words": 2}, "SELECT id FROM commands ORDER BY id", ["new", "old-but-open"]),
    # words about no command go by their own time: a copy of the database may have brought the command back
    Case(
        commands,
        {"commands": 2, "words": 2},
        "SELECT DISTINCT command FROM command_words ORDER BY command",
        ["new", "old-but-open", "unknown-new"],
    ),
]


@pytest.mark.parametrize("pieces", [1, 4096])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.there.__name__)
def test_what_is_older_or_of_no_more_use_goes(
    database: Path | str, connection: Connection, monkeypatch: pytest.MonkeyPatch, pieces: int, case: Case
) -> None:
    monkeypatch.setattr(pruning, "PIECE_ROWS", 8 * pieces)  # of commands an eighth, for each has several words
    monkeypatch.setattr(pruning, "PIECE_PAYLOADS", pieces)
    case.there(connection)
    pruned = prune(database, before=BEFORE, pause=unhurried)
    found = {n: getattr(pruned, n) for n in ("gaps", "origins", "parked", "commands", "words") if getattr(pruned, n)}
    assert found == case.counted
    assert [str(answer) for (answer,) in connection.rows(case.question)] == case.left
    assert prune(database, before=BEFORE, pause=unhurried) == Pruned()


# ------------------------------------------------------------------ copies that a fork brought


def copy_of(chain: Chain, parent: Chain, seq: int) -> None:
    chain.say(
        StoreOpened(staff_id=f"s{seq - 1}"),
        origin=Origin(stream=parent.stream, seq=seq, hash=parent.hashes[seq].hex()),
    )


def test_an_origin_goes_with_the_copy_that_brought_it(database: Path | str, connection: Connection) -> None:
    """What is still held is still known: a second copy of it does not count."""
    parent, child, grandchild = Chain().grow(4), Chain(CHILD), Chain(GRANDCHILD)
    fork(connection, CHILD, parent, 0)
    for seq in (1, 2, 3, 4):
        copy_of(child, parent, seq)
    put(connection, child, 1, 2, OLD)
    put(connection, child, 3, 4, NEW)
    assert count(connection, "origins") == 4
    assert prune(database, before=BEFORE, pause=unhurried).origins == 2
    assert connection.rows("SELECT seq FROM origins ORDER BY seq") == [(3,), (4,)]
    fork(connection, GRANDCHILD, child, 0)
    for seq in (2, 3, 4):  # a disk older than anybody should have kept, and what is younger
        copy_of(grandchild, parent, seq)
    put(connection, grandchild, 1, 3, NEW)
    counted = connection.rows(
        "SELECT counted FROM events e JOIN streams s ON s.born = e.stream WHERE s.stream = ? ORDER BY seq",
        (GRANDCHILD,),
    )
    assert counted == [(1,), (0,), (0,)]


def test_what_names_no_origin_that_can_be_read_is_passed_over(database: Path | str, connection: Connection) -> None:
    chain = Chain(CHILD)
    fork(connection, CHILD, Chain().grow(1), 0)
    chain.add(b'{"origin":')
    chain.say(StoreOpened(staff_id="s"), origin=Origin(stream=STREAM, seq=1, hash="no hash"))
    put(connection, chain, 1, 2, OLD)
    assert prune(database, before=BEFORE, pause=unhurried).origins == 0
    assert count(connection, "events") == 0
