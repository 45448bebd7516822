"""The shim under SQLite: the same bytes as without it, and every fault where it was ordered."""

from __future__ import annotations

import gc
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.faultworld.disk import Call, Fault, FaultyDisk, write_files


def opened(path: Path, *, journal: str = "WAL", synchronous: str = "FULL") -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA journal_mode={journal}")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    return connection


def rows(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [row[0] for row in connection.execute("SELECT n FROM t ORDER BY n")]


def at(number: int, fault: Fault, kind: str = "") -> Callable[[Call], Fault | None]:
    """The plan of one fault: at the n-th call, or the n-th of a kind."""
    seen = 0

    def plan(call: Call) -> Fault | None:
        nonlocal seen
        seen += call.kind == kind or not kind
        return fault if seen == number and (call.kind == kind or not kind) else None

    return plan


# ------------------------------------------------------------------ forwarding

STATEMENTS = st.lists(
    st.one_of(
        st.tuples(st.just("INSERT INTO t SELECT max(n)+1, ? FROM t"), st.binary(max_size=9000)),
        st.tuples(st.just("UPDATE t SET x=? WHERE n%3=0"), st.binary(max_size=300)),
        st.tuples(st.just("DELETE FROM t WHERE n%5=1 AND n>1"), st.none()),
        st.tuples(st.just("BEGIN"), st.none()),
        st.tuples(st.sampled_from(["COMMIT", "ROLLBACK"]), st.none()),
        st.tuples(st.just("VACUUM"), st.none()),
        st.tuples(st.just("PRAGMA wal_checkpoint(TRUNCATE)"), st.none()),
    ),
    max_size=25,
)


@given(statements=STATEMENTS, journal=st.sampled_from(["WAL", "DELETE", "TRUNCATE", "PERSIST"]))
@settings(max_examples=60, deadline=None)
def test_files_are_equal_to_those_without_the_shim_and_so_is_what_the_model_says_of_them(
    tmp_path_factory, statements, journal: str
):
    base = tmp_path_factory.mktemp("same")
    for name in ("plain", "disk", "cut"):
        (base / name).mkdir()

    def run(path: Path) -> list[list[tuple[object, ...]]]:
        said = []
        connection = opened(path, journal=journal)
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x BLOB)")
        connection.execute("INSERT INTO t VALUES (1, x'')")
        for text, blob in statements:
            try:
                said.append(connection.execute(text, () if blob is None else (blob,)).fetchall())
            except sqlite3.OperationalError as error:  # COMMIT without BEGIN, VACUUM inside one
                said.append([(str(error),)])
        said.append(connection.execute("SELECT * FROM t").fetchall())
        made.append(connection)
        return said

    made: list[sqlite3.Connection] = []
    said = run(base / "plain" / "a.db")
    with FaultyDisk(base / "disk") as disk:
        assert run(base / "disk" / "a.db") == said
        held = disk.snapshot().held(Random(1), "keep")
        for name, content in held.items():
            assert (base / "disk" / name).read_bytes() == content
        if journal != "WAL":  # the WAL has random salts
            assert (base / "plain" / "a.db").read_bytes() == (base / "disk" / "a.db").read_bytes()
        made[1].rollback()
        write_files(held, base / "cut")
        with closing(sqlite3.connect(base / "cut" / "a.db")) as copy:  # what was open in a transaction is rolled back
            assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert copy.execute("SELECT * FROM t").fetchall() == made[1].execute("SELECT * FROM t").fetchall()
        for connection in made:
            connection.close()


def test_other_folders_and_memory_are_the_machines_own(folder: Path, tmp_path: Path):
    with FaultyDisk(folder) as disk:
        for place in (tmp_path / "b.db", ":memory:", ""):
            with closing(sqlite3.connect(place)) as connection:
                connection.execute("CREATE TABLE t (n)")
        assert disk.calls == 0
    with closing(sqlite3.connect(folder / "c.db")) as connection:  # and after it is closed all are
        connection.execute("CREATE TABLE t (n)")
    assert disk.calls == 0


def test_two_disks_count_for_themselves(folder: Path, tmp_path: Path):
    with FaultyDisk(folder) as one, FaultyDisk(tmp_path) as two:
        opened(folder / "a.db").close()
        before = one.calls
        opened(tmp_path / "a.db").close()
        assert one.calls == before
        assert two.calls > 0


def test_readers_and_a_writer_in_other_threads_share_the_file(folder: Path):
    with FaultyDisk(folder) as disk, closing(opened(folder / "a.db")) as writer:
        writer.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
        seen: list[int] = []

        def read() -> None:
            with closing(disk.connect(folder / "a.db")) as reader:
                while not seen or seen[-1] < 300:
                    seen.append(reader.execute("SELECT count(*) FROM t").fetchone()[0])

        thread = threading.Thread(target=read)
        thread.start()
        for n in range(300):
            writer.execute("INSERT INTO t VALUES (?)", (n,))
        thread.join(60)
        assert seen == sorted(seen)
        assert disk.counters["sync"] >= 300


def test_a_connection_forgotten_at_the_end_of_the_process_does_not_crash_it(folder: Path):
    program = (
        "import sys, sqlite3; from pathlib import Path; from simulators.faultworld.disk import FaultyDisk\n"
        "folder = Path(sys.argv[1]); disk = FaultyDisk(folder)\n"
        "kept = [sqlite3.connect(folder / 'a.db'), sqlite3.connect(folder.parent / 'b.db')]\n"
        "for c in kept: c.execute('PRAGMA journal_mode=WAL'); c.execute('CREATE TABLE t (n)')\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(folder)], timeout=60, check=False).returncode == 0


def test_the_calls_of_a_commit_are_a_header_pages_and_one_sync(folder: Path):
    """What a test that cuts at every call relies on: one sync a commit, after its last write."""
    calls: list[Call] = []
    with FaultyDisk(folder, plan=calls.append) as disk, closing(opened(folder / "a.db")) as connection:  # type: ignore[arg-type]  # returns None
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
        calls.clear()
        connection.execute("INSERT INTO t VALUES (1)")
        assert [(c.kind, c.name) for c in calls] == [("write", "a.db-wal")] * 2 + [("sync", "a.db-wal")]
        assert [c.number for c in calls] == [disk.calls - 2, disk.calls - 1, disk.calls]


# ------------------------------------------------------------------ faults


@pytest.mark.parametrize(
    ("kind", "what", "journal", "name"),
    [
        ("write", "full", "WAL", "SQLITE_FULL"),
        ("write", "io", "WAL", "SQLITE_IOERR_WRITE"),
        ("sync", "io", "WAL", "SQLITE_IOERR_FSYNC"),
        ("sync", "io", "DELETE", "SQLITE_IOERR_FSYNC"),
        ("delete", "io", "DELETE", "SQLITE_IOERR_DELETE"),
        ("truncate", "io", "TRUNCATE", "SQLITE_IOERR_TRUNCATE"),
        ("open", "io", "DELETE", "SQLITE_CANTOPEN"),  # of the rollback journal
        ("read", "io", "DELETE", "SQLITE_IOERR_READ"),
    ],
)
def test_a_fault_is_told_once_and_the_database_goes_on(folder: Path, kind: str, what: str, journal: str, name: str):
    with FaultyDisk(folder, reads=True) as disk, closing(opened(folder / "a.db", journal=journal)) as connection:
        connection.execute("PRAGMA cache_size=1")
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
        disk.plan = at(1, Fault(what=what, written_bytes=7), kind)  # type: ignore[arg-type]  # the table's strings
        with pytest.raises(sqlite3.OperationalError) as raised:
            connection.execute("INSERT INTO t VALUES (1)")
        assert raised.value.sqlite_errorname == name
        assert disk.counters[f"{kind}_{what}"] == 1
        connection.execute("INSERT INTO t VALUES (2)")
        assert [n for (n,) in connection.execute("SELECT n FROM t")] == [2]


def test_the_index_of_the_wal_may_find_no_room(folder: Path):
    with FaultyDisk(folder, plan=at(1, Fault(what="full"), "index")):
        connection = opened(folder / "a.db")  # SQLite makes the index when it first needs it
        with pytest.raises(sqlite3.OperationalError) as raised:
            connection.execute("CREATE TABLE t (n)")
        connection.execute("CREATE TABLE t (n)")
        connection.close()
    assert raised.value.sqlite_errorname == "SQLITE_IOERR_SHMSIZE"


def test_a_disk_of_n_bytes_is_full_at_n_and_takes_again_what_finds_room(folder: Path):
    with FaultyDisk(folder, capacity_bytes=100_000) as disk, closing(opened(folder / "a.db")) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x BLOB)")

        def fill() -> None:
            for n in range(1000):
                connection.execute("INSERT INTO t VALUES (?, randomblob(3000))", (n,))

        with pytest.raises(sqlite3.OperationalError, match="full"):
            fill()
        (stored,) = connection.execute("SELECT count(*) FROM t").fetchone()
        assert sum(file.stat().st_size for file in folder.iterdir() if not file.name.endswith("-shm")) == 100_000
        assert (disk.free_bytes(folder), disk.counters["write_full"]) == (0, 1)
        disk.capacity_bytes = 200_000
        connection.execute("INSERT INTO t VALUES (?, randomblob(3000))", (stored,))
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (stored + 1,)


def test_a_slow_sync_waits_with_what_it_was_given(folder: Path):
    waited: list[float] = []
    with FaultyDisk(folder, slow=waited.append) as disk, closing(opened(folder / "a.db")) as connection:
        connection.execute("CREATE TABLE t (n)")
        disk.plan = at(1, Fault(what="slow", delay_s=2.5), "sync")
        connection.execute("INSERT INTO t VALUES (1)")
        assert waited == [2.5]
        disk.power_cut(Random(1), folder.parent / "cut")
    assert rows(folder.parent / "cut" / "a.db") == [1]


def test_an_error_in_a_plan_is_raised_by_close_and_an_error_of_the_disk_for_sqlite(folder: Path):
    def broken(_call: Call) -> None:
        raise ZeroDivisionError

    disk = FaultyDisk(folder, plan=broken)
    with pytest.raises(sqlite3.OperationalError):
        sqlite3.connect(folder / "a.db").execute("CREATE TABLE t (n)")
    with pytest.raises(ZeroDivisionError):
        disk.close()


def test_an_unplugged_disk_changes_no_more(folder: Path):
    with FaultyDisk(folder) as disk:
        connection = opened(folder / "a.db")
        connection.execute("CREATE TABLE t (n)")
        before = disk.snapshot().held(Random(0), "keep")
        disk.unplug()
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("INSERT INTO t VALUES (1)")
        connection.close()  # would checkpoint and delete the WAL
        assert disk.snapshot().held(Random(0), "keep") == before
        assert disk.counters["refused"] > 0


def test_a_program_restarts_in_the_folder_of_its_dead_disk(folder: Path):
    kept = []
    for n in range(5):
        disk = FaultyDisk(folder)
        connection = opened(folder / "a.db")
        kept.append(connection)  # a dead program's connection is closed by nobody
        connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES (?)", (n,))
        disk.power_cut(Random(n), folder)
        disk.close()
        if n % 2:
            with suppress(sqlite3.Error):
                kept.pop(0).execute("INSERT INTO t VALUES (99)")
            gc.collect()
    assert rows(folder / "a.db") == [0, 1, 2, 3, 4]


def test_files_of_others_and_renames_made_without_sqlite_are_part_of_the_cut(folder: Path):
    with FaultyDisk(folder) as disk:
        (folder / "reserve").write_bytes(b"room")
        connection = opened(folder / "a.db")
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES (7)")
        connection.close()
        (folder / "a.db").rename(folder / "a.db.aside")
        opened(folder / "a.db").close()  # another one under the old name
        held = disk.snapshot()
    kept = held.held(Random(0), "keep")
    assert sorted(kept) == ["a.db", "a.db.aside", "reserve"]
    assert kept["reserve"] == b"room"
    for seed in range(20):
        names = set(held.held(Random(seed)))
        assert "a.db" in names or "a.db.aside" in names  # the rename is whole or not at all
