"""A real file system of a few megabytes that can be filled to its last block."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted tmpfs. `fill` takes all room but `leave_bytes`; `clear` gives it back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def free(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        with self._ballast.open("ab") as file:
            left = self.free() - leave_bytes
            with contextlib.suppress(OSError):
                while left > 0:
                    left -= file.write(b"x" * min(left, 65536))
                    file.flush()

    def clear(self) -> None:
        self._ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def mounted(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mount it; skips the test where that is not permitted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=700", "none", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=20)
    except FileNotFoundError:
        pytest.skip("there is no mount command: a really full file system needs root and mount")
    if done.returncode:
        pytest.skip(f"a really full file system needs root and mount: {done.stderr.decode().strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, timeout=20)
