"""The bridge's real database on a faulty disk: what was acknowledged to a store is there, watermark and events agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cloud_bridge.ingest import service
from cloud_bridge.storage import StorageError
from cloud_bridge.storage.sqlite_storage import Job
from simulators.faultworld.disk import FaultyDisk, Plan, no_faults
from tests.faultworld.disk import cloud_work
from tests.faultworld.disk.cloud_work import SHORT, Cloud, long_work, make_old, picture, program, reopen
from tests.faultworld.disk.cutting import judge, recorded
from tests.faultworld.disk.test_ledger_faults import ONCE, once

pytestmark = pytest.mark.proof  # each takes its tens of seconds


async def test_a_cut_at_every_call_of_a_short_life(folder: Path):
    recording = await recorded(folder, program(SHORT), picture)
    assert len(recording.moments) > 100
    assert await judge(recording, folder.with_name("cut"), picture, reopen, seeds=1, reopen_every=7) == []


async def test_a_cut_at_every_call_of_a_migration(folder: Path):
    """The file of an older release is the old one or the new one, and starting again finishes it."""
    make_old(folder)
    recording = await recorded(folder, program(()), picture)
    assert recording.pictures[0] == recording.pictures[-1]  # the same facts, whoever migrated them
    assert await judge(recording, folder.with_name("cut"), picture, reopen, seeds=1, reopen_every=5) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6))
async def test_a_cut_at_every_call_of_a_long_life(folder: Path, seed: int):
    recording = await recorded(folder, program(long_work(Random(seed), 600)), picture)
    assert await judge(recording, folder.with_name("cut"), picture, no_look, seeds=4, salt=seed) == []


async def no_look(folder: Path) -> None:
    """The picture says it all."""


# ------------------------------------------------------------------ faults


async def lived(folder: Path, plan: Plan, *, reads: bool, old: bool) -> tuple[FaultyDisk, list[str], object]:
    """A bridge that is started and fed again until all is done, while its disk fails."""
    folder.mkdir()  # noqa: ASYNC240  # in memory
    if old:
        make_old(folder)
    failed: list[str] = []
    cloud = Cloud(folder)

    async def until_done(name: str, act: Callable[[], Any]) -> None:
        for _ in range(3):
            try:
                found = act()
                if found is not None:
                    await found
            except StorageError as error:
                failed.append(f"{name}: {error}")
            else:
                return
        pytest.fail(f"{name} never worked: {failed}")

    with FaultyDisk(folder, plan=plan, reads=reads) as disk:
        await until_done("open", cloud.storage.open)
        for name, step in () if old else SHORT:
            await until_done(name, lambda step=step: step(cloud))
        cloud.storage.close()
    return disk, failed, picture(folder)


@pytest.mark.parametrize("name", ONCE)
@pytest.mark.parametrize(
    ("old", "every"), [(False, 7), (True, 7), *(pytest.param(old, 1, marks=pytest.mark.soak) for old in (False, True))]
)
async def test_a_call_that_fails_once_is_success_or_a_typed_error_and_then_it_works_on(
    folder: Path, name: str, every: int, old: bool
):
    kind, fault = ONCE[name]
    good, _, expected = await lived(folder / "good", no_faults, reads=kind == "read", old=old)
    for number in range(1, good.counters[kind] + 1, every):
        disk, failed, found = await lived(
            folder / f"n{number}", once(kind, number, fault), reads=kind == "read", old=old
        )
        assert disk.counters[f"{kind}_{fault.what}"] == 1, number
        assert found == expected, (number, failed)


# ------------------------------------------------------------------ planted: each must be caught


def _watermark_in_a_second_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The events are committed, then the watermark."""
    apply_batch = service.apply_batch

    def in_two(db: Any, *arguments: Any, **named: Any) -> Any:
        before = db.rows("SELECT stream, watermark, hash FROM streams")
        outcome = apply_batch(db, *arguments, **named)
        after = db.rows("SELECT stream, watermark, hash FROM streams")
        for stream, watermark, digest in before:
            db.execute("UPDATE streams SET watermark=?, hash=? WHERE stream=?", (watermark, digest, stream))
        db.execute("COMMIT")
        db.execute("BEGIN IMMEDIATE")
        db.execute("SAVEPOINT job")
        for stream, watermark, digest in after:
            db.execute("UPDATE streams SET watermark=?, hash=? WHERE stream=?", (watermark, digest, stream))
        return outcome

    monkeypatch.setattr(service, "apply_batch", in_two)


def _answered_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[Any] = []

    def commit_late(db: Any, group: list[Job]) -> None:
        if waiting:
            db.execute(waiting.pop())
        db.execute("BEGIN IMMEDIATE")
        for job in group:
            job.done.set_result(job.work(db))
        waiting.append("COMMIT")

    monkeypatch.setattr(cloud_work, "commit_group", commit_late)


def _not_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    opening = cloud_work.InlineStorage.open

    def open_hastily(storage: cloud_work.InlineStorage) -> None:
        opening(storage)
        assert storage.db is not None
        storage.db.execute("PRAGMA synchronous=NORMAL")

    monkeypatch.setattr(cloud_work.InlineStorage, "open", open_hastily)


@pytest.mark.parametrize("plant", [_watermark_in_a_second_commit, _answered_before_the_commit, _not_synced])
async def test_a_bridge_that_keeps_its_word_badly_is_caught(folder: Path, monkeypatch: pytest.MonkeyPatch, plant):
    with monkeypatch.context() as planted:
        plant(planted)
        recording = await recorded(folder, program(SHORT[:7]), picture)
    assert await judge(recording, folder.with_name("cut"), picture, reopen, seeds=1, every=2, enough=1)
