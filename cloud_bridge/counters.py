"""Everything the bridge drops, refuses or survives, counted by name."""

from __future__ import annotations

import threading


class Counters:
    """Named counts that only grow; safe from the writer's thread and the event loop."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, name: str, count: int = 1) -> None:
        """Count `name` once, or `count` times."""
        if not count:
            return
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + count

    def __getitem__(self, name: str) -> int:
        return self._counts.get(name, 0)

    def snapshot(self) -> dict[str, int]:
        """A copy, in order of names."""
        with self._lock:
            return dict(sorted(self._counts.items()))
