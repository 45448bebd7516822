"""Whether the streams of a ledger are whole: no hole, no double, in order; telemetry may miss what it declared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from contracts.event_types import Lane, TelemetryDropped, lane_of
from simulators.truth.sessions import Event


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What is known of a stream from elsewhere: where it ends at its source, which gaps the wire declared."""

    stream: str
    last_seq: int | None = None
    gaps: tuple[tuple[int, int], ...] = ()


def check_streams(events: Sequence[Event], facts: Sequence[StreamFacts]) -> Iterator[str]:
    """One sentence a broken place. `events` in the order the cloud holds them."""
    gaps = {(fact.stream, first, last) for fact in facts for first, last in fact.gaps}
    gaps |= {(data.stream, data.first, data.last) for _, data in events if isinstance(data, TelemetryDropped)}
    lanes: dict[str, Lane] = {}
    tails: dict[str, int] = {}
    for envelope, _ in events:
        stream, _, number = envelope.id.rpartition(":")
        if number != str(envelope.sequence):
            yield f"event {envelope.id} says it is number {envelope.sequence}"
        lane = lane_of(envelope.name)
        if lanes.setdefault(stream, lane) != lane:
            yield f"event {envelope.id} ({envelope.name}) is of the {lane} lane in a stream of the {lanes[stream]} lane"
        tail = tails.get(stream, 0)
        if envelope.sequence <= tail:
            yield f"event {envelope.id} ({envelope.name}) comes twice or out of order, after number {tail}"
            continue
        yield from _hole(stream, lanes[stream], tail + 1, envelope.sequence - 1, gaps)
        tails[stream] = envelope.sequence
    for fact in facts:
        if fact.last_seq is not None:
            lane = lanes.get(fact.stream, "ledger")
            yield from _hole(fact.stream, lane, tails.get(fact.stream, 0) + 1, fact.last_seq, gaps)


def _hole(stream: str, lane: Lane, first: int, last: int, gaps: set[tuple[str, int, int]]) -> Iterator[str]:
    if first > last:
        return
    if lane == "telemetry":
        missing = set(range(first, last + 1))
        for name, low, high in gaps:
            if name == stream:
                missing -= set(range(max(low, first), min(high, last) + 1))
        if not missing:
            return
        first, last = min(missing), max(missing)
    yield f"stream {stream} ({lane}) misses number {first}" + (f" to {last}" if last > first else "")
