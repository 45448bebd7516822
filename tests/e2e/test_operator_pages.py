"""The operators' pages in a real browser: readable, reachable by keyboard, live, and alone with their own server."""

from __future__ import annotations

import urllib.request

import pytest

from tests.e2e.conftest import AxeCheck, OpenPage, StartServer

pytestmark = pytest.mark.e2e

FLEET = {"en": "Fleet", "zh": "门店总览"}
STORE = {"en": "Green Lake", "zh": "翠湖店"}


@pytest.fixture(scope="module")
def url(start_server: StartServer) -> str:
    return start_server("tests.pages.fake_server", "--stores", "2000")


def tell(url: str, what: str) -> None:
    """Change what the pages read."""
    urllib.request.urlopen(urllib.request.Request(f"{url}/test/{what}", method="POST"), timeout=10).close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(("path", "names"), [("/", FLEET), ("/store/yn/cuihu", STORE)])
def test_a_page_can_be_read(
    *,
    open_page: OpenPage,
    axe: AxeCheck,
    url: str,
    path: str,
    names: dict[str, str],
    lang: str,
    theme: str,
    width: int,
) -> None:
    page = open_page(f"{url}{path}?lang={lang}", width=width, theme=theme)
    assert page.locator("h1").all_inner_texts() == [names[lang]]
    assert page.evaluate("document.documentElement.lang") == {"zh": "zh-CN", "en": "en-US"}[lang]
    assert names[lang] in page.title()
    assert page.evaluate("document.documentElement.scrollWidth") <= width  # nothing to scroll sideways
    assert page.locator("main").count() == page.locator("header").count() == 1
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(250, 248, 244)", "dark": "rgb(20, 23, 29)"}[theme]
    axe(page)


@pytest.mark.parametrize("path", ["/store/nobody/nowhere", "/nowhere"])
def test_a_wrong_address_has_a_page_too(open_page: OpenPage, axe: AxeCheck, url: str, path: str) -> None:
    page = open_page(f"{url}{path}?lang=en", expect=("404",))
    page.get_by_role("link", name="Zhanggui").wait_for()
    axe(page)


def test_an_empty_fleet_and_a_broken_bridge(open_page: OpenPage, axe: AxeCheck, start_server: StartServer) -> None:
    url = start_server("tests.pages.fake_server", "--stores", "0")
    page = open_page(f"{url}/?lang=en")
    page.get_by_text("zhanggui edge run store.toml").wait_for()
    axe(page)
    tell(url, "break")
    page.get_by_role("alert").wait_for()
    axe(page)
    tell(url, "mend")
    page.get_by_role("alert").wait_for(state="detached")


def test_a_sale_appears_without_reloading(open_page: OpenPage, url: str) -> None:
    page = open_page(f"{url}/store/yn/cuihu?lang=en")
    page.evaluate("window.stayed = true")
    page.locator("#zg-chart-summary").click()
    cola = page.get_by_role("img", name="Cola 330 ml").first
    before = cola.get_attribute("aria-label")
    tell(url, "sell")
    page.get_by_text("One cola just sold").first.wait_for()
    page.wait_for_function(
        "before => document.querySelector('.zg-slot [role=img]').getAttribute('aria-label') !== before", arg=before
    )
    assert page.evaluate("window.stayed")
    assert page.locator("#zg-chart-table").evaluate("details => details.open")


def test_the_keyboard_walks_the_page(open_page: OpenPage, url: str) -> None:
    page = open_page(f"{url}/?lang=en")

    def focused() -> str:
        return page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id")

    page.keyboard.press("Tab")
    assert focused() == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.tagName") == "MAIN"
    page.keyboard.press("Tab")
    assert focused().startswith("All stores")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "2px"
    page.keyboard.press("Tab")
    assert focused().startswith("Offline")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?*state=offline*")
    page.wait_for_selector("#op-count-offline[aria-current]")
    assert page.evaluate("document.activeElement.id") == "op-count-offline"  # the keyboard keeps its place
    names = page.locator("tbody tr td:first-of-type").all_inner_texts()[:-1]
    assert set(names) == {"Offline"}


def test_search_filters_while_typing_and_keeps_the_address(open_page: OpenPage, url: str) -> None:
    page = open_page(f"{url}/?lang=en")
    page.get_by_role("searchbox").fill("cuihu")
    page.get_by_text("1–1 of 1 stores").wait_for()
    assert "q=cuihu" in page.url
    assert "lang=en" in page.url
    page.reload()
    page.get_by_text("1–1 of 1 stores").wait_for()
    assert page.get_by_role("searchbox").input_value() == "cuihu"
    page.get_by_role("link", name="Clear filters").click()
    page.get_by_text("1–50 of 2,000 stores").wait_for()
    assert page.get_by_role("searchbox").input_value() == ""
    assert page.url.endswith("/?lang=en")
    page.get_by_role("link", name="Next page").click()
    page.get_by_text("51–100 of 2,000 stores").wait_for()
    page.go_back()
    page.get_by_text("1–50 of 2,000 stores").wait_for()


def test_language_and_theme_are_remembered(open_page: OpenPage, url: str) -> None:
    page = open_page(f"{url}/?q=cuihu&lang=en")
    page.locator("#zg-lang").click()
    page.get_by_role("heading", name="门店总览").wait_for()
    assert "q=cuihu" in page.url
    page.locator("#op-row-yn\\/cuihu").click()
    page.get_by_role("heading", name="翠湖店", exact=True).wait_for()  # without ?lang= in the address
    switch = page.locator("#zg-theme")
    switch.click()
    switch.click()
    assert switch.inner_text().endswith("深色")
    page.reload()
    page.wait_for_selector("h1")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 29)"


def test_reduced_motion_is_respected(open_page: OpenPage, url: str) -> None:
    page = open_page(f"{url}/store/yn/cuihu?lang=en")
    page.emulate_media(reduced_motion="reduce")
    assert page.locator(".zg-fill").first.evaluate("fill => getComputedStyle(fill).transitionDuration") == "0s"
