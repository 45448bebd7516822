"""A ledger in a folder of its own, on a clock that only tests move."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from contracts.clock import ManualClock
from contracts.event_types import AgentHealth, CommandAccepted
from edge.ledger import Ledger
from edge.ports import Record, Transaction

Open = Callable[..., Awaitable[Ledger]]


def sale(n: int) -> Record:
    """One event of the ledger lane, told apart by `n`."""
    return Record(CommandAccepted(command=str(n), kind="test"))


def measure(n: int = 0) -> Record:
    """One event of the telemetry lane."""
    return Record(AgentHealth(boot="b1", counters={"n": n}))


def sales(first: int, count: int = 1) -> Transaction:
    return Transaction(records=[sale(n) for n in range(first, first + count)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def opened(path: Path, clock: ManualClock) -> AsyncIterator[Open]:
    """Opens the ledger at `path`; every ledger is closed at the end."""
    ledgers: list[Ledger] = []

    async def make(**change) -> Ledger:
        settings = {
            "clock": clock,
            "tenant": "t1",
            "store": "s1",
            "boot": "b1",
            "machine": "m1",
            "busy_timeout_s": 0.05,
        }
        ledger = await Ledger.open(change.pop("path", path), **{**settings, "probe_every_s": 0.02, **change})
        ledgers.append(ledger)
        return ledger

    yield make
    for ledger in ledgers:
        await ledger.close()


@pytest.fixture
async def ledger(opened: Open) -> Ledger:
    return await opened()
