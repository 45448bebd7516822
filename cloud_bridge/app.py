"""The bridge as one FastAPI application: its lifespan runs storage, ingest and read models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random, SystemRandom

from fastapi import FastAPI

from cloud_bridge.api import add_api
from cloud_bridge.bridge import Bridge
from cloud_bridge.commands.api import add_command_api
from cloud_bridge.leases import add_lease_api
from cloud_bridge.letters_api import add_letters_api
from cloud_bridge.settings import Settings
from contracts.clock import Clock

__all__ = ["Settings", "create_app"]


def create_app(settings: Settings, *, clock: Clock, rng: Random | None = None) -> FastAPI:
    """The application; `app.state.views` is what pages show, `app.state.bridge` everything else.

    Its lifespan raises StorageError, OSError or MembersFileError when the bridge cannot start.
    """
    bridge = Bridge(settings, clock=clock, rng=rng or Random(SystemRandom().getrandbits(64)))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with bridge.running():
            yield

    app = FastAPI(title=settings.title, version="1", lifespan=lifespan, docs_url="/api/docs", redoc_url=None)
    app.state.bridge = bridge
    app.state.views = bridge.views
    add_api(app, bridge)
    add_lease_api(app, bridge, clock=clock)
    add_letters_api(app, bridge)
    add_command_api(app, bridge, clock=clock)
    if settings.pages:
        from cloud_bridge import pages  # noqa: PLC0415 - the pages' toolkit is slow to load, and the API needs none of it

        pages.mount(app, bridge.views, clock=clock)
    return app
