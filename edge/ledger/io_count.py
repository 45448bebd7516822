"""How much one thread hands to the disk."""

from __future__ import annotations

from pathlib import Path

_IO = Path("/proc/thread-self/io")


def written_bytes() -> int:
    """Bytes this thread has passed to write calls since it began (Linux); 0 where the system does not say."""
    try:
        return next(int(line.split()[1]) for line in _IO.read_text().splitlines() if line.startswith("wchar:"))
    except (OSError, StopIteration, ValueError):
        return 0
