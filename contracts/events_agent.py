"""What the agent tells of itself: drops, clocks, commands, forks, health."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contracts.event_base import Count, EventData, Lane, Short, Text, event

Result = Annotated[dict[Short, Text | int], Meta(max_length=64)]  # codes and figures, no sentences


@event("telemetry.dropped")
class TelemetryDropped(EventData, frozen=True, kw_only=True):
    """A run of telemetry that was dropped before the cloud had it."""

    stream: Short
    first: Count
    last: Count
    count: Count
    reason: Short


@event("clock.estimated")
class ClockEstimated(EventData, frozen=True, kw_only=True):
    """How far this box's clock is from the cloud's."""

    boot: Short
    offset_ms: float
    rtt_ms: float


@event("command.accepted")
class CommandAccepted(EventData, frozen=True, kw_only=True):
    """The intent of a command, durable before its effect."""

    command: Short
    kind: Short


@event("command.refused")
class CommandRefused(EventData, frozen=True, kw_only=True):
    """A command that was not carried out, and why."""

    command: Short
    kind: Short
    reason: Short


@event("command.completed")
class CommandCompleted(EventData, frozen=True, kw_only=True):
    """What became of an accepted command; `detail` is a code, `result` what a query found."""

    command: Short
    kind: Short
    outcome: Literal["done", "failed", "unknown"]
    detail: Text = ""
    result: Result = msgspec.field(default_factory=dict)


@event("stream.forked")
class StreamForked(EventData, frozen=True, kw_only=True):
    """This lane goes on in a new stream after its disk was restored or the cloud lost data.

    What the cloud lost of the parent, `lost_first` to `lost_last`, was confirmed and is gone from the store too.
    """

    lane: Lane
    parent: Short
    common: Count
    reason: Short
    lost_first: Count = 0
    lost_last: Count = 0


@event("ledger.damaged")
class LedgerDamaged(EventData, frozen=True, kw_only=True):
    """A range that could not be read from disk."""

    lane: Lane
    first: Count
    last: Count
    detail: Text = ""


@event("ledger.disk")
class LedgerDisk(EventData, frozen=True, kw_only=True):
    """The disk of the ledger came to another level; at `full` no door opens until it has room again."""

    level: Literal["ok", "warn", "free_telemetry", "full"]
    used_percent: Count
    free_bytes: Count
    detail: Text = ""


@event("ledger.wal_held")
class LedgerWalHeld(EventData, frozen=True, kw_only=True):
    """Another program reads the ledger without end, so that its log cannot be cut back."""

    size_bytes: Count


@event("ledger.requeued")
class LedgerRequeued(EventData, frozen=True, kw_only=True):
    """Events that had been set aside as damaged were read by a person and written again, each with its origin."""

    lane: Lane
    count: Count
    by: Short


@event("agent.health", lane="telemetry")
class AgentHealth(EventData, frozen=True, kw_only=True):
    """Counters of everything that was dropped or refused, by name."""

    boot: Short
    counters: dict[Short, int]
    ledger_rows: Count = 0
    rss_bytes: Count = 0
