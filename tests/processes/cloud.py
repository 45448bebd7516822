"""The cloud's side of a comparison: what its database holds of one store, read as an auditor would."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from cloud_bridge.storage import open_reader, read_events
from contracts.event_types import LANES, Lane
from tests.processes.truth import Held, Hole, LaneInCloud


def lanes_of(address: str, tenant: str, store: str) -> dict[Lane, list[LaneInCloud]]:
    """Every stream of a store, by lane."""
    with closing(open_reader(address)) as db:
        rows: list[Any] = list(
            db.each(
                "SELECT stream, lane, watermark, born FROM streams WHERE tenant = ? AND store = ? ORDER BY born",
                (tenant, store),
            )
        )
        holes: dict[str, list[Hole]] = {
            stream: [
                Hole(*row)
                for row in db.each("SELECT first, last, last_hash FROM gaps WHERE stream = ? ORDER BY first", (born,))
            ]
            for stream, _, _, born in rows
        }
    events: dict[str, list[Held]] = {stream: [] for stream, *_ in rows}
    for event in read_events(address, tenant, store):
        events[event.stream].append(Held(event.seq, event.raw, event.hash, dead=event.dead))
    return {
        lane: [LaneInCloud(s, watermark, events[s], holes[s]) for s, its, watermark, _ in rows if its == lane]
        for lane in LANES
    }
