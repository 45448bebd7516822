"""A real browser for the pages, and servers to look at. Tests here are plain functions (no `async`), marked `e2e`.

Playwright's own loop runs in the test's thread, so a server is always a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.conftest import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", ""})  # "" are data: and blob: addresses

OpenPage = Callable[..., "Page"]
StartServer = Callable[..., str]
AxeCheck = Callable[["Page"], None]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium with a fresh profile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """`open_page(url, width=1280, theme="light")`: a page in a new profile, its `<h1>` on the screen.

    At the end of the test: no page may have asked another host, nor have written an error to the console. Errors a
    test expects are named in `expect`, a tuple of words of which one must stand in each error.
    """
    contexts, foreign, errors = [], [], []

    def open_(url: str, *, width: int = 1280, theme: str = "light", expect: tuple[str, ...] = ()) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, locale="en-US", timezone_id="Asia/Shanghai"
        )
        contexts.append(context)
        page = context.new_page()

        def heard_error(text: str) -> None:
            if not any(word in text for word in expect):
                errors.append(text)

        def asked(address: str) -> None:
            if urlsplit(address).hostname not in LOCAL_HOSTS | {None}:
                foreign.append(address)

        page.on("request", lambda request: asked(request.url))
        page.on("websocket", lambda socket: asked(socket.url))
        page.on("pageerror", lambda error: heard_error(str(error)))
        page.on("console", lambda message: heard_error(message.text) if message.type == "error" else None)
        page.goto(url)
        page.wait_for_selector("h1")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert foreign == []
    assert errors == []


@pytest.fixture(scope="session")
def start_server() -> Iterator[StartServer]:
    """`start_server("tests.pages.fake_server", "--stores", "3")`: run a module with `--port`, give its address.

    The module must answer `GET /` on 127.0.0.1; all servers end with the session.
    """
    processes = []

    def start(module: str, *arguments: str) -> str:
        port = free_port()
        process = subprocess.Popen([sys.executable, "-m", module, "--port", str(port), *arguments])
        processes.append(process)
        url = f"http://127.0.0.1:{port}"
        deadline_s = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(url, timeout=10).close()
            except urllib.error.HTTPError:
                return url  # it answers
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline_s:
                    raise RuntimeError(f"{module} did not start") from None
                time.sleep(0.1)
            else:
                return url

    yield start
    for process in processes:
        process.terminate()
        process.wait(10)


@pytest.fixture
def axe() -> AxeCheck:
    """`axe(page)`: no serious and no critical finding of axe-core."""
    from axe_playwright_python.sync_playwright import Axe

    def check(page: Page) -> None:
        found = Axe().run(page).response["violations"]
        bad = [
            f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert bad == []

    return check
