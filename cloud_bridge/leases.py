"""Which instance speaks for a store, for operators: looked at and moved over the API.

The first instance that says hello holds the lease. After a box was replaced, or a disk cloned, an operator moves it;
the instance that loses it stands by from its next hello on, and keeps what it has not sent.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field

from cloud_bridge.bridge import Bridge
from cloud_bridge.ingest.service import move_lease
from cloud_bridge.storage import Db
from contracts.clock import Clock, unix_ms
from contracts.ids import ID_PATTERN

PATH = "/api/v1/stores/{tenant}/{store}/lease"
Id = Annotated[str, Path(pattern=ID_PATTERN)]
_REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"description": "no instance of this store has ever said hello"},
    409: {"description": "nobody has heard of that instance; say `anyway` to move the lease to it nevertheless"},
}
log = logging.getLogger("zhanggui.cloud_bridge")


@dataclass(frozen=True, slots=True)
class Lease:
    """`instance` holds the lease since `since_ms`; `heard` is the one that last said it was there ("" for none)."""

    tenant: str
    store: str
    instance: str
    since_ms: int
    heard: str


class LeaseMove(BaseModel):
    """Who is to speak for the store from now on, and who says so."""

    model_config = ConfigDict(extra="forbid")

    instance: str = Field(pattern=ID_PATTERN)
    moved_by: str = Field(pattern=ID_PATTERN)
    anyway: bool = False


def read_lease(db: Db, tenant: str, store: str) -> Lease | None:
    """The lease of one store; None for a store of which no instance said hello."""
    row = db.one("SELECT instance, since_ms FROM leases WHERE tenant = ? AND store = ?", (tenant, store))
    if row is None:
        return None
    heard = db.one("SELECT instance FROM presence WHERE tenant = ? AND store = ?", (tenant, store))
    return Lease(tenant, store, row[0], row[1], heard[0] or "" if heard else "")


def add_lease_api(app: FastAPI, bridge: Bridge, *, clock: Clock) -> None:
    """Put the routes on `app`; `clock` says since when a lease is held."""

    async def found(tenant: str, store: str) -> Lease:
        lease = await bridge.storage.read(lambda db: read_lease(db, tenant, store))
        if lease is None:
            raise HTTPException(404, f"no instance of store {store} of {tenant} has said hello")
        return lease

    @app.get(PATH, tags=["stores"], responses=_REFUSALS)
    async def lease(tenant: Id, store: Id) -> Lease:
        """Which instance speaks for the store."""
        return await found(tenant, store)

    @app.post(PATH, tags=["stores"], responses=_REFUSALS)
    async def move(tenant: Id, store: Id, said: LeaseMove) -> Lease:
        """Let another instance speak for the store; the one before stands by from its next hello on."""
        before = await found(tenant, store)
        if said.instance == before.instance:
            return before
        if said.instance != before.heard and not said.anyway:
            raise HTTPException(409, f"nobody has heard of instance {said.instance} of store {store}")
        now_ms = unix_ms(clock.wall())
        await move_lease(bridge.storage, tenant=tenant, store=store, instance=said.instance, now_ms=now_ms)
        bridge.counters.add("leases_moved")
        names = (said.moved_by, before.instance, said.instance)
        log.warning("%s/%s: %s moves the lease from %s to %s", tenant, store, *names)
        return await found(tenant, store)
