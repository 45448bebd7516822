"""What the rooms of the agent need of each other, as protocols: the ledger, the provider of payments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from contracts.event_types import EventData


class LedgerFullError(Exception):
    """The append could not be made durable (disk full, I/O error). Nothing of it happened."""


class Record(msgspec.Struct, frozen=True):
    """One event to append, and the device it speaks of (last part of the CloudEvents source)."""

    data: EventData
    device: str = "agent"


class Transaction(msgspec.Struct, frozen=True):
    """Events and durable state that become true together, or not at all.

    `puts` maps `(kind, key)` to JSON bytes, `deletes` names `(kind, key)`; state outlives the events that the cloud
    has confirmed.
    """

    records: Sequence[Record] = ()
    puts: Mapping[tuple[str, str], bytes] = msgspec.field(default_factory=dict)
    deletes: Sequence[tuple[str, str]] = ()


class LedgerPort(Protocol):
    """The durable ledger, as sessions see it. It commits in the order of the calls, also for callers who have gone."""

    async def commit(self, transaction: Transaction) -> None:
        """Return after the fsync that holds the transaction; raise LedgerFullError if it could not be made durable."""

    def state(self, kind: str) -> Mapping[str, bytes]:
        """Committed state of one kind, by key (a copy in memory; no I/O)."""

    @property
    def writable(self) -> bool:
        """False after a failed append, until one has succeeded again."""


class Standing(NamedTuple):
    """How the store stands with the cloud. `link`: `silent` until the current hello is answered. `watermark` of the
    ledger lane counts only while `ready`; `latest_ms`: the most that the cloud's clock can show now."""

    link: Literal["off", "silent", "ready", "standby"]
    watermark: int
    latest_ms: float | None


PaymentAnswer = Literal["held", "declined", "captured", "voided"]


class PaymentUnansweredError(Exception):
    """No answer in time: repeat with the same key (void, capture) or void (authorise)."""


class Payment(Protocol):
    """A provider of holds, idempotent by key: same key, same answer. See docs/sessions.md, table M."""

    async def authorise(self, key: str, amount_fen: int) -> PaymentAnswer:
        """Hold an amount: `held` or `declined`; `voided` if a void of this key came first."""

    async def capture(self, key: str, amount_fen: int) -> PaymentAnswer:
        """Take the amount of a hold: `captured`, or `voided` if the hold is gone."""

    async def void(self, key: str) -> PaymentAnswer:
        """Give a hold back: `voided` (an unknown key leaves a tombstone), `declined`, or `captured` if it was taken."""
