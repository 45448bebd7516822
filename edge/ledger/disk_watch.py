"""How full the disk is, and what that asks for. A table with hysteresis; no I/O but `disk_use`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Level = Literal["ok", "warn", "free_telemetry", "full"]
RAISED = {"warn": 0.80, "free_telemetry": 0.90}  # used share of the disk, or of the quota, at which a level begins
EASED = {"warn": 0.77, "free_telemetry": 0.87}  # … and below which it ends


@dataclass(frozen=True, slots=True)
class DiskUse:
    """A file system as a user sees it: blocks held back for root do not count. Bytes."""

    used_bytes: int
    free_bytes: int

    @property
    def share(self) -> float:
        """0…1."""
        return self.used_bytes / max(1, self.used_bytes + self.free_bytes)


def disk_use(folder: Path) -> DiskUse:
    """What `df` says of the file system of `folder`."""
    found = os.statvfs(folder)
    return DiskUse((found.f_blocks - found.f_bfree) * found.f_frsize, found.f_bavail * found.f_frsize)


def next_level(before: Level, share: float, *, durable: bool) -> Level:
    """The level after a look. `durable`: appends are made durable, and the reserve for the last words stands."""
    if not durable:
        return "full"
    if share >= RAISED["free_telemetry"] or (before in ("free_telemetry", "full") and share >= EASED["free_telemetry"]):
        return "free_telemetry"
    if share >= RAISED["warn"] or (before != "ok" and share >= EASED["warn"]):
        return "warn"
    return "ok"
