"""One frame for all pages: language, title, one h1, skip link, landmarks, theme; the same on every screen."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl, urlencode

from fastapi import Request
from nicegui import ui
from nicegui.events import GenericEventArguments

from look import tokens
from look.i18n import HTML_LANG, Lang, choose_lang, t
from look.icons import icon
from look.live import Part
from look.markup import Markup, join, tag

LANG_COOKIE: Final = "zg_lang"
THEME_COOKIE: Final = "zg_theme"
MAX_QUERY_CHARS: Final = 2000
_HERE = Path(__file__).parent
_HEAD: Final = (
    f"<style>{tokens.css()}{(_HERE / 'look.css').read_text('utf-8')}</style>"
    f"<script>{(_HERE / 'look.js').read_text('utf-8')}</script>"
)
_FAVICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="6" fill="#b5341c"/>'
    '<path d="M9 11h14M11 11v13M21 11v13M9 24h14M16 7v4M11 17h10" fill="none" stroke="#fff" stroke-width="2.4"/></svg>'
)
FAVICON: Final = _FAVICON  # pass it to `ui.run_with(favicon=)`: an inline drawing, asked of nobody

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NavEntry:
    """One entry of the rail; only for pages that exist."""

    href: str
    label: str
    icon: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """What a page gets from its frame."""

    lang: Lang
    heading: Part

    def rename(self, *, title: str, heading: str) -> bool:
        """Give the page another title and heading, from anywhere; True if that changed something on the page."""
        with self.heading.element:
            if ui.context.client.title != title:
                ui.page_title(title)
        return self.heading.show(join(heading))

    def on_soft(self, handler: Callable[[Query], None]) -> None:
        """Call `handler` with the new query when a soft link, a soft form or the back button changes the address.

        Soft are `<a data-zg-soft href="?…">` and `<form data-zg-soft>`: the page stays and only its parts change.
        """

        def hear(event: GenericEventArguments) -> None:
            said = event.args[0] if isinstance(event.args, list) and event.args else event.args
            if isinstance(said, str):
                handler(dict(parse_qsl(said.removeprefix("?")[:MAX_QUERY_CHARS])))

        ui.on("zg_soft", hear)


def lang_of(request: Request) -> Lang:
    """The language of this request: `?lang=`, the cookie, the browser's wish, Chinese."""
    return choose_lang(
        asked=request.query_params.get("lang"),
        cookie=request.cookies.get(LANG_COOKIE),
        accept=request.headers.get("accept-language"),
    )


def _lang_switch(request: Request, lang: Lang) -> Markup:
    other: Lang = "en" if lang == "zh" else "zh"
    query = urlencode({**request.query_params, "lang": other})
    name = "English" if other == "en" else "中文"
    return tag(
        "a",
        name,
        href=f"?{query}",
        lang=HTML_LANG[other],
        hreflang=HTML_LANG[other],
        data_zg_lang=other,
        class_="zg-button",
        id="zg-lang",
    )


def _theme_switch(lang: Lang) -> Markup:
    faces = (
        tag("span", icon(name), t(f"look.theme.{name}", lang), class_=f"zg-theme-{name}")
        for name in ("auto", "light", "dark")
    )
    speech = tag("span", t("look.theme", lang), class_="zg-sr")
    return tag("button", speech, faces, type="button", data_zg_theme=True, class_="zg-button", id="zg-theme")


def _nav_link(entry: NavEntry) -> Markup:
    return tag("a", icon(entry.icon), entry.label, href=entry.href, aria_current="page" if entry.current else None)


@contextmanager
def page_frame(
    request: Request,
    *,
    title: str,
    heading: str,
    nav: Sequence[NavEntry] = (),
    scope: str = "",
    home: str = "/",
    layout: Literal["rail", "plain"] = "rail",
    controls: bool = True,
) -> Iterator[Frame]:
    """The frame around a page; what is made inside the `with` stands in `<main>` under the one h1.

    Use it once in a `@ui.page` function, before anything else is drawn. `scope` stands beside the brand (a store's
    name). `layout="rail"`: dense, with the rail of `nav`. `layout="plain"`: large type, no rail, for a screen in the
    store. `controls=False` leaves out the switches for language and theme.
    """
    lang = lang_of(request)
    client = ui.context.client
    client.page = copy.copy(client.page)  # the page object is shared by all visitors, the language is not
    client.page.language = HTML_LANG[lang]
    client.page.dark = {"dark": True, "light": False}.get(request.cookies.get(THEME_COOKIE, ""))
    ui.page_title(title)
    ui.add_head_html(_HEAD)
    client.layout.classes(f"zg-layout zg-as-{layout}" + (" zg-has-rail" if nav and layout == "rail" else ""))
    client.content.classes("zg-content")
    main = client.content.parent_slot.parent if client.content.parent_slot else client.content
    main.props("tabindex=-1")
    with client.layout:
        Part("div", classes="zg-skip-holder").show(
            tag("a", t("look.skip", lang), href=f"#{main.html_id}", class_="zg-skip")
        )
        seal = tag("span", "掌", class_="zg-seal", aria_hidden="true")
        brand = tag("a", seal, tag("span", t("look.brand", lang)), href=home, class_="zg-brand")
        switches = tag("div", _lang_switch(request, lang), _theme_switch(lang), class_="zg-controls")
        Part("header", classes="zg-top").show(
            join(brand, tag("span", scope, class_="zg-scope") if scope else None, switches if controls else None)
        )
        if nav and layout == "rail":
            rail = Part("nav", classes="zg-rail", props=f'aria-label="{t("look.rail", lang)}"')
            rail.show(tag("ul", (tag("li", _nav_link(entry)) for entry in nav)))
    client.page_container.move(client.layout)
    with client.content:
        top = Part("h1", classes="zg-h1")
        top.show(join(heading))
        yield Frame(lang=lang, heading=top)
