"""Opening: whose file it is, which version, room on the disk; each refusal is one sentence and changes nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge.ledger import (
    ForeignLedgerError,
    FullDiskError,
    LedgerInUseError,
    LedgerOpenError,
    NewerLedgerError,
    machine_instance,
    verify,
)
from tests.edge_ledger.conftest import sales


async def test_pitfall_01_a_new_ledger_has_two_empty_streams_and_keeps_them(opened, path) -> None:
    """Opening again with the same description changes nothing."""
    ledger = await opened()
    streams = [ledger.lane(name).stream for name in ("ledger", "telemetry")]
    assert len(set(streams)) == 2
    assert [ledger.lane(name).tail.seq for name in ("ledger", "telemetry")] == [0, 0]
    for _ in range(3):
        await ledger.close()
        ledger = await opened()
        assert [ledger.lane(name).stream for name in ("ledger", "telemetry")] == streams
    assert verify(path).problems == ()


async def test_every_commit_is_synced(ledger) -> None:
    pragmas = await ledger._writer.call(
        lambda s: [s.connection.execute(f"PRAGMA {p}").fetchone()[0] for p in ("journal_mode", "synchronous")]
    )
    assert pragmas == ["wal", 2]  # 2 is FULL


@pytest.mark.parametrize(("key", "value"), [("tenant", "t2"), ("store", "s2")])
async def test_the_ledger_of_another_store_is_refused(opened, key, value) -> None:
    await (await opened()).close()
    with pytest.raises(ForeignLedgerError, match=r"t1/s1.*mend tenant and store"):
        await opened(**{key: value})
    assert (await opened()).writable


async def test_another_sqlite_file_is_refused_and_left_as_it_is(opened, path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE photos (id)")
    with pytest.raises(ForeignLedgerError, match="no ledger"):
        await opened()
    assert sqlite3.connect(path).execute("SELECT name FROM sqlite_master").fetchall() == [("photos",)]


async def test_a_newer_file_is_refused_and_left_as_it_is(opened, path) -> None:
    await (await opened()).close()
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version=99")
    path.with_name("ledger.db.witness").unlink()  # it says that this version wrote the file: then 99 is a flipped byte
    with pytest.raises(NewerLedgerError, match=r"schema 99.*install that version again"):
        await opened()
    with pytest.raises(LedgerOpenError, match="newer"):
        verify(path)


async def test_pitfall_22_a_full_disk_is_refused_before_anything_is_touched(opened, path) -> None:
    with pytest.raises(FullDiskError, match="make room"):
        await opened(free=lambda _folder: 5_000_000)
    assert (await opened(free=lambda _folder: 1 << 40)).writable
    # a file of this version needs no preparation, so little room is no reason to refuse it


async def test_a_current_file_opens_on_a_nearly_full_disk(opened) -> None:
    await (await opened()).close()
    assert (await opened(free=lambda _folder: 0)).writable


async def test_a_second_agent_is_refused_while_the_first_runs(opened) -> None:
    first = await opened()
    with pytest.raises(LedgerInUseError, match="another agent"):
        await opened()
    await first.close()
    assert (await opened()).writable


async def test_a_file_locked_by_another_program_is_refused_with_a_reason(opened, path) -> None:
    await (await opened()).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerOpenError, match="locked"):
        await opened()
    other.close()


async def test_a_folder_that_is_not_there_is_refused_with_a_reason(opened, tmp_path) -> None:
    with pytest.raises(LedgerOpenError, match="check the folder"):
        await opened(path=tmp_path / "missing" / "ledger.db")


async def test_a_disk_that_moved_to_another_machine_becomes_that_instance(opened, path, caplog) -> None:
    ledger = await opened()
    await ledger.commit(sales(1))
    await ledger.close()
    moved = await opened(machine="m2")
    assert moved.instance == "m2"
    assert "another machine" in caplog.text
    assert moved.lane("ledger").tail.seq == 1
    assert verify(path).machine == "m2"


# ------------------------------------------------------------------ the machine's id


def test_the_instance_is_a_hash_of_the_machine_id_and_does_not_show_it(tmp_path: Path) -> None:
    known = tmp_path / "machine-id"
    known.write_text("0123456789abcdef0123456789abcdef\n")
    found = machine_instance(tmp_path / "beside", known)
    assert found == machine_instance(tmp_path / "elsewhere", known)
    assert len(found) == 16
    assert found not in known.read_text()
    assert not (tmp_path / "beside").exists()


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_a_machine_without_an_id_gets_a_random_one_that_stays(tmp_path: Path, text) -> None:
    known = tmp_path / "machine-id"
    if text is not None:
        known.write_text(text)
    found = machine_instance(tmp_path / "beside", known)
    assert found == machine_instance(tmp_path / "beside", known)
    assert found != machine_instance(tmp_path / "beside2", known)


def test_an_empty_file_beside_is_no_machine(tmp_path) -> None:
    """A crash between making and writing it would make all such boxes one."""
    none = tmp_path / "none"
    for name in ("a", "b"):
        (tmp_path / name).touch()
    found = [machine_instance(tmp_path / name, none) for name in ("a", "b")]
    assert found[0] != found[1]
    assert found == [machine_instance(tmp_path / name, none) for name in ("a", "b")]
