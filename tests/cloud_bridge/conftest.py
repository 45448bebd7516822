"""A database on disk, and an ingest over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest
from cloud_bridge.storage import SqliteStorage, Storage
from contracts.clock import ManualClock


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    opened = SqliteStorage(tmp_path / "cloud.db")
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def ingest(storage: Storage, clock: ManualClock, counters: Counters) -> Ingest:
    return Ingest(storage=storage, clock=clock, counters=counters)
