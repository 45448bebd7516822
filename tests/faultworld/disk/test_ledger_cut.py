"""The power fails before and after every call of the real ledger: everything acknowledged is there, nothing is half."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from edge.ledger.rows import Pending
from edge.ledger.store import Store
from tests.faultworld.disk import ledger_work
from tests.faultworld.disk.cutting import judge, recorded
from tests.faultworld.disk.ledger_work import SHORT, connect_often_checkpointing, long_work, picture, program, reopen

pytestmark = pytest.mark.proof  # each takes its tens of seconds


async def test_a_cut_at_every_call_of_a_short_life(folder: Path):
    recording = await recorded(folder, program(SHORT), picture)
    kinds = {moment.call.kind for moment in recording.moments if moment.call}
    assert {"write", "sync", "delete"} <= kinds
    assert len(recording.moments) > 200
    wrong = await judge(recording, folder.with_name("cut"), picture, reopen, seeds=1, reopen_every=7)
    assert wrong == []


@pytest.mark.soak
@pytest.mark.parametrize("sector_bytes", [512, 4096])
@pytest.mark.parametrize("seed", range(10))
async def test_a_cut_at_every_call_of_a_long_life(folder: Path, seed: int, sector_bytes: int):
    steps = long_work(Random(seed), 60)
    recording = await recorded(folder, program(steps), picture, sector_bytes=sector_bytes)
    wrong = await judge(recording, folder.with_name("cut"), picture, reopen, seeds=4, salt=seed)
    assert wrong == []


# ------------------------------------------------------------------ planted: each must be caught


def _not_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
        connection = connect_often_checkpointing(path, busy_timeout_s)
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    monkeypatch.setattr(ledger_work, "opening", connect)


def _told_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit comes with the next one."""
    begin = Store._begin

    def late_begin(store: Store) -> None:
        if store.connection.in_transaction:
            store.connection.execute("COMMIT")
        begin(store)

    def finish(store: Store) -> None:
        pass

    monkeypatch.setattr(Store, "_begin", late_begin)
    monkeypatch.setattr(Store, "_finish", finish)


def _lanes_in_a_second_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Store._finish

    def finish_in_two(store: Store) -> None:
        store.connection.execute("COMMIT")
        store.connection.execute("BEGIN IMMEDIATE")
        finish(store)

    monkeypatch.setattr(Store, "_finish", finish_in_two)


def _state_beside_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    apply = Store._apply

    def apply_in_two(store: Store, pending: Pending) -> Exception | None:
        state = replace(pending.transaction, records=())
        outcome = apply(store, replace(pending, transaction=replace(pending.transaction, puts={}, deletes=())))
        if state.puts and outcome is None:
            store._finish()
            store._begin()
            apply(store, replace(pending, transaction=state))
        return outcome

    monkeypatch.setattr(Store, "_apply", apply_in_two)


PLANTED = (
    _not_synced,
    _told_before_the_commit,
    _lanes_in_a_second_transaction,
    _state_beside_its_events,
)


@pytest.mark.parametrize("plant", PLANTED)
async def test_a_ledger_that_keeps_its_word_badly_is_caught(folder: Path, monkeypatch: pytest.MonkeyPatch, plant):
    plant(monkeypatch)
    recording = await recorded(folder, program(SHORT[:6]), picture)
    assert await judge(recording, folder.with_name("cut"), picture, reopen, seeds=1, every=2, enough=1)
