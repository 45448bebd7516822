"""The frame as the server sends it: language, title, landmarks, skip link, and only the pages that exist."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from nicegui import ui
from nicegui.client import Client
from nicegui.testing.general import nicegui_reset_globals

from look import Frame, Markup, NavEntry, Part, PartList, lang_of, page_frame, serve_pages, tag

frames: list[Frame] = []
parts: list[Part] = []


def page(request: Request) -> None:
    nav = [NavEntry("/", "Home", "fleet", current=True), NavEntry("/b", "B & C", "store")]
    with page_frame(request, title="Title", heading="A <b>", nav=nav, scope="Shop") as frame:
        frames.append(frame)
        parts.append(Part("p"))
        parts[-1].show(tag("i", lang_of(request)))


def plain(request: Request) -> None:
    with page_frame(request, title="Kiosk", heading="Kiosk", layout="plain", controls=False):
        pass


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    with nicegui_reset_globals():
        app = FastAPI()
        app.get("/api/x")(lambda: {"x": 1})
        ui.page("/")(page)
        ui.page("/plain")(plain)
        serve_pages(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):
            yield client
        Client.page_routes.clear()  # or the reset would forget the rooms these functions come from


def elements(response: httpx.Response) -> str:
    """What the page library will draw, as text with its entities resolved."""
    raw = re.search(r"parseElements\(String\.raw`(.*?)`\)", response.text, re.DOTALL)[1]
    return json.dumps(json.loads(html.unescape(raw)), ensure_ascii=False).replace('\\"', '"')


@pytest.mark.parametrize(
    ("query", "headers", "lang"),
    [
        ("?lang=en", {}, "en-US"),
        ("?lang=zh", {"cookie": "zg_lang=en"}, "zh-CN"),  # the address wins
        ("", {"cookie": "zg_lang=en"}, "en-US"),
        ("", {"accept-language": "en-GB,zh;q=0.1"}, "en-US"),
        ("", {}, "zh-CN"),
    ],
)
async def test_the_language_stands_on_the_document(
    client: httpx.AsyncClient, query: str, headers: dict[str, str], lang: str
) -> None:
    response = await client.get(f"/{query}", headers=headers)
    assert f'<html lang="{lang}">' in response.text
    assert "<title>Title</title>" in response.text


async def test_two_visitors_have_two_languages(client: httpx.AsyncClient) -> None:
    english, chinese = await client.get("/?lang=en"), await client.get("/?lang=zh")
    again = await client.get("/?lang=en")
    assert '<html lang="en-US">' in english.text
    assert '<html lang="zh-CN">' in chinese.text
    assert '<html lang="en-US">' in again.text


async def test_landmarks_heading_and_skip_link(client: httpx.AsyncClient) -> None:
    drawn = elements(await client.get("/?lang=en"))
    for landmark in ('"tag": "header"', '"tag": "nav"', '"tag": "h1"'):
        assert drawn.count(landmark) == 1
    assert "A &lt;b&gt;" in drawn  # a heading from a store stays text
    assert 'aria-label": "Main"' in drawn
    assert re.search(r'href="#c\d+" class="zg-skip">Skip to content', drawn)
    assert drawn.count("aria-current") == 1
    assert "B &amp; C" in drawn


async def test_the_switch_keeps_the_rest_of_the_address(client: httpx.AsyncClient) -> None:
    drawn = elements(await client.get("/?q=a%26b&lang=en"))
    assert 'href="?q=a%26b&amp;lang=zh"' in drawn


@pytest.mark.parametrize(("cookie", "dark"), [("dark", "True"), ("light", "False"), ("auto", "None"), ("x", "None")])
async def test_the_theme_is_remembered(client: httpx.AsyncClient, cookie: str, dark: str) -> None:
    response = await client.get("/", headers={"cookie": f"zg_theme={cookie}"})
    assert f"const dark = {dark};" in response.text


async def test_plain_pages_have_no_rail_and_may_have_no_switches(client: httpx.AsyncClient) -> None:
    drawn = elements(await client.get("/plain"))
    assert '"tag": "nav"' not in drawn
    assert "zg-as-plain" in drawn
    assert "data-zg-theme" not in drawn


async def test_an_unknown_address_has_a_page_of_its_own(client: httpx.AsyncClient) -> None:
    response = await client.get("/nowhere?lang=en")
    assert response.status_code == 404
    assert "This address leads to no page" in elements(response)


async def test_the_application_keeps_its_own_addresses(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/x")).json() == {"x": 1}


async def test_a_second_application_takes_the_pages_over(client: httpx.AsyncClient) -> None:
    other = FastAPI()
    serve_pages(other)  # must not fail although the first one has answered already
    transport = httpx.ASGITransport(other)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as second:
        assert (await second.get("/")).status_code == 200


async def test_nobody_else_is_asked(client: httpx.AsyncClient) -> None:
    text = (await client.get("/")).text
    links = set(re.findall(r"//([a-z0-9.-]+\.[a-z]{2,})", text))
    assert links <= {"www.w3.org"}  # the name of SVG, not an address that is asked


async def test_a_page_can_be_renamed(client: httpx.AsyncClient) -> None:
    await client.get("/")
    frame = frames[-1]
    assert frame.rename(title="New", heading="<New>")
    assert not frame.rename(title="New", heading="<New>")
    assert frame.heading.element.content == "&lt;New&gt;"
    assert frame.heading.element.client.title == "New"


async def test_a_part_is_sent_only_when_it_changes(client: httpx.AsyncClient) -> None:
    await client.get("/")
    part = parts[-1]
    assert not part.show(tag("i", "zh"))
    assert part.show(tag("i", "other"))
    assert part.element.content == "<i>other</i>"


async def test_a_list_of_parts_follows_its_drawings(client: httpx.AsyncClient) -> None:
    await client.get("/")
    with parts[-1].element:
        rows = PartList("tbody", of="tr")
    assert rows.show([Markup("a"), Markup("b")]) == 2
    assert rows.show([Markup("a"), Markup("c")]) == 1  # one row differs, one row is sent
    assert rows.show([Markup("a")]) == 1
    assert [child.content for child in rows.element] == ["a"]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("?q=a%20b&page=2", [{"q": "a b", "page": "2"}]),
        (["?q=x"], [{"q": "x"}]),  # the library wraps single arguments now and then
        ({"q": "x"}, []),  # not a text: not heard
        ([], []),
        ("?q=" + "x" * 10_000, [{"q": "x" * 1998}]),  # capped
    ],
)
async def test_soft_links_are_heard(client: httpx.AsyncClient, said: object, heard: list[dict[str, str]]) -> None:
    await client.get("/")
    got: list[dict[str, str]] = []
    with parts[-1].element:
        frames[-1].on_soft(lambda query: got.append(dict(query)))
    layout = parts[-1].element.client.layout
    listener = next(one for one in layout._event_listeners.values() if one.type == "zg_soft")
    layout._handle_event({"listener_id": listener.id, "args": said})
    assert got == heard
