"""Fixtures for pytest: `store`, `lock_board`, `shelf`, `faults`, and the shared suite for a driver of your own.

    async def test_a_snack(lock_board, shelf):
        await lock_board.unlock()
        lock_board.pull()
        shelf.take("crisps")
        assert abs(await shelf.stable_g() - shelf.true_g) < 2

Installed with the package; the fixtures need pytest-asyncio. A store of your own: `zhanggui_store = store.toml` in
pytest's settings, with `{folder}` for the test's folder. Everything is imported when a test asks for it, so that a run
that asks for nothing pays nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

async_fixture: Any = pytest.fixture
with contextlib.suppress(ImportError):  # a run that never asks for a store needs none
    import pytest_asyncio

    async_fixture = pytest_asyncio.fixture

if TYPE_CHECKING:
    from simulators.testing.bench import FaultBench, LockBench, ShelfBench, StoreBench

INI = "zhanggui_store"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The setting that names another store."""
    parser.addini(INI, "the store of zhanggui's fixtures; {folder} in it stands for the test's folder", default="")


@async_fixture  # type: ignore[untyped-decorator]  # whichever of the two it is
async def store(tmp_path: Path, pytestconfig: pytest.Config) -> AsyncIterator[StoreBench]:
    """A whole store's devices: `store.lock(compartment)`, `store.shelf(name)`, `store.faults`, `store.world`."""
    from simulators.testing.bench import bench_config, plugged

    named = str(pytestconfig.getini(INI))
    config = bench_config(tmp_path, pytestconfig.rootpath / named if named else None)
    async with plugged(config) as bench:
        yield bench


@pytest.fixture
def lock_board(store: StoreBench) -> LockBench:
    """The lock of the store's first compartment."""
    _, first = next(iter(store.config.compartments()))
    return store.lock(first.id)


@pytest.fixture
def shelf(store: StoreBench) -> ShelfBench:
    """The shelf of the store's first compartment."""
    _, first = next(iter(store.config.compartments()))
    return store.shelf(first.shelf[0].id)


@pytest.fixture
def faults(store: StoreBench) -> FaultBench:
    """What goes wrong: `faults.on("locks", drop_p=0.2)`, `faults.unplug("scales")`."""
    return store.faults
