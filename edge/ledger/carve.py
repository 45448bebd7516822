"""Find events in a file that SQLite cannot read: every page of rows is looked at, whatever became of the tree above it.

The format is SQLite's own (fileformat2.html): pages of a table's rows begin with 0x0D, rows longer than a page go on in
a chain of overflow pages. A row of ours is an empty column (its number is the row's own), the event, and a hash of 32
bytes; the event names its stream and sequence, and its hash chain proves it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LEAF = 0x0D
HASH_BYTES = 32
MAX_ROWS = 200_000  # found at most: places in memory, some 30 MB
MAX_EVENT_PAGES = 32
FRAME_BYTES, LOG_HEADER_BYTES = 24, 32


@dataclass(frozen=True, slots=True)
class Carved:
    """One row, with the bytes of the event and the hash that was written beside it."""

    seq: int
    raw: bytes
    hash: bytes


def page_size(database: Path) -> int:
    """As the file says, or SQLite's default where it says nonsense."""
    try:
        with database.open("rb") as file:
            said = int(struct.unpack(">H", file.read(18)[16:])[0])
    except (OSError, struct.error):
        return 4096
    size_bytes = 65536 if said == 1 else said
    return size_bytes if size_bytes >= 512 and size_bytes & (size_bytes - 1) == 0 else 4096


def carve(database: Path) -> Iterator[Carved]:
    """Rows in pages of the database, then of its log (newer ones, often again). Unordered."""
    size_bytes = page_size(database)
    for path, first, stride in (
        (database, 0, size_bytes),
        (database.with_name(database.name + "-wal"), LOG_HEADER_BYTES + FRAME_BYTES, size_bytes + FRAME_BYTES),
    ):
        try:
            with path.open("rb") as file, database.open("rb") as pages:
                at = first
                while len(page := _at(file, at, size_bytes)) == size_bytes:
                    at += stride
                    if page[0] == LEAF:
                        for start in _cells(page):
                            row = _row(page, start, pages, size_bytes)
                            if row is not None:
                                yield row
        except OSError:
            continue


def _at(file: object, offset: int, count: int) -> bytes:
    file.seek(offset)  # type: ignore[attr-defined]  # an open binary file
    read: bytes = file.read(count)  # type: ignore[attr-defined]  # the same
    return read


def _cells(page: bytes) -> Iterator[int]:
    count = struct.unpack(">H", page[3:5])[0]
    for number in range(min(count, len(page) // 4)):
        start = struct.unpack(">H", page[8 + 2 * number : 10 + 2 * number])[0]
        if 8 < start < len(page) - 4:
            yield start


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """SQLite's integer of one to nine bytes, and where it ends. Raises IndexError."""
    value = 0
    for step in range(8):
        byte = data[at + step]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + step + 1
    return value << 8 | data[at + 8], at + 9


def _row(page: bytes, start: int, pages: object, size_bytes: int) -> Carved | None:
    try:
        total, at = _varint(page, start)
        seq, at = _varint(page, at)
        if not HASH_BYTES < total <= MAX_EVENT_PAGES * 4096:
            return None
        payload = _payload(page, at, total, pages, size_bytes)
        header, end = _varint(payload, 0)
        kinds: list[int] = []
        while end < header:
            kind, end = _varint(payload, end)
            kinds.append(kind)
        if len(kinds) != 3 or kinds[0] != 0 or kinds[2] != 12 + 2 * HASH_BYTES or kinds[1] < 14 or kinds[1] % 2:
            return None
        raw_bytes = (kinds[1] - 12) // 2
        raw, digest = payload[header : header + raw_bytes], payload[header + raw_bytes :]
    except (IndexError, struct.error):
        return None
    return Carved(seq, raw, digest) if len(raw) == raw_bytes and len(digest) == HASH_BYTES else None


def _payload(page: bytes, at: int, total: int, pages: object, size_bytes: int) -> bytes:
    most, least = size_bytes - 35, (size_bytes - 12) * 32 // 255 - 23
    if total <= most:
        return page[at : at + total]
    local = least + (total - least) % (size_bytes - 4)
    local = local if local <= most else least
    parts = [page[at : at + local]]
    left, following = total - local, struct.unpack(">I", page[at + local : at + local + 4])[0]
    for _ in range(MAX_EVENT_PAGES):
        if left <= 0 or not following:
            break
        more = _at(pages, (following - 1) * size_bytes, size_bytes)
        following = struct.unpack(">I", more[:4])[0]
        parts.append(more[4 : 4 + left])
        left -= size_bytes - 4
    return b"".join(parts)
