"""A full disk at start stops no agent: it says so, watches its doors, and tells what stands here when there is room."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from contracts.clock import ManualClock
from edge.agent import opened
from edge.config import load_store
from edge.ports import LedgerFullError, Transaction
from edge.sessions import hash_pin
from zhanggui.demo.store import make


async def test_the_description_follows_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    hashes = {"amy": hash_pin("2468"), "bo": hash_pin("1357")}
    demo = make(tmp_path / "demo", broker_url="mqtt://127.0.0.1:1", camera=False, pin_hashes=hashes)
    clock, full = ManualClock(), True
    async with opened(load_store(demo.store_toml), clock=clock, rng=Random(1)) as agent:
        commit = agent.ledger.commit

        async def refusing(transaction: Transaction) -> None:
            if full:
                raise LedgerFullError("database or disk is full")
            await commit(transaction)

        monkeypatch.setattr(agent.ledger, "commit", refusing)
        assert not await agent.description.tell()
        assert "no door opens until there is some" in caplog.text
        later = asyncio.create_task(agent.description.tell_when_there_is_room())
        await clock.advance(31)
        assert not agent.ledger.state("config")
        full = False
        await clock.advance(31)
        while not agent.ledger.state("config"):
            await asyncio.sleep(0.01)
        later.cancel()
        assert await agent.description.tell()  # nothing is told twice
        assert agent.ledger.lane("ledger").tail.seq == 1
