"""The pages as the server makes them: taps become requests, answers become words, nothing of a person stays."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from msgspec.structs import replace
from nicegui.client import Client
from nicegui.testing.general import nicegui_reset_globals

from contracts.clock import ManualClock
from edge.desk.messages import DeskState, Reply, StaffDesk, Wish
from edge.pages import kiosk, staff
from edge.pages.app import PortInUseError, _listen, mount
from edge.pages.room import Act, act_of
from edge.pages.words import EN
from tests.conftest import free_port
from tests.edge_pages.fake_store import CODE, MEMBER, PIN, SMOKE_B, first_state, line
from tests.edge_pages.test_kiosk import at
from tests.edge_pages.test_staff import COUNT, REVIEW, store


class StubAgent:
    """Stands in for the client of the socket: a state that tests set, answers that they choose."""

    def __init__(self) -> None:
        self.state: DeskState | None = first_state()
        self.stale = False
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer = Reply(id="", ok=True)
        self.gate = asyncio.Event()
        self.gate.set()
        self.callbacks: list[Callable[[], None]] = []

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    async def ask(self, action: str, **fields: Any) -> Reply:
        self.asked.append((action, fields))
        await self.gate.wait()
        return self.answer

    def set(self, state: DeskState | None, *, stale: bool = False) -> None:
        self.state, self.stale = state, stale
        for callback in self.callbacks:
            callback()


class Pages:
    """The web server in this process, and the last page it made."""

    def __init__(self, http: httpx.AsyncClient, agent: StubAgent, clock: ManualClock) -> None:
        self.http, self.agent, self.clock = http, agent, clock
        self.page: Any = None  # the _Kiosk or _Tablet behind it

    async def open(self, address: str) -> httpx.Response:
        self.page = None
        response = await self.http.get(address)
        assert response.status_code == 200
        return response

    async def act(self, name: str, value: str = "", **fields: str) -> None:
        await self.page.act(Act(name, value, fields))

    def text(self, *parts: str) -> str:
        return " ".join(str(getattr(self.page, f"_{part}").element.content) for part in parts)


@pytest.fixture
async def pages(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    agent, clock = StubAgent(), ManualClock()
    with nicegui_reset_globals():
        app = FastAPI()
        mount(app, agent, clock=clock, pace=clock, title="南山店")  # type: ignore[arg-type]  # the stub has what pages use
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http,
        ):
            made = Pages(http, agent, clock)
            for room in (kiosk, staff):

                def remember(client: Any, draw: Any, act: Any, *, real: Any = room.live_page) -> None:
                    made.page = act.__self__
                    real(client, draw, act)

                monkeypatch.setattr(room, "live_page", remember)
            yield made
        Client.page_routes.clear()  # or the reset would forget the rooms these functions come from


# ------------------------------------------------------------------ what the browser says


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ({"act": "start", "value": "A1", "fields": {}}, Act("start", "A1")),
        ([{"act": "start", "value": "A1", "fields": {}}], Act("start", "A1")),  # as the library wraps it
        ({"act": "member", "fields": {"code": "x" * 500}}, Act("member", "", {"code": "x" * 160})),  # cut
        (
            {"act": "count_save", "fields": {str(n): "x" for n in range(99)}},
            Act("count_save", "", {str(n): "x" for n in range(60)}),
        ),
        ({"act": "start", "value": 7, "fields": "no"}, Act("start")),  # of another type: as if not said
        ({"act": "member", "fields": {"code": 7}}, Act("member")),
        ({"act": 7}, None),
        ({"act": "x" * 161}, None),
        ("start", None),
        (None, None),
        ([], None),
    ],
)
def test_what_a_browser_says_is_cut_to_size(said: object, heard: Act | None) -> None:
    assert act_of(said) == heard


# ------------------------------------------------------------------ pages


async def test_the_first_page_leads_to_every_screen(pages: Pages) -> None:
    text = (await pages.open("/?lang=en")).text
    for address in ("/kiosk/snack", "/kiosk/drinks", "/kiosk/staffed", "/staff"):
        assert address in text
    assert '<html lang="en-US">' in text
    assert "<title>Nanshan</title>" in text
    assert "<title>南山店</title>" in (await pages.open("/?lang=zh")).text


async def test_without_an_agent_every_page_says_that_it_starts(pages: Pages) -> None:
    pages.agent.state = None
    for address in ("/", "/kiosk/snack", "/staff"):
        assert EN["starting.body"] in (await pages.open(f"{address}?lang=en")).text


async def test_a_page_follows_the_agent_and_stops_when_it_is_closed(pages: Pages) -> None:
    await pages.open("/kiosk/snack?lang=en")
    pages.agent.set(at("snack", state="open", seconds_left=42.0))
    assert "Take what you like" in pages.text("heading")
    assert "42" in pages.text("left")
    pages.agent.set(pages.agent.state, stale=True)
    assert "out of reach" in pages.text("stale")
    for client in list(Client.instances.values()):
        client.delete()
    assert pages.agent.callbacks == []


async def test_a_code_is_asked_and_never_kept(pages: Pages) -> None:
    await pages.open("/kiosk/snack?lang=en")
    await pages.act("member", code=f"  {CODE} ")
    assert pages.agent.asked == [("member", {"cabinet": "snack", "compartment": "A1", "code": CODE})]
    assert CODE not in repr(vars(pages.page)) + pages.text("body", "notice", "out")
    pages.agent.set(at("snack", state="held", member=MEMBER))
    assert MEMBER.name in pages.text("heading", "status")
    pages.agent.set(first_state())
    assert MEMBER.name not in pages.text("heading", "status", "body")


async def test_a_code_that_cannot_be_one_is_refused_here(pages: Pages) -> None:
    for code in ("", "   ", "x" * 129):
        await pages.open("/kiosk/snack?lang=en")
        await pages.act("member", code=code)
        assert "not a valid member code" in pages.text("notice")
    assert pages.agent.asked == []


async def test_a_refusal_is_told_for_a_while(pages: Pages) -> None:
    await pages.open("/kiosk/staffed?lang=en")
    pages.agent.answer = Reply(id="", ok=False, reason="busy")
    await pages.act("start", "C1")
    assert "in use" in pages.text("notice")
    await pages.clock.advance(12.0)
    pages.page.draw()
    assert pages.text("notice") == ""
    pages.agent.answer = Reply(id="", ok=False)
    await pages.act("start", "C1")
    assert "did not work" in pages.text("notice")


async def test_a_second_tap_is_the_same_wish(pages: Pages) -> None:
    await pages.open("/kiosk/staffed?lang=en")
    pages.agent.gate.clear()
    first = asyncio.ensure_future(pages.act("start", "C1"))
    await asyncio.sleep(0)
    await pages.act("start", "C1")
    pages.agent.gate.set()
    await first
    assert len(pages.agent.asked) == 1


async def test_goods_and_quantity_are_named_to_the_session(pages: Pages) -> None:
    await pages.open("/kiosk/staffed?lang=en")
    await pages.act("start", "C1")
    pages.agent.set(at("staffed", goods=True, needs=("release",)))
    await pages.act("want")  # nothing chosen yet
    await pages.act("goods", "tb")
    await pages.act("more")
    await pages.act("more")
    await pages.act("less")
    await pages.act("want")
    assert pages.agent.asked == [
        ("start", {"cabinet": "staffed", "compartment": "C1"}),
        ("start", {"cabinet": "staffed", "compartment": "C1", "session": "s1", "sku": "tb", "qty": 2}),
    ]
    await pages.act("cancel")
    assert pages.agent.asked[-1] == ("cancel", {"session": "s1"})
    pages.agent.set(first_state())
    await pages.act("cancel")  # there is nothing to cancel
    await pages.act("unlock")  # no such act
    assert len(pages.agent.asked) == 3


async def test_the_next_customer_finds_nothing_chosen(pages: Pages) -> None:
    await pages.open("/kiosk/staffed?lang=en")
    pages.agent.set(at("staffed", goods=True, needs=("release",)))
    await pages.act("goods", "tb")
    pages.agent.set(at("staffed", goods=True, needs=("release",), session="s2"))
    assert 'aria-checked="true"' not in pages.text("body")


# ------------------------------------------------------------------ staff


async def signed_in(pages: Pages, state: DeskState) -> None:
    await pages.open("/staff?lang=en")
    await pages.act("name", "li")
    pages.agent.set(state)
    await pages.act("sign_in", pin=PIN)
    pages.agent.asked.clear()


async def test_signing_in_names_person_and_terminal_and_keeps_no_pin(pages: Pages) -> None:
    await pages.open("/staff?lang=en")
    await pages.act("name", "li")
    assert "your PIN" in pages.text("heading")
    pages.agent.answer = Reply(id="", ok=False, reason="locked_out")
    await pages.act("sign_in", pin=PIN)
    assert "Too many wrong PINs" in pages.text("notice")
    pages.agent.answer = Reply(id="", ok=True)
    pages.agent.set(store())
    await pages.act("sign_in", pin=PIN)
    terminal = pages.agent.asked[-1][1]["terminal"]
    assert pages.agent.asked[-1] == ("sign_in", {"staff_id": "li", "pin": PIN, "terminal": terminal})
    assert PIN not in repr(vars(pages.page)) + repr(pages.page._desk)
    assert "no request is waiting" in pages.text("heading")


async def test_beats_go_out_while_the_page_is_touched_and_stop_when_it_is_not(pages: Pages) -> None:
    await signed_in(pages, store())
    for _ in range(300):
        await pages.clock.advance(1.0)
        await pages.page.beat()
        pages.page.draw()
    assert [a for a, _ in pages.agent.asked] == ["beat"] * 5  # at 20, 40, 60, 80 and 100 s; then nobody is here
    assert "Still here?" in pages.text("here")
    await pages.act("touch")
    assert len(pages.agent.asked) == 6
    assert pages.text("here") == ""


async def test_one_beat_at_a_time(pages: Pages) -> None:
    await signed_in(pages, store())
    await pages.clock.advance(21.0)
    pages.agent.gate.clear()
    first = asyncio.ensure_future(pages.page.beat())
    await asyncio.sleep(0)
    await pages.clock.advance(21.0)
    await pages.page.beat()
    pages.agent.gate.set()
    await first
    assert len(pages.agent.asked) == 1


async def test_a_lapse_signs_the_page_out(pages: Pages) -> None:
    await signed_in(pages, store())
    pages.agent.set(store(on_duty=False))
    assert "Who are you?" in pages.text("heading")
    assert "off duty" in pages.text("notice")
    await pages.clock.advance(30.0)
    await pages.page.beat()
    assert pages.agent.asked == []


async def test_a_closed_page_signs_its_person_out_once(pages: Pages) -> None:
    await signed_in(pages, store())
    await pages.page.close()
    await pages.page.close()
    assert [a for a, _ in pages.agent.asked] == ["sign_out"]


async def test_an_old_page_does_not_sign_out_who_has_signed_in_on_a_new_one(pages: Pages) -> None:
    await signed_in(pages, store())
    old = pages.page
    await signed_in(pages, store())
    await old.close()
    assert pages.agent.asked == []
    await pages.page.close()
    assert [a for a, _ in pages.agent.asked] == ["sign_out"]


async def test_release_asks_for_a_pin_only_when_the_agent_does(pages: Pages) -> None:
    await signed_in(pages, store(request={}))
    await pages.act("release", "s1")
    assert pages.agent.asked == [("release", {"session": "s1", "staff_id": "li"})]
    assert "Released" in pages.text("notice")
    pages.agent.answer = Reply(id="", ok=False, reason="pin_required")
    await pages.act("release", "s1")
    assert 'data-act="pin_release"' in pages.text("body")
    pages.agent.answer = Reply(id="", ok=False, reason="wrong_pin")
    await pages.act("pin_release", pin="0000")
    assert "Wrong PIN" in pages.text("notice")
    assert 'data-act="pin_release"' in pages.text("body")  # once more
    pages.agent.answer = Reply(id="", ok=True)
    await pages.act("pin_release", pin=PIN)
    shown = (Wish(sku="tb", qty=2),)
    assert pages.agent.asked[-1] == ("release", {"session": "s1", "staff_id": "li", "pin": PIN, "lines": shown})


async def test_what_was_under_the_release_button_is_what_is_released(pages: Pages) -> None:
    """The customer asks for more while the PIN is typed: the agent hears what staff saw, and says no."""
    await signed_in(pages, store(request={"declared": (line(SMOKE_B, 1),)}))
    pages.agent.answer = Reply(id="", ok=False, reason="pin_required")
    await pages.act("release", "s1")
    pages.agent.set(store(request={"declared": (line(SMOKE_B, 3),)}))
    pages.agent.answer = Reply(id="", ok=False, reason="basket_changed")
    await pages.act("pin_release", pin=PIN)
    assert pages.agent.asked[-1][1]["lines"] == (Wish(sku="tb", qty=1),)
    assert "changed the order" in pages.text("notice")
    assert "Release asked" in pages.text("heading")
    assert "× 3" in pages.text("body")  # to be looked at again


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("staff_unknown", "your own ID card"),
        ("staff_is_buyer", "cannot release to yourself"),
        ("no_reader", "no card reader"),
    ],
)
async def test_why_nobody_may_release_yet_is_said(pages: Pages, reason: str, word: str) -> None:
    await signed_in(pages, store(request={}))
    pages.agent.answer = Reply(id="", ok=False, reason=reason)
    await pages.act("pin_release", pin=PIN)
    assert word in pages.text("notice")


async def test_staff_are_asked_for_their_own_card_until_they_are_known(pages: Pages) -> None:
    await signed_in(pages, store())
    assert "Lay your own ID card on the reader of" in pages.text("body")
    assert pages.text("body").count('data-act="know"') == 1  # one button a staffed cabinet
    await pages.act("know", "staffed")
    name, fields = pages.agent.asked[-1]
    assert (name, fields["staff_id"], fields["cabinet"]) == ("know", "li", "staffed")
    assert fields["terminal"] == pages.page._terminal
    assert "Lay your own card on the reader now" in pages.text("notice")
    me = replace(store().staff[0], known=True)
    pages.agent.set(store(staff=(me,)))
    assert "Known today" in pages.text("body")
    assert 'data-act="know"' not in pages.text("body")


async def test_a_refusal_needs_a_reason_of_the_list(pages: Pages) -> None:
    await signed_in(pages, store(request={}))
    await pages.act("refuse", "s1")
    await pages.act("refuse_because", "because")
    assert pages.agent.asked == []
    await pages.act("refuse_because", "age_doubt")
    assert pages.agent.asked == [("refuse", {"session": "s1", "staff_id": "li", "reason": "age_doubt"})]
    assert "Refused" in pages.text("notice")


async def test_a_review_is_decided(pages: Pages) -> None:
    await signed_in(pages, store(reviews=(REVIEW,)))
    for act, accept, says in (("review_accept", True, "Charged"), ("review_drop", False, "Nothing charged")):
        await pages.act("review", "r1")
        await pages.act(act, "r1")
        assert pages.agent.asked[-1] == ("review", {"session": "r1", "staff_id": "li", "accept": accept})
        assert says in pages.text("notice")


async def test_restock_and_lift_ask_for_the_pin_again(pages: Pages) -> None:
    await signed_in(pages, store(revokes=("cabinet:snack",)))
    await pages.act("restock")
    await pages.act("restock_door", "snack/A1")
    await pages.act("pin_restock", pin=PIN)
    await pages.act("lift")
    await pages.act("lift_target", "cabinet:snack")
    pages.agent.answer = Reply(id="", ok=False, reason="not_manager")
    await pages.act("pin_lift", pin=PIN)
    assert pages.agent.asked == [
        ("restock", {"cabinet": "snack", "compartment": "A1", "staff_id": "li", "pin": PIN}),
        ("lift", {"staff_id": "li", "pin": PIN, "target": "cabinet:snack"}),
    ]
    assert "Only a manager" in pages.text("notice")
    assert "no request" in pages.text("heading")  # the errand is over
    await pages.act("sign_out")
    assert "Who are you?" in pages.text("heading")


async def counting(pages: Pages) -> None:
    await signed_in(pages, store(counts=(COUNT,)))
    await pages.act("count", "staffed/C1")
    assert "Count: " in pages.text("heading")


async def test_a_count_is_told_product_by_product(pages: Pages) -> None:
    await counting(pages)
    await pages.act("count_save", ta="17", tb=" 7", moon="1")  # a field that is not ours is not passed on
    asked = {"cabinet": "staffed", "compartment": "C1", "staff_id": "li", "units": {"ta": 17, "tb": 7}}
    assert pages.agent.asked == [("count", asked)]
    assert "may sell again" in pages.text("notice")
    assert "no request is waiting" in pages.text("heading")
    await pages.act("count_save", ta="1", tb="1")  # a second tap
    assert len(pages.agent.asked) == 1


async def test_a_count_that_is_not_taken_stays_as_it_was_typed(pages: Pages) -> None:
    await counting(pages)
    await pages.act("count_save", ta="17", tb="")
    assert pages.agent.asked == []  # no number: nothing to tell
    assert "Something is wrong" in pages.text("notice")
    assert 'name="ta" type="number"' in pages.text("body")
    assert 'value="17"' in pages.text("body")
    pages.agent.answer = Reply(id="", ok=False, reason="busy")
    await pages.act("count_save", ta="17", tb="6")
    assert "in use" in pages.text("notice")
    assert 'value="6"' in pages.text("body")


async def test_typing_redraws_nothing_and_survives_a_customer(pages: Pages) -> None:
    await counting(pages)
    form = pages.text("body")
    await pages.act("counted", "tb", n="5")
    await pages.act("counted", "moon", n="5")
    pages.page.draw()
    assert pages.text("body") == form  # or the field would lose the keyboard
    pages.agent.set(store(counts=(COUNT,), request={}))
    assert "Release asked" in pages.text("heading")
    await pages.act("release", "s1")
    pages.agent.set(store(counts=(COUNT,)))
    assert "Count: " in pages.text("heading")
    assert 'value="5"' in pages.text("body")
    assert 'value="18"' in pages.text("body")
    fewer = replace(COUNT, goods=(replace(COUNT.goods[0], units=9), COUNT.goods[1]))
    pages.agent.set(store(counts=(fewer,)))  # the book has moved
    assert 'value="9"' in pages.text("body")
    assert 'value="5"' in pages.text("body")


async def test_a_count_ends_with_back_and_where_somebody_else_has_made_it(pages: Pages) -> None:
    await counting(pages)
    await pages.act("counted", "tb", n="5")
    await pages.act("back")
    assert "no request is waiting" in pages.text("heading")
    await pages.act("count", "staffed/C1")
    assert 'value="5"' not in pages.text("body")
    await pages.act("counted", "tb", n="5")
    pages.agent.set(store())
    assert "no request is waiting" in pages.text("heading")
    pages.agent.set(store(counts=(COUNT,)))  # asked for again: begun from the book
    assert "no request is waiting" in pages.text("heading")
    await pages.act("count", "staffed/C1")
    assert 'value="5"' not in pages.text("body")
    assert pages.agent.asked == []


async def test_what_must_be_counted_is_named_to_staff_only(pages: Pages) -> None:
    """T12: the kiosk and a tablet with nobody signed in draw none of it."""
    pages.agent.set(store(counts=(COUNT,)))
    for address in ("/kiosk/staffed?lang=en", "/staff?lang=en"):
        text = (await pages.open(address)).text
        await pages.act("count", "staffed/C1")
        assert "Sample" not in text + pages.text("body", "heading")
    await counting(pages)
    assert "Sample A" in pages.text("body")


async def test_nobody_signed_in_asks_for_nothing(pages: Pages) -> None:
    await pages.open("/staff?lang=en")
    pages.agent.set(store(request={}, reviews=(REVIEW,)))
    for act in [
        "sign_in",
        "sign_out",
        "release",
        "pin_release",
        "refuse_because",
        "review_accept",
        "pin_restock",
        "pin_lift",
        "count",
        "count_save",
    ]:
        await pages.act(act, "s1", pin=PIN)
    assert pages.agent.asked == []


async def test_back_leads_back(pages: Pages) -> None:
    await pages.open("/staff?lang=en")
    await pages.act("name", "li")
    await pages.act("back")
    assert "Who are you?" in pages.text("heading")
    someone = StaffDesk(staff_id="zhao", name="赵", manager=False, on_duty=True)
    pages.agent.set(replace(first_state(), staff=(someone,)))
    assert "赵" in pages.text("body", "strip")


async def test_tobacco_is_named_to_staff_only_with_a_request(pages: Pages) -> None:
    await signed_in(pages, store(request={"declared": (line(SMOKE_B, 2),)}))
    assert "Sample B" in pages.text("body")


# ------------------------------------------------------------------ the process


def test_a_port_in_use_is_one_clear_sentence(tmp_path: Path) -> None:
    port = free_port()
    with _listen("127.0.0.1", port):
        with pytest.raises(PortInUseError, match=f"port {port} on 127.0.0.1 is in use"):
            _listen("127.0.0.1", port)
        ran = subprocess.run(
            [sys.executable, "-m", "edge.pages", "--desk", str(tmp_path / "none"), "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ran.returncode == 2
    assert ran.stderr == f"port {port} on 127.0.0.1 is in use; stop what listens there, or choose another port\n"


async def test_the_process_answers_before_its_agent_and_ends_on_an_interrupt(tmp_path: Path) -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge.pages", "--desk", str(tmp_path / "none"), "--port", str(port)),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    while b"pages at" not in await process.stderr.readline():
        assert process.returncode is None
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        assert EN["starting.body"] in (await http.get("/staff?lang=en")).text
    process.send_signal(signal.SIGINT)
    said = (await process.communicate())[1].decode()
    assert process.returncode == 0
    assert "Traceback" not in said


def test_an_address_of_another_machine_is_refused_with_its_name() -> None:
    with pytest.raises(PortInUseError, match=r"cannot listen on 192\.0\.2\.1 port 1"):
        _listen("192.0.2.1", 1)
    _listen("::1", free_port()).close()
