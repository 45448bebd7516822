"""The cloud's file as the first bridge makes it: the same in every run, so the real code makes it once a process.

To make the tables took as long as a tenth of a schedule. Nothing can break while they are made in a run: the bridges
start at its first moment, and whoever lets something happen in that moment gets no template (see World). What a power
cut leaves of half-made tables is asked by tests/faultworld/disk.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from cloud_bridge.storage.sqlite import open_sqlite_writer


@cache
def empty_cloud() -> bytes:
    """A database with every table and no row."""
    with tempfile.TemporaryDirectory(prefix="faultworld-") as folder:
        path = Path(folder) / "cloud.db"
        open_sqlite_writer(path).close()
        return path.read_bytes()
