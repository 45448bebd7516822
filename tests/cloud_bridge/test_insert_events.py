"""However SQLite puts a batch into its table, it holds the same rows as one statement a row would leave."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_bridge.storage import EventRow, StorageConflictError, open_writer
from cloud_bridge.storage import sqlite as module
from tests.cloud_bridge.wire import mutated

ALL = "SELECT stream, seq, received_ms, counted, type, dead, hash, raw FROM events ORDER BY stream, seq"


def batch(*raws: bytes, first_seq: int = 5) -> list[EventRow]:
    """What streams write of a batch in which nothing is unusual."""
    return [(3, seq, 1000, 1, None, None, bytes([seq % 256]) * 32, raw) for seq, raw in enumerate(raws, first_seq)]


RAWS = st.lists(st.binary(max_size=40) | st.sampled_from([b"", b"\0", "é中".encode(), b"x" * 70_000]), max_size=12)


@st.composite
def rows(draw: st.DrawFn) -> list[EventRow]:
    """A batch, and what may be unusual about it."""
    found = batch(*draw(RAWS), first_seq=draw(st.integers(1, 2**53)))
    if found:
        index = draw(st.integers(0, len(found) - 1))
        stream, seq, received_ms, counted, kind, dead, digest, raw = found[index]
        found[index] = draw(
            st.sampled_from(
                [
                    found[index],  # nothing
                    (stream, seq, received_ms, 0, kind, dead, digest, raw),  # a fork's copy
                    (stream, seq, received_ms, counted, "store.opened", "bad", digest, b""),  # a dead letter
                    (stream, seq + 2**54, received_ms, counted, kind, dead, digest, raw),  # a jump
                    (stream + 1, seq, received_ms, counted, kind, dead, digest, raw),
                    (stream, seq, received_ms + 1, counted, kind, dead, digest, raw),
                    (stream, seq, received_ms, counted, kind, dead, digest[:5], raw),  # no hash of ours
                ]
            )
        )
    return found


@settings(max_examples=150, deadline=None)
@given(rows())
def test_the_table_holds_what_was_put_in(events: list[EventRow]) -> None:
    with closing(open_writer(":memory:")) as db:
        db.insert_events(events)
        assert db.rows(ALL) == sorted(events, key=lambda row: row[:2])
        assert all(type(value) is bytes for row in db.rows(ALL) for value in row[6:])


def test_a_batch_that_is_there_already_is_refused_whole() -> None:
    with closing(open_writer(":memory:")) as db:
        db.insert_events(batch(b"a"))
        with pytest.raises(StorageConflictError):
            db.insert_events(batch(b"b", b"c", first_seq=4))
        assert [row[7] for row in db.rows(ALL)] == [b"a"]


def test_a_batch_takes_one_statement() -> None:
    said: list[str] = []
    with closing(open_writer(":memory:")) as db:
        db.connection.set_trace_callback(said.append)  # type: ignore[attr-defined]  # SQLite's own
        db.insert_events(batch(*[b"raw"] * 512))
        db.connection.set_trace_callback(None)  # type: ignore[attr-defined]  # SQLite's own
    assert len(said) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(end - len(raw) + 1)", "(end - len(raw))"),  # one byte too early
        ("1 + 32 * key", "32 * key"),
        ("== counted.count(1) == count", "== count"),  # copies of a fork count
        ("and types.count(None) == dead.count(None) == count", ""),
        ("and seqs == tuple(range(first_seq, first_seq + count))", ""),
        ("and set(map(len, hashes)) == {32}", ""),
    ],
)
def test_planted_mistakes_are_seen(old: str, new: str) -> None:
    faulty = mutated(module, old, new)
    odd = [
        batch(b"one", b"2", b"three"),
        [*batch(b"a"), (3, 6, 1000, 0, None, None, b"h" * 32, b"copy")],
        [*batch(b"a"), (3, 6, 1000, 1, "t", "dead", b"h" * 32, b"c")],
        [*batch(b"a"), (3, 9, 1000, 1, None, None, b"h" * 32, b"later")],
        [(3, 5, 1000, 1, None, None, b"short", b"b"), *batch(b"a", first_seq=6)],
    ]
    wrong = 0
    for events in odd:
        with closing(faulty.open_sqlite_writer(":memory:")) as db:
            db.insert_events(events)
            wrong += db.rows(ALL) != events
    assert wrong
