"""The first page: which screen is this one to be? A kiosk of a cabinet, or the staff tablet."""

from __future__ import annotations

from fastapi import Request

from edge.desk.client import DeskClient
from edge.desk.messages import DeskState
from edge.pages import kiosk_draw
from edge.pages.room import Act, live_page, store_name
from look import Markup, Part, page_frame
from look.i18n import Lang, t
from look.icons import icon
from look.markup import join, tag


def home_page(request: Request, client: DeskClient, title: str) -> None:
    """Draw the links and keep them up to date."""
    title = store_name(request, client, title)
    with page_frame(request, title=title, heading=t("home.title", "zh"), scope=title, layout="plain") as frame:
        lang, links = frame.lang, Part("div", classes="sp-body")
        frame.heading.show(join(t("home.title", lang)))

        def draw() -> None:
            links.show(links_of(client.state, lang))

        async def ignore(_: Act) -> None:
            """Plain links need no help."""

        live_page(client, draw, ignore)


def links_of(state: DeskState | None, lang: Lang) -> Markup:
    """One row a screen; the staff tablet last."""
    cabinets = state.cabinets if state else ()
    rows = [
        _link(
            f"/kiosk/{c.cabinet}", "store", c.name_zh if lang == "zh" else c.name_en, t("home.kiosk", lang), c.cabinet
        )
        for c in cabinets
        if c.mode != "counter_only"
    ]
    rows.append(_link("/staff", "person", t("home.staff", lang), t("home.staff.what", lang), "staff"))
    missing = kiosk_draw.starting(lang) if state is None else None
    return tag("div", missing, tag("nav", rows, aria_label=t("home.title", lang), class_="sp-rows"), data_screen="home")


def _link(href: str, picture: str, name: str, what: str, key: str) -> Markup:
    text = tag("span", tag("strong", name), tag("span", what, class_="zg-soft"))
    return tag("a", icon(picture), text, icon("right"), href=href, id=f"go-{key}", class_="sp-row")
