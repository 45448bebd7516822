"""The values that the ledger's parts hand to each other: marks, lane rows, slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from contracts.envelope import Stamp
from contracts.event_types import Lane
from contracts.messages import Gap, Parent
from edge.ports import Transaction


class Mark(NamedTuple):
    """A place in a chain."""

    seq: int
    hash: bytes


class LaneRow(msgspec.Struct, frozen=True):  # made anew with every event: no dataclass is as quick
    """One lane as the database holds it. Rows `deleted.seq + 1 … tail.seq` are there; of those up to `dropped_seq`
    only the hash is left (telemetry).

    Up to `freed` the cloud has confirmed: the protocol rests on it. Rows up to it, as far as they are not deleted yet,
    are for eyes at the store alone and never sent again; `confirmed_bytes` is what they take (events and hashes).
    """

    name: Lane
    stream: str
    parent: Parent | None
    tail: Mark
    freed: Mark
    dropped_seq: int
    deleted: Mark
    confirmed_bytes: int = 0

    @property
    def kept(self) -> int:
        """How many events still have their bytes."""
        return self.tail.seq - max(self.freed.seq, self.dropped_seq)


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive events of one stream, with the gap that stands before them, if any.

    `prev_hash` is the hash before the gap, or before the first event without one; `last_hash` the hash at `last_seq`.
    """

    stream: str
    first_seq: int
    prev_hash: bytes
    events: Sequence[bytes]
    last_hash: bytes
    gap: Gap | None = None

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.events) - 1


class Pending(msgspec.Struct, frozen=True):
    """A transaction on its way to the writer, with the moment it was made."""

    transaction: Transaction
    stamp: Stamp
