"""Whole visits in a real browser: a snack, a tobacco sale with its release, by finger and by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from edge.pages.words import EN, ZH
from look.i18n import LANGS, Lang
from tests.e2e.conftest import AxeCheck, OpenPage, StartServer
from tests.edge_pages.fake_store import (
    CODE,
    COLA,
    MEMBER,
    NUTS,
    PIN,
    SMOKE_A,
    SMOKE_B,
    TEA,
    TOBACCO_WORDS,
    FakeStore,
    line,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

WIDTHS = (390, 1024)
TARGET_PX = 64
visits = pytest.mark.parametrize(("lang", "width"), [(lang, width) for lang in LANGS for width in WIDTHS])


@dataclass
class Shop:
    store: FakeStore
    url: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, start_server: StartServer) -> Iterator[Shop]:
    """A scripted agent behind a real desk server, and the pages as the process that the product runs."""
    store = FakeStore(tmp_path_factory.mktemp("desk") / "desk.sock")
    store.start()
    yield Shop(store, start_server("edge.pages", "--desk", str(store.path), "--title", "南山店"))
    store.stop()


@pytest.fixture
def shop(running: Shop) -> Shop:
    running.store.reset()
    return running


def words(lang: Lang, key: str, **values: object) -> str:
    return (ZH if lang == "zh" else EN)[key].format(**values)


def pull(lang: Lang, door: str) -> str:
    """The screen of an unlocked door: the only one, or the first."""
    return words(lang, "kiosk.pull.title", door=words(lang, door, n=1))


def at(page: Page, title: str) -> None:
    """Wait until the one heading says `title`."""
    page.get_by_role("heading", level=1, name=title, exact=True).wait_for()


def targets_are_large(page: Page) -> None:
    """Everything a customer can press is at least 64 px high and wide, and wholly on the screen's width."""
    small = page.evaluate(
        """(least) => [...document.querySelectorAll('button, a, input')]
            .filter((e) => !e.classList.contains('zg-skip') && e.getClientRects().length)
            .map((e) => [e.id || e.className, e.getBoundingClientRect()])
            .filter(([, r]) => r.width < least || r.height < least || r.left < 0 || r.right > innerWidth)
            .map(([id, r]) => `${id} ${Math.round(r.width)}x${Math.round(r.height)}`)""",
        TARGET_PX,
    )
    assert small == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def announced(page: Page, title: str) -> None:
    """What the screen is about stands in a live region, and the keyboard stands at its heading."""
    page.wait_for_function(
        "(title) => [...document.querySelectorAll('[role=status]')].some((e) => e.textContent.includes(title))",
        arg=title,
    )


def sign_in(page: Page) -> None:
    page.click("#name-li")
    page.wait_for_selector("#key-0")
    for digit in PIN:
        page.click(f"#key-{digit}")
    page.click("#pin-go")
    page.wait_for_selector("[data-act=sign_out]")


# ------------------------------------------------------------------ a snack


@visits
def test_a_snack_from_the_code_to_the_receipt(
    shop: Shop, open_page: OpenPage, axe: AxeCheck, lang: Lang, width: int
) -> None:
    page = open_page(f"{shop.url}/kiosk/snack?lang={lang}", width=width)
    at(page, words(lang, "kiosk.code.title"))
    assert page.locator(".sp-way").count() == 2  # scan or type: equal, on one screen
    assert words(lang, "kiosk.code.privacy") in page.inner_text("main")
    targets_are_large(page)
    axe(page)

    page.fill("#code", "ZG1.M73.ffffffffffffffff")
    page.click("#code-go")
    page.get_by_role("alert").wait_for()
    assert words(lang, "reason.bad_code") in page.get_by_role("alert").inner_text()
    assert page.input_value("#code") == ""

    page.fill("#code", CODE)
    page.click("#code-go")
    at(page, words(lang, "kiosk.welcome.title", name=MEMBER.name))
    assert "1,280" in page.inner_text("main")
    assert (TEA.name_zh if lang == "zh" else TEA.name_en) in page.inner_text("main")
    announced(page, MEMBER.name)
    targets_are_large(page)
    axe(page)

    shop.store.session("snack", state="wait", seconds_left=9.0)
    at(page, pull(lang, "door.only"))
    assert page.get_by_role("timer").inner_text().startswith("9")
    axe(page)
    shop.store.session("snack", state="open", seconds_left=58.0)
    at(page, words(lang, "kiosk.open.title"))
    targets_are_large(page)
    assert words(lang, "kiosk.open.mind") in page.inner_text("main")
    axe(page)
    shop.store.session("snack", state="weigh", seconds_left=None)
    at(page, words(lang, "kiosk.weigh.title"))
    shop.store.end("snack", "settled", line(COLA, 2), line(NUTS, 1))
    at(page, words(lang, "kiosk.receipt.title"))
    assert "¥19.90" in page.inner_text(".sp-total")
    targets_are_large(page)
    axe(page)

    shop.store.put("snack", session=None)
    at(page, words(lang, "kiosk.code.title"))
    kept = page.content()
    assert MEMBER.name not in kept
    assert CODE not in kept


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize(
    ("outcome", "rules", "title", "says"),
    [
        ("nothing_taken", (), "kiosk.nothing.title", "kiosk.nothing.body"),
        ("needs_review", (), "kiosk.review.title", "kiosk.review.body"),
        ("declined", (), "kiosk.declined.title", "kiosk.declined.body"),
        ("settled_unpaid", (), "kiosk.unpaid.title", "kiosk.unpaid.body"),
        ("cancelled", ("T01",), "kiosk.cancelled.title", "reason.staff_absent"),
    ],
)
def test_every_end_is_told_in_plain_words(  # noqa: PLR0917  # pytest injects by name
    shop: Shop,
    open_page: OpenPage,
    axe: AxeCheck,
    lang: Lang,
    outcome: str,
    rules: tuple[str, ...],
    title: str,
    says: str,
) -> None:
    shop.store.scan_member("snack")  # at the scanner: the page only follows
    page = open_page(f"{shop.url}/kiosk/snack?lang={lang}", width=390)
    at(page, words(lang, "kiosk.welcome.title", name=MEMBER.name))
    shop.store.end("snack", outcome, rules=rules)
    at(page, words(lang, title))
    assert words(lang, says) in page.inner_text("main")
    axe(page)


def test_cancel_ends_the_visit(shop: Shop, open_page: OpenPage) -> None:
    page = open_page(f"{shop.url}/kiosk/drinks?lang=en", width=390)
    at(page, EN["kiosk.code.title"])
    shop.store.scan_member("drinks")
    at(page, EN["kiosk.welcome.title"].format(name=MEMBER.name))
    page.click("#cancel")
    at(page, EN["kiosk.code.title"])
    assert [a.action for a in shop.store.asked] == ["cancel"]


# ------------------------------------------------------------------ tobacco


@visits
def test_tobacco_needs_a_card_then_a_colleague(
    shop: Shop, open_page: OpenPage, axe: AxeCheck, lang: Lang, width: int
) -> None:
    kiosk = open_page(f"{shop.url}/kiosk/staffed?lang={lang}", width=width)
    staff = open_page(f"{shop.url}/staff?lang={lang}", width=width)
    at(staff, words(lang, "staff.name.title"))
    axe(staff)
    sign_in(staff)
    at(staff, words(lang, "staff.home.title", name="李敏"))
    axe(staff)

    at(kiosk, words(lang, "kiosk.begin.title"))
    targets_are_large(kiosk)
    axe(kiosk)
    kiosk.click("#door-C1")  # step one
    at(kiosk, words(lang, "kiosk.id.title"))
    targets_are_large(kiosk)
    axe(kiosk)
    assert not any(word in kiosk.content() for word in TOBACCO_WORDS)

    shop.store.prove_adult("staffed")  # step two: the card
    at(kiosk, words(lang, "kiosk.goods.title"))
    assert words(lang, "kiosk.goods.warning") in kiosk.inner_text("main")
    kiosk.click("#goods-tb")
    kiosk.click("#more")
    kiosk.wait_for_function("document.querySelector('#qty').textContent === '2'")
    targets_are_large(kiosk)
    axe(kiosk)
    kiosk.click("#want")  # step three
    at(kiosk, words(lang, "kiosk.waiting.title"))
    assert kiosk.get_by_role("timer").is_visible()
    assert kiosk.locator("#cancel").is_visible()
    axe(kiosk)

    cabinet = "店员放行柜" if lang == "zh" else "Staffed cabinet"
    at(staff, words(lang, "staff.request.title", cabinet=cabinet))
    announced(staff, cabinet)
    card = staff.inner_text("main")
    for word in ("staff.request.adult", "staff.request.adult.id_card", "staff.alarms.none", "staff.on_duty"):
        assert words(lang, word) in card
    assert "× 2" in card
    release, refuse = staff.locator("[data-act=release]"), staff.locator("[data-act=refuse]")
    for button in (release, refuse):  # at thumb height: the lower third, wholly on the screen
        box = button.bounding_box()
        assert box is not None
        assert box["y"] > 600
        assert box["y"] + box["height"] <= 900
        assert box["height"] >= 80
    axe(staff)
    staff.wait_for_timeout(800)  # the guard against a finger on its way elsewhere
    release.click()
    at(kiosk, pull(lang, "door.numbered"))
    at(staff, words(lang, "staff.home.title", name="李敏"))
    assert words(lang, "staff.done.release") in staff.inner_text("main")
    asked = [a.action for a in shop.store.asked if a.action != "beat"]
    assert asked == ["sign_in", "start", "start", "release"]

    shop.store.session("staffed", state="open", seconds_left=100.0)
    at(kiosk, words(lang, "kiosk.open.staff"))
    declared = shop.store.now.cabinets[2].session.declared  # type: ignore[union-attr]  # it stands
    shop.store.end("staffed", "settled", *declared)
    at(kiosk, words(lang, "kiosk.receipt.title"))
    assert "¥90.00" in kiosk.inner_text(".sp-total")
    shop.store.put("staffed", session=None)
    at(kiosk, words(lang, "kiosk.begin.title"))
    assert not any(word in kiosk.content() for word in TOBACCO_WORDS)


@pytest.mark.parametrize("lang", LANGS)
def test_a_refusal_asks_why_and_is_told_to_the_customer(
    shop: Shop, open_page: OpenPage, axe: AxeCheck, lang: Lang
) -> None:
    kiosk = open_page(f"{shop.url}/kiosk/staffed?lang={lang}", width=1024)
    staff = open_page(f"{shop.url}/staff?lang={lang}", width=1024)
    sign_in(staff)
    kiosk.click("#door-C2")
    at(kiosk, words(lang, "kiosk.id.title"))
    shop.store.prove_adult("staffed")
    kiosk.click("#goods-ta")
    kiosk.click("#want")
    staff.click("[data-act=refuse]")
    at(staff, words(lang, "staff.refuse.title"))
    axe(staff)
    staff.click("#refuse_because-age_doubt")
    at(kiosk, words(lang, "kiosk.cancelled.title"))
    assert words(lang, "reason.refused") in kiosk.inner_text("main")
    assert shop.store.asked[-1].reason == "age_doubt"


def test_a_tap_meant_for_something_else_releases_nothing(shop: Shop, open_page: OpenPage) -> None:
    kiosk = open_page(f"{shop.url}/kiosk/staffed?lang=en", width=390)
    staff = open_page(f"{shop.url}/staff?lang=en", width=390)
    sign_in(staff)
    kiosk.click("#door-C1")
    at(kiosk, EN["kiosk.id.title"])
    shop.store.prove_adult("staffed")
    kiosk.click("#goods-tb")
    # In the very turn in which the request appears, the button is pressed.
    staff.evaluate(
        """() => new MutationObserver((_, observer) => {
            const button = document.querySelector('[data-act=release]');
            if (button) { observer.disconnect(); button.click(); }
        }).observe(document.body, { childList: true, subtree: true })"""
    )
    kiosk.click("#want")
    at(staff, "Release asked: Staffed cabinet")
    staff.wait_for_timeout(900)
    assert "release" not in [a.action for a in shop.store.asked]
    staff.click("[data-act=release]")
    at(kiosk, pull("en", "door.numbered"))


def test_the_pin_is_asked_again_where_the_agent_wants_it(shop: Shop, open_page: OpenPage, axe: AxeCheck) -> None:
    shop.store.pin_for_release = True
    kiosk = open_page(f"{shop.url}/kiosk/staffed?lang=en", width=390)
    staff = open_page(f"{shop.url}/staff?lang=en", width=390)
    sign_in(staff)
    kiosk.click("#door-C1")
    at(kiosk, EN["kiosk.id.title"])
    shop.store.prove_adult("staffed")
    kiosk.click("#goods-tb")
    kiosk.click("#want")
    at(staff, "Release asked: Staffed cabinet")
    staff.wait_for_timeout(800)
    staff.click("[data-act=release]")
    staff.wait_for_selector("form[data-act=pin_release]")
    axe(staff)
    staff.fill("#pin", "1111")
    staff.keyboard.press("Enter")
    staff.get_by_role("alert").wait_for()
    staff.fill("#pin", PIN)
    staff.keyboard.press("Enter")
    at(kiosk, pull("en", "door.numbered"))
    assert PIN not in staff.content()


# ------------------------------------------------------------------ staff's other errands


@pytest.mark.parametrize("lang", LANGS)
def test_reviews_restock_and_lift_say_before_what_will_happen(
    shop: Shop, open_page: OpenPage, axe: AxeCheck, lang: Lang
) -> None:
    shop.store.review(line(COLA, 1), line(TEA, 1))
    shop.store.alarm("door_forced", "A1")
    shop.store.all(revokes=("cabinet:drinks",))
    page = open_page(f"{shop.url}/staff?lang={lang}", width=1024)
    sign_in(page)
    assert words(lang, "staff.alarm.door_forced") in page.inner_text("main")

    page.click("#review-r1")
    page.wait_for_selector("[data-act=review_accept]")
    text = page.inner_text("main")
    assert words(lang, "staff.review.accept.says", price="¥9.00") in text
    assert words(lang, "staff.review.drop.says") in text
    axe(page)
    page.wait_for_timeout(800)
    page.click("[data-act=review_accept]")
    page.get_by_text(words(lang, "staff.done.review.accept")).wait_for()
    assert shop.store.asked[-1].accept

    page.click("#restock")
    at(page, words(lang, "staff.restock.title"))
    axe(page)
    page.click(r"#restock_door-snack\/A1")
    page.fill("#pin", PIN)
    axe(page)
    page.keyboard.press("Enter")
    page.get_by_text(words(lang, "staff.done.restock")).wait_for()

    page.click("#lift")
    at(page, words(lang, "staff.lift.title"))
    axe(page)
    page.click(r"#lift_target-cabinet\:drinks")
    page.fill("#pin", PIN)
    page.keyboard.press("Enter")
    page.get_by_text(words(lang, "staff.done.lift")).wait_for()
    page.click("[data-act=sign_out]")
    at(page, words(lang, "staff.name.title"))


@visits
def test_staff_count_before_a_door_sells_again(
    shop: Shop, open_page: OpenPage, axe: AxeCheck, lang: Lang, width: int
) -> None:
    shop.store.count("staffed", "C1", SMOKE_A, SMOKE_B)
    kiosk = open_page(f"{shop.url}/kiosk/staffed?lang={lang}", width=width)
    kiosk.get_by_text(words(lang, "reason.count_due")).wait_for()
    assert kiosk.locator("#door-C1").is_disabled()
    assert not any(word in kiosk.content() for word in TOBACCO_WORDS)
    axe(kiosk)

    page = open_page(f"{shop.url}/staff?lang={lang}", width=width)
    assert not any(word in page.content() for word in TOBACCO_WORDS)
    sign_in(page)
    card = page.get_by_role("region", name=words(lang, "staff.counts"))
    assert words(lang, "staff.count.first") in card.inner_text()
    assert words(lang, "staff.alarm.count_due") in page.inner_text("main")
    axe(page)
    tab_to(page, r"#count-staffed\/C1")  # from here by keyboard alone
    page.keyboard.press("Enter")
    page.wait_for_selector("#count-form")
    assert words(lang, "staff.count.says") in page.inner_text("main")
    large = "(e) => [e.getBoundingClientRect().width, e.getBoundingClientRect().height]"
    for part in ("#units-ta", "#units-ta-less", "#units-ta-more", "#count-save", "#back"):
        assert min(page.eval_on_selector(part, large)) >= TARGET_PX
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    axe(page)
    name = SMOKE_A.name_zh if lang == "zh" else SMOKE_A.name_en
    assert page.get_by_label(name, exact=False).first.is_visible()
    for _ in range(2):
        tab_to(page, "#units-ta-less")
        page.keyboard.press("Enter")
    assert page.input_value("#units-ta") == "16"
    tab_to(page, "#units-tb")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("6")
    tab_to(page, "#units-tb-more")
    page.keyboard.press("Space")

    shop.store.answers["count"] = "busy"  # what is not taken stays to be mended
    tab_to(page, "#count-save")
    page.keyboard.press("Enter")
    page.get_by_role("alert").filter(has_text=words(lang, "reason.busy")).wait_for()
    assert (page.input_value("#units-ta"), page.input_value("#units-tb")) == ("16", "7")
    shop.store.answers.clear()
    page.click("#count-save")
    page.get_by_text(words(lang, "staff.done.count")).wait_for()
    at(page, words(lang, "staff.home.title", name="李敏"))
    asked = shop.store.asked[-1]
    assert (asked.cabinet, asked.compartment, asked.staff_id, asked.units) == (
        "staffed",
        "C1",
        "li",
        {"ta": 16, "tb": 7},
    )
    card.wait_for(state="detached")
    kiosk.get_by_text(words(lang, "reason.count_due")).wait_for(state="detached")
    assert kiosk.locator("#door-C1").is_enabled()


def test_a_customer_interrupts_a_count_and_nothing_typed_is_lost(shop: Shop, open_page: OpenPage) -> None:
    shop.store.count("snack", "A1", COLA, NUTS)
    page = open_page(f"{shop.url}/staff?lang=en", width=390)
    sign_in(page)
    page.click(r"#count-snack\/A1")
    page.fill("#units-cola", "9")
    page.click("#units-nuts-more")
    kiosk = open_page(f"{shop.url}/kiosk/staffed?lang=en", width=390)
    kiosk.click("#door-C2")
    at(kiosk, EN["kiosk.id.title"])
    shop.store.prove_adult("staffed")
    kiosk.click("#goods-tb")
    kiosk.click("#want")
    at(page, "Release asked: Staffed cabinet")
    page.wait_for_timeout(800)
    page.click("[data-act=release]")
    page.wait_for_selector("#count-form")
    assert (page.input_value("#units-cola"), page.input_value("#units-nuts")) == ("9", "5")
    page.fill("#units-cola", "501")  # more than a count may be: the browser says so, nothing is sent
    page.click("#count-save")
    assert "count" not in [a.action for a in shop.store.asked]


def test_a_closed_tablet_signs_its_person_out(shop: Shop, open_page: OpenPage) -> None:
    page = open_page(f"{shop.url}/staff?lang=en", width=390)
    sign_in(page)
    page.close()
    watcher = open_page(f"{shop.url}/staff?lang=en", width=390)
    watcher.get_by_text(EN["staff.presence.none"]).wait_for()
    assert shop.store.asked[-1].action == "sign_out"


# ------------------------------------------------------------------ by keyboard alone


def tab_to(page: Page, css: str) -> None:
    """Press Tab until the element has the focus; it must come within one round."""
    for _ in range(40):
        if page.evaluate("(css) => document.activeElement?.matches(css) ?? false", css):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{css} cannot be reached by Tab")


def test_a_whole_sale_by_keyboard_alone(shop: Shop, open_page: OpenPage) -> None:
    kiosk = open_page(f"{shop.url}/kiosk/staffed?lang=en", width=1024)
    staff = open_page(f"{shop.url}/staff?lang=en", width=1024)
    tab_to(staff, "#name-li")
    staff.keyboard.press("Enter")
    staff.wait_for_function("document.activeElement?.id === 'pin'")  # the field is ready to type
    staff.keyboard.type(PIN)
    staff.keyboard.press("Enter")
    at(staff, EN["staff.home.title"].format(name="李敏"))

    tab_to(kiosk, "#door-C1")
    kiosk.keyboard.press("Enter")
    at(kiosk, EN["kiosk.id.title"])
    kiosk.wait_for_function("document.activeElement?.tagName === 'H1'")
    shop.store.prove_adult("staffed")
    at(kiosk, EN["kiosk.goods.title"])
    tab_to(kiosk, "#goods-ta")
    kiosk.keyboard.press("ArrowDown")
    kiosk.wait_for_selector("#goods-tb[aria-checked=true]")
    tab_to(kiosk, "#more")
    kiosk.keyboard.press("Enter")
    kiosk.wait_for_function("document.querySelector('#qty').textContent === '2'")
    kiosk.wait_for_function("document.activeElement?.id === 'more'")  # the keyboard keeps its place
    tab_to(kiosk, "#want")
    kiosk.keyboard.press("Space")
    at(kiosk, EN["kiosk.waiting.title"])

    at(staff, "Release asked: Staffed cabinet")
    staff.wait_for_timeout(800)
    tab_to(staff, "[data-act=release]")
    staff.keyboard.press("Enter")
    at(kiosk, pull("en", "door.numbered"))


def test_a_member_code_by_keyboard_alone(shop: Shop, open_page: OpenPage) -> None:
    page = open_page(f"{shop.url}/kiosk/snack?lang=en", width=390)
    tab_to(page, "#code")
    page.keyboard.type(CODE)
    page.keyboard.press("Enter")
    at(page, EN["kiosk.welcome.title"].format(name=MEMBER.name))
    tab_to(page, "#cancel")
    page.keyboard.press("Enter")
    at(page, EN["kiosk.code.title"])


# ------------------------------------------------------------------ the rest of the frame


@pytest.mark.parametrize("path", ["/", "/kiosk/snack", "/kiosk/staffed", "/staff"])
def test_dark_is_readable_too(shop: Shop, open_page: OpenPage, axe: AxeCheck, path: str) -> None:
    page = open_page(f"{shop.url}{path}?lang=zh", width=1024, theme="dark")
    page.wait_for_selector("[data-screen]")
    axe(page)


def test_an_agent_that_stops_is_said_and_one_that_comes_back_is_followed(
    tmp_path_factory: pytest.TempPathFactory, start_server: StartServer, open_page: OpenPage, axe: AxeCheck
) -> None:
    path = tmp_path_factory.mktemp("late") / "desk.sock"
    url = start_server("edge.pages", "--desk", str(path))
    page = open_page(f"{url}/kiosk/snack?lang=en", width=390)
    at(page, EN["starting.title"])
    axe(page)
    first = FakeStore(path)
    first.start()
    at(page, EN["kiosk.code.title"])
    first.stop()
    page.get_by_text(re.compile(re.escape(EN["stale.title"]))).wait_for()
    axe(page)
    again = FakeStore(path)
    again.start()
    page.get_by_text(re.compile(re.escape(EN["stale.title"]))).wait_for(state="detached")
    again.stop()
