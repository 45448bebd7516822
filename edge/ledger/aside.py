"""What was set aside, and what the chain still says of it: whole, altered, or nothing at all.

The hash of a row covers its bytes and the hash before it. Where that one is known, from what stands in the ledger or
beside the row, the row is proved or it is not what was written; behind a hole nobody can tell.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from typing import Literal, NamedTuple

from contracts.envelope import BadEventError, decode_envelope, next_hash, root_hash
from contracts.event_types import LANES, Lane
from edge.ledger.heal import ALTERED
from edge.ledger.inspect import CHUNK_ROWS, read_rows
from edge.ledger.lane_rows import load_lanes

Place = tuple[str, int]  # a stream and a sequence


class AsideRow(NamedTuple):
    """One row of the quarantine."""

    number: int
    lane: str
    stream: str
    seq: int
    raw: bytes | None
    hash: bytes | None
    reason: str


class Verdict(NamedTuple):
    """`hash` is what whole bytes give in their chain: what is noted beside them may be what was altered."""

    proof: Literal["whole", "altered", "none"]
    hash: bytes


def aside_rows(connection: sqlite3.Connection) -> list[AsideRow]:
    """Everything in the quarantine, oldest first."""
    query = "SELECT id, lane, stream, seq, CAST(raw AS BLOB), CAST(hash AS BLOB), reason FROM quarantine ORDER BY id"
    return [AsideRow(*row) for row in connection.execute(query)]


def verdicts(connection: sqlite3.Connection, rows: Sequence[AsideRow]) -> dict[int, Verdict]:
    """What the chain says of each event among `rows`, which are all there are, by number."""
    events = {(row.stream, row.seq): row for row in rows if row.lane in LANES and row.raw is not None}
    before = _before(connection, events.values())
    given: dict[Place, bytes] = {}  # the hash that the bytes of a row give, behind what is known to stand before it
    found: dict[int, Verdict] = {}
    for place, row in sorted(events.items()):
        raw, digest, previous = row.raw or b"", row.hash or b"", (row.stream, row.seq - 1)
        beside = events.get(previous)
        known = [before.get(place), given.get(previous), beside.hash if beside else None]
        gives = {next_hash(hash_, raw): hash_ for hash_ in reversed(known) if hash_}
        if known[0] or known[1]:
            given[place] = next_hash(known[0] or known[1] or b"", raw)
        if digest in gives:
            found[row.number] = Verdict("whole", digest)
            if gives[digest] == given.get(previous):
                _prove_back(events, given, previous, found)
        else:
            altered = bool(gives) or row.reason == ALTERED
            found[row.number] = Verdict("altered" if altered else "none", digest)
    return found


def _prove_back(
    events: dict[Place, AsideRow], given: dict[Place, bytes], place: Place, found: dict[int, Verdict]
) -> None:
    """A row behind these is whole because of what their bytes give: only the hashes noted beside them were altered."""
    while place in given and found[events[place].number].proof != "whole":
        found[events[place].number] = Verdict("whole", given[place])
        place = (place[0], place[1] - 1)


def _before(connection: sqlite3.Connection, events: Collection[AsideRow]) -> dict[Place, bytes]:
    """The hash before each event, as far as the ledger itself knows it."""
    found = {(row.stream, row.seq): root_hash(row.stream) for row in events if row.seq == 1}
    lanes = load_lanes(connection)
    for lane in LANES:
        wanted = {(row.stream, row.seq - 1) for row in events if row.lane == lane}
        if (parent := lanes[lane].parent) is not None:
            found[parent.stream, parent.common + 1] = bytes.fromhex(parent.hash)
        if wanted:
            found |= {(s, n + 1): digest for (s, n), digest in _written_again(connection, lane, wanted)}
    return found


def _written_again(connection: sqlite3.Connection, lane: Lane, wanted: set[Place]) -> Iterator[tuple[Place, bytes]]:
    """The hash that events of `wanted` had where they were first written; those that a fork has brought along."""
    after = 0
    while rows := read_rows(connection, lane, after, CHUNK_ROWS):
        for row in rows:
            if row.raw is None or b'"origin":' not in row.raw:
                continue
            try:
                origin = decode_envelope(row.raw).origin
            except BadEventError:
                continue
            if origin is not None and (origin.stream, origin.seq) in wanted:
                yield (origin.stream, origin.seq), bytes.fromhex(origin.hash)
        after = rows[-1].seq
