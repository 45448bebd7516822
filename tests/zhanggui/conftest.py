"""A ledger as an agent leaves it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from contracts.clock import ManualClock
from contracts.event_types import AgentHealth, CommandAccepted
from edge.ledger import Ledger
from edge.ports import Record, Transaction


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A real ledger: six events, two of them confirmed, and telemetry of which some was dropped."""
    path = tmp_path / "ledger.db"

    async def write() -> None:
        book = await Ledger.open(
            path, clock=ManualClock(), tenant="t", store="s", boot="b1", machine="m1", telemetry_rows=10
        )
        for n in range(1, 7):
            await book.commit(Transaction(records=[Record(CommandAccepted(command=f"order-{n}", kind="test"), "desk")]))
        health = [Record(AgentHealth(boot="b1", counters={"n": n})) for n in range(12)]
        await book.commit(Transaction(records=health))
        await book.confirm("ledger", 2)
        await book.close()

    asyncio.run(write())
    return path
