"""A folder in memory where there is one, and a clear skip where SQLite cannot be given a VFS."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.faultworld.disk import FaultyDisk, UnsupportedSqliteError

IN_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session", autouse=True)
def _supported() -> None:
    with tempfile.TemporaryDirectory() as name:
        try:
            FaultyDisk(Path(name)).close()
        except UnsupportedSqliteError as error:
            pytest.skip(str(error))


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder: these tests reopen thousands of files."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as name:
        (Path(name) / "disk").mkdir()
        yield Path(name) / "disk"
