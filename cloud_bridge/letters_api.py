"""The HTTP API of dead letters: what of a store could not be understood, and why."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import FastAPI, Query

from cloud_bridge.api import MAX_EVENTS, Id
from cloud_bridge.bridge import Bridge
from cloud_bridge.storage.letters import DeadLetter, dead_letters


@dataclass(frozen=True, slots=True)
class DeadLetterOut:
    """`raw_base64` is empty where the bytes may hold personal data: then the hash alone is kept."""

    lane: str
    stream: str
    seq: int
    received_ms: int
    type: str
    reason: str
    hash: str
    raw_base64: str


@dataclass(frozen=True, slots=True)
class DeadLettersPage:
    """At most `limit` dead letters; ask again with `after=next_after` for more."""

    dead_letters: list[DeadLetterOut]
    next_after: str


def add_letters_api(app: FastAPI, bridge: Bridge) -> None:
    """Put the route on `app`."""

    @app.get("/api/v1/stores/{tenant}/{store}/dead-letters", tags=["stores"])
    async def letters(
        tenant: Id,
        store: Id,
        after: Annotated[str, Query(pattern=r"^\d{1,15}\.\d{1,15}$")] = "0.0",
        limit: Annotated[int, Query(ge=1, le=MAX_EVENTS)] = 100,
    ) -> DeadLettersPage:
        """Stored events of the store that could not be understood, stream by stream, by sequence."""
        key, _, seq = after.partition(".")
        found = await bridge.storage.read(
            partial(dead_letters, tenant=tenant, store=store, after=(int(key), int(seq)), limit=limit)
        )
        return DeadLettersPage([_out(letter) for letter in found], "{}.{}".format(*found[-1].place) if found else after)


def _out(letter: DeadLetter) -> DeadLetterOut:
    return DeadLetterOut(
        lane=letter.lane,
        stream=letter.stream,
        seq=letter.seq,
        received_ms=letter.received_ms,
        type=letter.type,
        reason=letter.reason,
        hash=letter.hash.hex(),
        raw_base64=base64.b64encode(letter.raw).decode(),
    )
