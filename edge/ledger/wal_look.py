"""Did SQLite recover all of a write-ahead log? It stops at the first frame that is not as written, and says nothing.

The format is SQLite's own (fileformat2.html, "WAL file format"): a header of 32 bytes, then frames of 24 + page size.
Frames of one life of the log carry the same two salts; a frame that ends a commit carries the size of the database.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
_MAGICS = (0x377F0682, 0x377F0683)
MAX_FRAMES = 1 << 20


@dataclass(frozen=True, slots=True)
class WalLook:
    """Where commits end in a log: numbers of frames, from 1. `header_whole`: SQLite will read it at all."""

    header_whole: bool
    commits: tuple[int, ...]

    def lost_after(self, recovered_frames: int) -> int:
        """Commits that stand behind what SQLite took. The last of them may never have been acknowledged: a power cut
        in the middle of a commit leaves the same picture."""
        return sum(frame > recovered_frames for frame in self.commits)


def look(path: Path) -> WalLook | None:
    """The commits of the log at `path`, before SQLite opens it; None if there is none, or nothing in it."""
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
            if len(header) < HEADER_BYTES:
                return None
            fields = struct.unpack(">8I", header)
            whole = fields[0] in _MAGICS and _sums(header[:24], fields[0]) == fields[6:8]
            page_bytes = fields[2] if whole else 4096
            salts = fields[4:6] if whole else None
            commits: list[int] = []
            for number in range(1, MAX_FRAMES):
                head = file.read(FRAME_HEADER_BYTES)
                if len(head) < FRAME_HEADER_BYTES:
                    break
                _page, size, *found = struct.unpack(">4I", head[:16])
                if salts is None:
                    salts = tuple(found)
                if tuple(found) == tuple(salts) and size:
                    commits.append(number)
                file.seek(page_bytes, 1)
    except OSError:
        return None
    return WalLook(whole, tuple(commits)) if commits else None


def _sums(data: bytes, magic: int) -> tuple[int, int]:
    """SQLite's checksum of a multiple of eight bytes; the last bit of the magic says in which order of bytes."""
    words = struct.unpack(f"{'>' if magic & 1 else '<'}{len(data) // 4}I", data)
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def checkpointed(database: Path) -> bool:
    """Does the database hold every page of its log as the log ends? For a log whose header is broken: SQLite begins a
    new life of the log by writing that header, after all of the old one came to the database."""
    try:
        with database.open("rb") as pages, database.with_name(database.name + "-wal").open("rb") as log:
            page_bytes = struct.unpack(">H", pages.read(18)[16:])[0] or 65536
            last: dict[int, bytes] = {}
            waiting: dict[int, bytes] = {}
            log.seek(HEADER_BYTES)
            for _ in range(MAX_FRAMES):
                head, page = log.read(FRAME_HEADER_BYTES), log.read(page_bytes)
                if len(page) < page_bytes:
                    break
                number, size = struct.unpack(">2I", head[:8])
                waiting[number] = hashlib.sha256(page).digest()
                if size:
                    last.update(waiting)
                    waiting.clear()
            for number, digest in last.items():
                pages.seek((number - 1) * page_bytes)
                if hashlib.sha256(pages.read(page_bytes)).digest() != digest:
                    return False
    except (OSError, struct.error):
        return False
    return True
