"""The HTTP API: what operators' pages show, for programs. Read-only; every error has a code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from cloud_bridge.bridge import Bridge, Ping
from cloud_bridge.storage import Db, Row, StorageError
from cloud_bridge.views import FleetRow, StoreView
from contracts.envelope import decode_envelope
from contracts.ids import ID_PATTERN

MAX_EVENTS = 500
MAX_FLEET_ROWS = 500
MAX_AFTER_CHARS = 12_000  # every stream that a store may have
Id = Annotated[str, Path(pattern=ID_PATTERN)]


@dataclass(frozen=True, slots=True)
class ApiError:
    """`error` is for programs, `detail` for people."""

    error: str
    detail: str


@dataclass(frozen=True, slots=True)
class Health:
    ok: bool
    services: dict[str, Ping]


@dataclass(frozen=True, slots=True)
class FleetPage:
    """`total` stores in all; `stores` from `offset` on, by tenant and store."""

    total: int
    offset: int
    stores: list[FleetRow]


@dataclass(frozen=True, slots=True)
class StoredEventOut:
    """`event` is what the store wrote, null where nothing readable is kept; `counted` is false for a fork's copy."""

    lane: str
    stream: str
    seq: int
    type: str
    received_ms: int
    hash: str
    dead: str | None
    counted: bool
    event: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class EventsPage:
    """At most `limit` events; ask again with `after=next_after` for more. It names how far each stream was read."""

    events: list[StoredEventOut]
    next_after: str


_Responses = dict[int | str, dict[str, Any]]
_UNKNOWN_STORE: _Responses = {404: {"model": ApiError, "description": "no such store"}}
_UNAVAILABLE: _Responses = {503: {"model": ApiError, "description": "the database does not answer"}}


def _error(status: int, code: str, detail: str) -> JSONResponse:
    return JSONResponse({"error": code, "detail": detail}, status_code=status)


def add_api(app: FastAPI, bridge: Bridge) -> None:
    """Put the routes and the error handlers on `app`."""

    @app.exception_handler(HTTPException)
    async def refused(_request: Request, error: HTTPException) -> JSONResponse:
        codes = {404: "unknown_store", 409: "conflict"}
        return _error(error.status_code, codes.get(error.status_code, "refused"), str(error.detail))

    @app.exception_handler(StorageError)
    async def unavailable(_request: Request, error: Exception) -> JSONResponse:
        bridge.counters.add("api_storage_failed")
        return _error(503, "storage_unavailable", str(error))

    @app.get("/healthz", tags=["operations"], responses={503: {"model": Health, "description": "something is down"}})
    async def healthz(response: Response) -> Health:
        """A ping of every service; 503 if one of them does not do its work."""
        services = await bridge.pings()
        ok = all(ping.ok for ping in services.values())
        response.status_code = 200 if ok else 503
        return Health(ok, services)

    @app.get("/api/v1/fleet", tags=["fleet"])
    async def fleet(
        offset: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=MAX_FLEET_ROWS)] = 100
    ) -> FleetPage:
        """One line a store."""
        rows = bridge.views.fleet()
        return FleetPage(len(rows), offset, list(rows[offset : offset + limit]))

    @app.get("/api/v1/stores/{tenant}/{store}", tags=["stores"], responses=_UNKNOWN_STORE)
    async def store(tenant: Id, store: Id) -> StoreView:
        """One store: cabinets, stock, doors, devices, latest events."""
        view = bridge.views.store(tenant, store)
        if view is None:
            raise HTTPException(404, f"nothing was heard of store {store} of {tenant}")
        return view

    @app.get("/api/v1/stores/{tenant}/{store}/events", tags=["stores"], responses={**_UNKNOWN_STORE, **_UNAVAILABLE})
    async def events(
        tenant: Id,
        store: Id,
        after: Annotated[
            str, Query(pattern=r"^(\d{1,15}\.\d{1,15}(-\d{1,15}\.\d{1,15})*)?$", max_length=MAX_AFTER_CHARS)
        ] = "",
        limit: Annotated[int, Query(ge=1, le=MAX_EVENTS)] = 100,
    ) -> EventsPage:
        """Stored events stream by stream, by sequence; after those that `next_after` of an earlier page named."""
        if bridge.views.store(tenant, store) is None:
            raise HTTPException(404, f"nothing was heard of store {store} of {tenant}")

        position = {int(key): int(seq) for key, seq in (pair.split(".") for pair in after.split("-") if pair)}
        return await bridge.storage.read(partial(_events, tenant=tenant, store=store, position=position, limit=limit))

    @app.get("/api/v1/counters", tags=["operations"])
    async def counters() -> dict[str, int]:
        """What the bridge did, dropped and refused, by name."""
        return bridge.views.counters()


def _events(db: Db, *, tenant: str, store: str, position: dict[int, int], limit: int) -> EventsPage:
    """The next events of a store after `position`: the sequence read of each stream, by its number."""
    found: list[StoredEventOut] = []
    streams = db.rows(
        "SELECT born, stream, lane, watermark FROM streams WHERE tenant = ? AND store = ? ORDER BY born",
        (tenant, store),
    )
    after = {key: min(position.get(key, 0), watermark) for key, _stream, _lane, watermark in streams}
    for key, stream, lane, watermark in streams:
        room = limit - len(found)
        if room == 0 or after[key] == watermark:
            continue
        rows = db.rows(
            """
            SELECT seq, type, received_ms, hash, dead, counted, raw FROM events
            WHERE stream = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?
            """,
            (key, after[key], watermark, room),
        )
        found += [_out(stream, lane, row) for row in rows]
        after[key] = rows[-1][0] if len(rows) == room else watermark
    return EventsPage(found, "-".join(f"{key}.{seq}" for key, seq in after.items() if seq))


def _out(stream: str, lane: str, row: Row) -> StoredEventOut:
    seq, kind, received_ms, chain_hash, dead, counted, raw = row
    event = None
    if dead is None:
        event, kind = msgspec.json.decode(raw), decode_envelope(raw).name
    return StoredEventOut(lane, stream, seq, kind or "", received_ms, chain_hash.hex(), dead, bool(counted), event)
