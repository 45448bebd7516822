"""The truth as a file: one JSON line a record."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from simulators.truth.records import TruthRecord

SYNC_EVERY = 50


class TruthLog:
    """Appends records to `path`: flushed each, on disk every 50 and at the end. Call it with a record."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        _cut_torn_line(path)
        self._encoder = msgspec.json.Encoder()
        self._unsynced = 0
        self.count = 0

    def __call__(self, record: TruthRecord) -> None:
        self._file.write(self._encoder.encode(record) + b"\n")
        self._file.flush()
        self.count += 1
        self._unsynced += 1
        if self._unsynced >= SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Return after everything written is on disk."""
        os.fsync(self._file.fileno())
        self._unsynced = 0

    def close(self) -> None:
        if not self._file.closed:
            self.sync()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_truth(path: Path) -> Iterator[TruthRecord]:
    """The records of a file in order; a last line torn by a kill is left out. Raises msgspec.DecodeError elsewhere."""
    decoder = msgspec.json.Decoder(TruthRecord)
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield decoder.decode(line)


def _cut_torn_line(path: Path) -> None:
    whole = path.read_bytes().rfind(b"\n") + 1
    if whole < path.stat().st_size:
        os.truncate(path, whole)
