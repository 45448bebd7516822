"""Putting the operators' pages on an application."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import FastAPI, Request
from nicegui import ui

from cloud_bridge.pages import words  # noqa: F401 - adds the pages' words to the catalogue
from cloud_bridge.pages.fleet import fleet_page
from cloud_bridge.pages.reading import Source
from cloud_bridge.pages.store import store_page
from cloud_bridge.views import Views
from contracts.clock import Clock, clock_from_env
from look import serve_pages

MAX_ID_CHARS = 64


def mount(
    app: FastAPI, views: Views | Callable[[], Views], *, storage_secret: str | None = None, clock: Clock | None = None
) -> None:
    """Serve `/` (the fleet) and `/store/{tenant}/{store}` from `app`. Call it last, after the routes of `app`.

    `views`: the read models, or a function that gives the current ones. `clock`: the clock of the stores; without it
    the clock of this process. A later call in the same process takes the pages over (see `look.serve`).
    """
    get = views if callable(views) else lambda: views
    source = Source(views=get, clock=clock or clock_from_env(), real_ms=lambda: time.monotonic() * 1000)

    def fleet(request: Request) -> None:
        fleet_page(request, source)

    def store(request: Request, tenant: str, store: str) -> None:
        store_page(request, source, tenant=tenant[:MAX_ID_CHARS], store=store[:MAX_ID_CHARS])

    ui.page("/")(fleet)
    ui.page("/store/{tenant}/{store}")(store)
    serve_pages(app, storage_secret=storage_secret)
