"""A desk server that runs for one test, on clocks that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contracts.clock import ManualClock
from edge.desk.server import DeskServer
from tests.edge_desk.store import Backend, RawPage


@dataclass
class Desk:
    path: Path
    backend: Backend
    clock: ManualClock
    pace: ManualClock
    server: DeskServer
    pages: list[RawPage] = field(default_factory=list)

    async def page(self) -> RawPage:
        page = await RawPage.connect(self.path)
        self.pages.append(page)
        return page


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    path, backend, clock, pace = tmp_path / "desk.sock", Backend(), ManualClock(), ManualClock()
    server = DeskServer(path, backend, clock, pace=pace)
    task = asyncio.create_task(server.run())
    await asyncio.wait({task, asyncio.ensure_future(server.ready())}, return_when=asyncio.FIRST_COMPLETED)
    desk = Desk(path, backend, clock, pace, server)
    yield desk
    for page in desk.pages:
        page.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
