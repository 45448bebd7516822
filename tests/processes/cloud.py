"""The cloud's side of a comparison: what its database holds of one store, read as an auditor would."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from contextlib import closing
from typing import Any

from cloud_bridge.storage import open_reader, read_events
from contracts.envelope import decode_data, decode_envelope
from contracts.event_types import LANES, Lane, PaymentCaptured
from tests.processes.truth import Held, Hole, LaneInCloud


def revenue_fen(address: str, tenant: str, store: str) -> int:
    """What the stored payments of a store come to."""
    events = (decode_data(decode_envelope(event.raw)) for event in read_events(address, tenant, store, "ledger"))
    return sum(data.amount_fen for data in events if isinstance(data, PaymentCaptured))


def shown_revenue_fen(port: int) -> dict[str, int]:
    """What the pages' bridge says of each store today; {} while it does not answer."""
    with contextlib.suppress(OSError, ValueError):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/fleet", timeout=5) as answer:
            stores = json.load(answer)["stores"]
        return {store["store"]: store["revenue_today_fen"] for store in stores}
    return {}


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
        query = "SELECT seq, raw, hash, counted, dead FROM events WHERE stream = ? ORDER BY seq"
        events = {
            stream: [
                Held(seq, raw, digest, bool(counted), dead)
                for seq, raw, digest, counted, dead in db.each(query, (born,))
            ]
            for stream, _, _, born in rows
        }
    return {
        lane: [LaneInCloud(s, watermark, events[s], holes[s]) for s, its, watermark, _ in rows if its == lane]
        for lane in LANES
    }
