"""A lane as lines of JSON that prove themselves: the exact bytes of every event, its hash, and where the chain began.

{"tenant", "store", "machine", "lane", "stream", "parent"?, "after", "hash"}      where the chain stands before
{"seq", "hash", "event": …}                       the event, byte for byte as it was written
{"seq", "hash", "raw": "Base64"}                  what is no JSON on one line
{"seq", "hash", "dropped": true}                  telemetry of which only the hash is left
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

import msgspec

from contracts.envelope import next_hash
from contracts.event_types import Lane
from contracts.messages import Parent
from edge.ledger.errors import LedgerOpenError
from edge.ledger.inspect import ShownEvent, opened, read_rows
from edge.ledger.lane_rows import hash_at, load_lanes

CHUNK_ROWS = 500
MAX_LINE_BYTES = 256 * 1024
SQLITE_MAGIC = b"SQLite format 3\0"
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"PK\x03\x04": "zip"}


class Head(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first line of a chain."""

    tenant: str
    store: str
    machine: str
    lane: Lane
    stream: str
    after: int
    hash: str
    parent: Parent | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event."""

    seq: int
    hash: str
    event: msgspec.Raw = msgspec.Raw()
    raw: bytes | None = None
    dropped: bool = False
    # of a row that was set aside:
    lane: str = ""
    stream: str = ""
    reason: str = ""

    @property
    def written(self) -> bytes | None:
        """The bytes that the chain covers; None where only the hash is left."""
        if self.dropped:
            return None
        return self.raw if self.raw is not None else bytes(self.event)


def export(path: Path, lane: Lane, after: int, told: Callable[[int, int], None]) -> Iterator[bytes]:
    """Lines of what follows sequence `after`, each with its line break. `told(seq, last)` hears of progress.

    Raises LedgerOpenError, also if the lane forks meanwhile.
    """
    with opened(path) as connection:
        meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        row = load_lanes(connection)[lane]
        after = max(after, row.deleted.seq)
        before = row.deleted.hash if after == row.deleted.seq else hash_at(connection, row, after)
        if before is None:
            raise LedgerOpenError(f"{path}: {lane} has no sequence {after}; it ends at {row.tail.seq}")
    yield _line(
        Head(
            tenant=meta.get("tenant", ""),
            store=meta.get("store", ""),
            machine=meta.get("machine", ""),
            lane=lane,
            stream=row.stream,
            after=after,
            hash=before.hex(),
            parent=row.parent,
        )
    )
    last = row.tail.seq
    while after < last:
        with opened(path) as connection:
            if load_lanes(connection)[lane].stream != row.stream:
                raise LedgerOpenError(f"{path}: {lane} went on in another stream meanwhile; export it again")
            rows = read_rows(connection, lane, after, min(CHUNK_ROWS, last - after))
        if not rows or rows[0].seq != after + 1:
            raise LedgerOpenError(f"{path}: {lane} {after + 1} was freed meanwhile or is missing; export it again")
        yield from map(line_of, rows)
        after = rows[-1].seq
        told(after, last)


def export_quarantine(path: Path) -> Iterator[bytes]:
    """Lines of what was set aside, each with its reason. Raises LedgerOpenError."""
    after = 0
    while True:
        with opened(path) as connection:
            rows = connection.execute(
                "SELECT id, lane, stream, seq, CAST(raw AS BLOB), CAST(hash AS BLOB), reason FROM quarantine"
                " WHERE id > ? ORDER BY id LIMIT ?",
                (after, CHUNK_ROWS),
            ).fetchall()
        if not rows:
            return
        for number, lane, stream, seq, raw, digest, reason in rows:
            after = number
            whole = line_of(ShownEvent(seq, raw, digest or b""))
            head = msgspec.json.encode({"lane": lane, "stream": stream, "reason": reason})
            yield head[:-1] + b"," + whole[1:]


def line_of(row: ShownEvent) -> bytes:
    """One line, the event's bytes in it as they are."""
    if row.raw is None:
        return _line(Line(seq=row.seq, hash=row.hash.hex(), dropped=True))
    if b"\n" in row.raw or b"\r" in row.raw or not _is_json(row.raw):
        return _line(Line(seq=row.seq, hash=row.hash.hex(), raw=row.raw))
    return b'{"seq":%d,"hash":"%s","event":%s}\n' % (row.seq, row.hash.hex().encode(), row.raw)


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return not raw[:1].isspace() and not raw[-1:].isspace()  # a reader keeps what stands between comma and brace


def _line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def is_export(file: BufferedReader) -> bool:
    """Does this begin as an export does, and not as a ledger? Raises ValueError that names what it is instead."""
    first = file.peek(len(SQLITE_MAGIC))[: len(SQLITE_MAGIC)]
    if first.startswith(SQLITE_MAGIC):
        return False
    if first.startswith(b"{"):
        return True
    raise ValueError(f"neither a ledger nor an export, but {_what(first)}")


def _what(first: bytes) -> str:
    if not first:
        return "empty"
    for magic, name in _PACKED.items():
        if first.startswith(magic):
            return f"packed with {name}; unpack it first"
    if first.isascii() and first.decode().replace("\n", " ").isprintable():
        return f"text that begins with {first.decode()!r}"
    return f"bytes that begin with {first[:8].hex(' ')}"


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Its lines; one that is longer than any of an export comes in pieces, which are no lines of one."""
    return iter(lambda: file.readline(MAX_LINE_BYTES), b"")


def verify_export(lines: Iterable[bytes]) -> tuple[Head, int, list[str]]:
    """Walk an exported chain: its head, how many events it holds, and what does not hold. Raises ValueError for what
    is no export."""
    walk = iter(lines)
    head = _head(next(walk, b""))
    seq, previous = head.after, bytes.fromhex(head.hash)
    problems: list[str] = []
    for number, raw in enumerate(walk, 2):
        try:
            line = msgspec.json.decode(raw, type=Line)
            digest, written = bytes.fromhex(line.hash), line.written
        except (msgspec.MsgspecError, ValueError) as error:
            problems.append(f"line {number}: {error}")
            continue
        if line.seq != seq + 1:
            problems.append(f"line {number}: {head.lane} {line.seq} follows {seq}")
        elif written is not None and next_hash(previous, written) != digest:
            problems.append(f"line {number}: the bytes of {head.lane} {line.seq} do not give its hash")
        seq, previous = line.seq, digest
    return head, seq - head.after, problems


def _head(raw: bytes) -> Head:
    try:
        head = msgspec.json.decode(raw, type=Head)
        bytes.fromhex(head.hash)
    except (msgspec.MsgspecError, ValueError) as error:
        if _was_set_aside(raw):
            raise ValueError("line 1: what was set aside as damaged, of which no chain proves anything") from error
        raise ValueError(f"line 1: no export of a lane: {error}") from error
    return head


def _was_set_aside(raw: bytes) -> bool:
    try:
        return msgspec.json.decode(raw, type=Line).reason != ""
    except (msgspec.MsgspecError, ValueError):
        return False
