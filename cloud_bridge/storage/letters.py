"""What could not be understood: the bytes of each dead letter and why, for people who look for the fault."""

from __future__ import annotations

from dataclasses import dataclass

from cloud_bridge.storage.port import Db


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event that was stored as bytes. `raw` is empty where they might hold personal data; the hash stays."""

    tenant: str
    store: str
    lane: str
    stream: str
    seq: int
    received_ms: int
    type: str
    reason: str
    hash: bytes
    raw: bytes
    place: tuple[int, int]
    """The number of the stream and the sequence: ask for what comes after it."""


def dead_letters(
    db: Db, *, tenant: str | None = None, store: str | None = None, after: tuple[int, int] = (0, 0), limit: int = 100
) -> list[DeadLetter]:
    """Dead letters (of a tenant, of a store) stream by stream, by sequence, after `after`. Raises StorageError."""
    found = db.rows(
        """
        SELECT s.tenant, s.store, s.lane, s.stream, e.seq, e.received_ms, e.type, e.dead, e.hash, e.raw, e.stream
        FROM events e JOIN streams s ON s.born = e.stream
        WHERE e.dead IS NOT NULL AND (e.stream, e.seq) > (?, ?)
            AND s.tenant = coalesce(?, s.tenant) AND s.store = coalesce(?, s.store)
        ORDER BY e.stream, e.seq LIMIT ?
        """,
        (*after, tenant, store, limit),
    )
    return [
        DeadLetter(
            tenant=row[0],
            store=row[1],
            lane=row[2],
            stream=row[3],
            seq=row[4],
            received_ms=row[5],
            type=row[6] or "",
            reason=row[7],
            hash=row[8],
            raw=row[9],
            place=(row[10], row[4]),
        )
        for row in found
    ]
