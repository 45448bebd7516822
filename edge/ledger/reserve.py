"""Room that is held for the last words: a file of real blocks, given up when the disk takes nothing any more."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from edge.ledger.schema import free_bytes

RESERVE_BYTES = 8 * 1024 * 1024  # some thousand events of closing sessions, and the log that frees telemetry
_BLOCK = bytes(range(256)) * 256  # 64 KiB that no file system stores as a hole


class Reserve:
    """The file `path` of `size_bytes`. `held` is true while it stands; a disk that refuses is no error but False."""

    def __init__(self, path: Path, size_bytes: int = RESERVE_BYTES, free: Callable[[Path], int] = free_bytes) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self.held = False
        self._free = free

    def make(self) -> bool:
        """Stand ready; True if the blocks are there. As much again must be free, or the next event would undo it."""
        self.held = self._stands() or self._written()
        return self.held

    def release(self) -> bool:
        """Give the blocks back to the disk; False if there was nothing to give."""
        was, self.held = self.held, False
        with contextlib.suppress(OSError):
            self.path.unlink()
            return was
        return False

    def _stands(self) -> bool:
        try:
            found = self.path.stat()
        except OSError:
            return False
        return found.st_size == self.size_bytes and found.st_blocks * 512 >= self.size_bytes

    def _written(self) -> bool:
        try:
            if self._free(self.path.parent) < 2 * self.size_bytes:
                return False
            with self.path.open("wb") as file:
                for at in range(0, self.size_bytes, len(_BLOCK)):
                    file.write(_BLOCK[: self.size_bytes - at])
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                self.path.unlink()
            return False
        return True
