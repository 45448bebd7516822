"""Serving the pages from an application: one place for the settings of the page library."""

from __future__ import annotations

from fastapi import FastAPI, Request
from nicegui import app as page_app
from nicegui import ui

from look.frame import FAVICON, lang_of, page_frame
from look.i18n import t
from look.live import Part
from look.markup import tag
from look.widgets import empty_block


def _not_found(request: Request) -> None:
    """The page for an address that leads nowhere."""
    lang = lang_of(request)
    ui.context.client.status_code = 404
    with page_frame(request, title=t("look.missing", lang), heading=t("look.missing", lang)):
        back = tag("p", tag("a", t("look.missing.home", lang), href="/"))
        Part().show(empty_block(t("look.missing.title", lang), t("look.missing.text", lang), back))


def serve_pages(app: FastAPI, *, storage_secret: str | None = None) -> None:
    """Serve the `@ui.page` functions from `app`, at every address `app` itself does not know.

    Call it last, after the routes of `app`. The page library holds one set of pages a process; a second call hands
    them to the new application, so that tests may build one application after the other.
    """
    page_app.middleware_stack = None
    page_app.user_middleware.clear()
    page_app.config.quasar_config["loadingBar"]["skipHijack"] = True  # no bar that flickers with every poll
    ui.run_with(
        app,
        root=_not_found,
        title=t("look.brand", "en"),
        favicon=FAVICON,
        dark=None,
        tailwind=False,
        storage_secret=storage_secret,
        show_welcome_message=False,
    )
