"""Power cuts against plain users of SQLite: good ones lose nothing, bad ones are caught."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from simulators.faultworld.disk import Call, Fault, FaultyDisk, Surface, write_files

SEEDS = 4


@dataclass(frozen=True)
class Moment:
    """What the disk may hold before one call, and what the program had promised by then."""

    surface: Surface
    promised: tuple[int, ...]


Program = Callable[[sqlite3.Connection, int, Callable[[], None]], None]


def at_every_call(folder: Path, insert: Program, *, synchronous: str = "FULL", powersafe: bool = True) -> list[Moment]:
    """Run a program of small transactions; a moment before each call, and one after the last."""
    moments: list[Moment] = []
    promised: list[int] = []

    def plan(_call: Call) -> None:
        moments.append(Moment(disk.snapshot(), tuple(promised)))

    with FaultyDisk(folder, plan=plan, powersafe=powersafe) as disk:
        connection = disk.connect(folder / "a.db")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA wal_autocheckpoint=6")
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x BLOB)")
        for n in range(12):
            insert(connection, n, lambda n=n: promised.append(n))
        moments.append(Moment(disk.snapshot(), tuple(promised)))
        disk.plan = lambda _call: None
        connection.close()
    return moments


def losses(folder: Path, moments: list[Moment], *, seeds: int = SEEDS, powersafe: bool = True) -> list[str]:
    """Cut at every moment, in several ways; what each cut broke."""
    found = []
    for number, moment in enumerate(moments):
        for seed in range(seeds):
            mode = ("lose", "keep", "random")[min(seed, 2)]
            write_files(moment.surface.held(Random(seed * 10_007 + number), mode, powersafe=powersafe), folder)
            held: set[int] = set()
            try:
                with closing(sqlite3.connect(folder / "a.db")) as connection:
                    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "damaged"
                    with suppress(sqlite3.OperationalError):  # before the table was made
                        held = {row[0] for row in connection.execute("SELECT n FROM t")}
            except (sqlite3.DatabaseError, AssertionError) as error:
                found.append(f"{number}/{seed}: {error}")
            if missing := set(moment.promised) - held:
                found.append(f"{number}/{seed}: {sorted(missing)} of {len(moment.promised)} are gone")
    return found


def good(connection: sqlite3.Connection, n: int, promise: Callable[[], None]) -> None:
    connection.execute("INSERT INTO t VALUES (?, randomblob(5000))", (n,))
    promise()


def hasty(connection: sqlite3.Connection, n: int, promise: Callable[[], None]) -> None:
    connection.execute("BEGIN")
    connection.execute("INSERT INTO t VALUES (?, randomblob(5000))", (n,))
    promise()
    connection.execute("COMMIT")


def test_a_commit_under_wal_and_full_survives_a_cut_before_and_after_every_call(folder: Path):
    moments = at_every_call(folder, good)
    assert len(moments) > 80
    assert moments[-1].promised == tuple(range(12))
    assert losses(folder.parent / "cut", moments) == []


@pytest.mark.parametrize(
    ("program", "synchronous"),
    [
        (good, "OFF"),  # no sync at all
        (good, "NORMAL"),  # under WAL no sync at a commit: sound, but not durable
        (hasty, "FULL"),  # promises before it commits
    ],
)
def test_a_bad_user_of_the_database_is_caught(folder: Path, program: Program, synchronous: str):
    assert losses(folder.parent / "cut", at_every_call(folder, program, synchronous=synchronous))


def test_synchronous_off_even_damages_the_file(folder: Path):
    broken = losses(folder.parent / "cut", at_every_call(folder, good, synchronous="OFF"), seeds=12)
    assert any("gone" not in line for line in broken)


def test_a_sync_that_lies_loses_what_was_promised_and_is_outside_the_guarantee(folder: Path):
    lie = Fault(what="lie")
    with FaultyDisk(folder) as disk:
        connection = disk.connect(folder / "a.db")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
        disk.plan = lambda call: lie if call.kind == "sync" else None
        connection.execute("INSERT INTO t VALUES (1)")  # "durable"
        disk.power_cut(Random(0), folder.parent / "cut", "lose")
        connection.close()
    with closing(sqlite3.connect(folder.parent / "cut" / "a.db")) as copy:
        assert copy.execute("SELECT count(*) FROM t").fetchone() == (0,)


def small(connection: sqlite3.Connection, n: int, promise: Callable[[], None]) -> None:
    connection.execute("INSERT INTO t VALUES (?, x'')", (n,))
    promise()


def test_a_medium_that_spoils_sectors_needs_psow_off_and_then_loses_nothing(folder: Path):
    """The URI of a disk that is not powersafe says so; SQLite then fills each commit up to the sector."""
    moments = at_every_call(folder, small, powersafe=False)
    assert losses(folder.parent / "cut", moments, seeds=8, powersafe=False) == []


def test_on_such_a_medium_the_default_setting_loses_a_commit(folder: Path):
    """So powersafe overwrite is part of what our guarantee asks of a disk."""
    moments = at_every_call(folder, small, powersafe=True)
    assert losses(folder.parent / "cut", moments, seeds=30, powersafe=False)
