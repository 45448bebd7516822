"""A batch that SQLite takes in one statement is in its table as one statement a row would have put it there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_bridge.storage import Connection, EventRow, StorageConflictError, open_writer
from cloud_bridge.storage import sqlite as module
from tests.cloud_bridge.wire import mutated

ALL = "SELECT stream, seq, received_ms, counted, type, dead, hash, raw FROM events ORDER BY stream, seq"
Batch = tuple[int, int, int, list[bytes], list[bytes]]  # stream, first_seq, received_ms, hashes, raws


def rows(batch: Batch) -> list[EventRow]:
    """The same, row by row."""
    stream, first_seq, received_ms, hashes, raws = batch
    pairs = enumerate(zip(hashes, raws, strict=True), first_seq)
    return [(stream, seq, received_ms, 1, None, None, digest, raw) for seq, (digest, raw) in pairs]


def of(*raws: bytes, first_seq: int = 5) -> Batch:
    return 3, first_seq, 1000, [bytes([number]) * 32 for number in range(len(raws))], list(raws)


RAWS = st.lists(
    st.binary(min_size=1, max_size=40) | st.sampled_from([b"\0", "é中".encode(), b"x" * 65_536, b"'"]), max_size=9
)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    raws = draw(RAWS)
    hashes = draw(st.lists(st.binary(min_size=32, max_size=32), min_size=len(raws), max_size=len(raws)))
    return draw(st.integers(1, 2**40)), draw(st.integers(1, 2**53)), draw(st.integers(0, 2**44)), hashes, raws


def held(batch: Batch, start: Callable[[str], Connection] = open_writer) -> object:
    """What the table holds after it; None if it was refused."""
    with closing(start(":memory:")) as db:
        try:
            db.insert_batch(*batch)
        except module.StorageError:
            return None
        return db.rows(ALL)


@settings(max_examples=150, deadline=None)
@given(batches())
def test_the_table_holds_what_was_put_in(batch: Batch) -> None:
    assert held(batch) == rows(batch)
    with closing(open_writer(":memory:")) as db:
        db.insert_events(rows(batch))
        assert db.rows(ALL) == rows(batch)


def test_bytes_stay_bytes() -> None:
    with closing(open_writer(":memory:")) as db:
        db.insert_batch(*of(b"1", b"text"))
        assert db.rows("SELECT typeof(hash), typeof(raw) FROM events") == [("blob", "blob")] * 2


def test_a_batch_that_is_there_in_part_is_refused_whole() -> None:
    with closing(open_writer(":memory:")) as db:
        db.insert_batch(*of(b"a"))
        with pytest.raises(StorageConflictError):
            db.insert_batch(*of(b"b", b"c", first_seq=4))
        assert [row[7] for row in db.rows(ALL)] == [b"a"]


def test_a_batch_takes_one_statement() -> None:
    said: list[str] = []
    with closing(module.open_sqlite_writer(":memory:")) as db:
        db.connection.set_trace_callback(said.append)
        db.insert_batch(*of(*[b"raw"] * 200))
        db.connection.set_trace_callback(None)
    assert len(said) == 1


@settings(max_examples=150, deadline=None)
@given(batches())
def test_postgres_is_given_a_batch_as_it_would_be_given_its_rows(batch: Batch) -> None:
    copy = pytest.importorskip("cloud_bridge.storage.postgres_copy")
    assert copy.packed_batch(*batch) == copy.packed(rows(batch))


def test_a_new_file_has_larger_pages_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path / "new.db")) as db:
        assert db.one("PRAGMA page_size") == (module.PAGE_BYTES,)
    with closing(sqlite3.connect(tmp_path / "old.db")) as old:
        old.execute("PRAGMA page_size = 4096")
        old.execute("CREATE TABLE somebody (name TEXT)")
    with closing(open_writer(tmp_path / "old.db")) as db:
        assert db.one("PRAGMA page_size") == (4096,)
        db.insert_batch(*of(b"one"))
        assert db.rows(ALL) == rows(of(b"one"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("initial=1", "initial=0"),  # one byte too early
        ("1 + 32 * key", "32 * key"),
        ("?2 + key", "?2"),
        ("_LENGTH_BITS = 20", "_LENGTH_BITS = 16"),  # the statement reads it otherwise
        ("value & 1048575", "value & 65535"),  # an event of 64 KiB is none
    ],
)
def test_planted_mistakes_are_seen(old: str, new: str) -> None:
    faulty = mutated(module, old, new)
    batch = of(b"one", b"2", b"x" * 65_536, b"three")
    assert held(batch) == rows(batch)
    assert held(batch, faulty.open_sqlite_writer) != rows(batch)
