"""A code is proven in the store; the cloud is asked for the greeting, and its silence costs nothing."""

from __future__ import annotations

import pytest

from contracts.clock import ManualClock
from contracts.event_types import EventData, MemberRecognised, RecommendationShown, ScanBarcode
from contracts.member_code import mint_member_code
from contracts.messages import RecogniseAnswer, Response
from edge.greeting import MAX_CARDS, REFUSALS_EVERY_S, Begun, Greeting

KEY = b"k" * 32


class Cloud:
    def __init__(self, answer: Response | None) -> None:
        self.answer = answer
        self.asked: list[dict[str, str | int | None]] = []

    async def ask(self, method, args, ttl_s):
        self.asked.append({"method": method, **args})
        return self.answer


STARTED = Begun(ok=True, session="s1")


def greeting(answer: Response | None = None, begun: Begun = STARTED):
    said: list[EventData] = []

    async def start(_cabinet: str, _compartment: str, _member: str) -> Begun:
        return begun

    made = Greeting(
        key=KEY,
        start=start,
        cloud=Cloud(answer),
        tell=lambda data, _device: said.append(data),
        changed=lambda: said.append("changed"),
        tobacco=frozenset({"cig"}),
        clock=ManualClock(),
    )
    return made, said


FORGED = [
    "",  # nothing
    "hello",  # another code
    "ZG1.m0001.0000000000000000",  # an invented mac
    mint_member_code("m0001", b"x" * 32),  # another tenant's key
    mint_member_code("m0001", KEY).replace("m0001", "m0002"),  # another member's mac
    mint_member_code("m0001", KEY) + "0",  # one digit too many
    "ZG1." + "m" * 4000,  # as long as a novel
]


@pytest.mark.parametrize("text", FORGED)
async def test_a_code_that_proves_nothing_is_refused_and_never_repeated(text: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    made, said = greeting()
    assert (await made.code(text, device="sc", cabinet="S1")).reason == "bad_code"
    assert made.counters["code.refused"] == 1
    assert said == [ScanBarcode(scanner="sc", symbology="qr", accepted=False, reason="not_a_member_code")]
    assert not text or text not in caplog.text


async def test_a_code_begins_a_session_and_is_greeted():
    member = RecogniseAnswer(member_ref="m1", name="Lin", points=7, offers=("a", "cig"), reason_codes=("popular",))
    made, said = greeting(Response(id="r", ok=True, member=member))
    begun = await made.code(mint_member_code("m1", KEY), device="sc", cabinet="S1")
    assert (begun.ok, begun.member_ref) == (True, "m1")
    await made.greet("s1", "m1", "S1")
    assert said == [
        ScanBarcode(scanner="sc", symbology="qr", accepted=True),
        MemberRecognised(session="s1", member_ref="m1", method="qr"),
        RecommendationShown(session="s1", slot="kiosk", items=("a",), reason_codes=("popular",)),  # never tobacco
        "changed",
    ]
    assert made.card("s1") == member
    made.keep_only(frozenset({"s2"}))
    assert made.card("s1") is None


@pytest.mark.parametrize(
    ("answer", "counter"),
    [
        (None, "greeting.no_answer"),  # the line is down
        (Response(id="r", ok=False, reason="unknown_member"), "greeting.unknown_member"),  # the cloud knows nobody
    ],
)
async def test_no_greeting_is_no_trouble(answer: Response | None, counter: str):
    made, said = greeting(answer)
    await made.greet("s1", "m1", "S1")
    assert (made.counters[counter], said) == (1, [])


async def test_a_refused_start_is_told_with_its_reason():
    made, said = greeting(begun=Begun(ok=False, reason="busy"))
    begun = await made.code(mint_member_code("m1", KEY), device="sc", cabinet="S1")
    assert (begun.ok, begun.reason) == (False, "busy")
    assert said == [ScanBarcode(scanner="sc", symbology="qr", accepted=False, reason="busy")]


async def test_cards_are_bounded():
    member = RecogniseAnswer(member_ref="m1", name="Lin", points=7)
    made, _ = greeting(Response(id="r", ok=True, member=member))
    for n in range(MAX_CARDS + 5):
        await made.greet(f"s{n}", "m1", "S1")
    assert made.card("s0") is None
    assert made.card(f"s{MAX_CARDS + 4}") is not None


async def test_garbage_before_a_scanner_does_not_fill_the_ledger():
    made, said = greeting()
    for _ in range(100):
        await made.code("garbage", device="sc", cabinet="S1")
    assert (made.counters["code.refused"], len(said)) == (100, 1)
    assert isinstance(made.clock, ManualClock)
    made.clock.step(REFUSALS_EVERY_S)
    await made.code("garbage", device="sc", cabinet="S1")
    await made.code("garbage", device="kiosk", cabinet="S1")  # each device by itself
    assert len(said) == 3
