"""A code that nobody answers is a finding, unless the agent was away or something was broken; so is a day unsold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from contracts.event_types import CabinetUnlockDenied, DeviceOnline, EventData, ScanBarcode
from simulators.truth import Comparison, answers, compare
from tests.simulators.story import Story

SHOWN_S = 101.0
FINDING = "v1 showed a code at 101.0 s and nobody answered"


def unanswered(member: str = "m-1") -> Story:
    """An agent that is there, and a visitor who shows a code and waits for nothing."""
    story = Story()
    story.says(0.0, DeviceOnline(device="board-1", kind="lock_board"))
    story.arrives(SHOWN_S - 1, "v1", member)
    story.was(130, "visit_ended", visit="v1", cabinet="snacks-a")
    story.says(140.0, DeviceOnline(device="board-1", kind="lock_board"))
    return story


def judged(story: Story, **options: float) -> Comparison:
    return compare(story.truth, story.events(), kills=story.kills, **options)


def test_a_code_that_nobody_answers_is_named() -> None:
    assert judged(unanswered()).findings == (FINDING,)


def scanner(story: Story) -> None:
    """The scanner of the code has a name."""
    story.truth = [
        type(r)(t=r.t, kind=r.kind, visit=r.visit, cabinet=r.cabinet, member=r.member, device="scanner-a")
        if r.kind == "scanned"
        else r
        for r in story.truth
    ]


def says(t: float, data: EventData) -> Callable[[Story], None]:
    return lambda story: story.says(t, data)


def was(t: float, kind: str, **fields: object) -> Callable[[Story], None]:
    return lambda story: story.was(t, kind, **fields)


def kill(t: float, back_s: float) -> Callable[[Story], None]:
    def happens(story: Story) -> None:
        story.kills.append(t)
        story.said = [(at, "boot-2" if at > t else boot, data) for at, boot, data in story.said]
        story.said.append((back_s, "boot-2", DeviceOnline(device="board-2", kind="lock_board")))

    return happens


def denied(cabinet: str = "snacks-a") -> EventData:
    return CabinetUnlockDenied(cabinet=cabinet, compartment="a1", reason="busy")


def scanned(name: str, *, accepted: bool = False) -> EventData:
    return ScanBarcode(scanner=name, symbology="qr", accepted=accepted, reason="" if accepted else "busy")


ANSWERS = [
    # what else happened, whether the visit is answered or excused
    pytest.param(says(101.2, denied()), True, id="denied at its cabinet"),
    pytest.param(says(103.9, denied()), True, id="denied as late as an event may come"),
    pytest.param(says(101.2, denied("snacks-b")), False, id="denied at another cabinet"),
    pytest.param(says(100.5, denied()), False, id="denied before it was shown"),
    pytest.param(says(105.0, denied()), False, id="denied long after"),
    pytest.param(says(101.2, scanned("scanner-a")), True, id="refused at its scanner"),
    pytest.param(says(101.2, scanned("scanner-b")), False, id="refused at another scanner"),
    pytest.param(says(101.2, scanned("scanner-a", accepted=True)), False, id="accepted, and no session"),
    pytest.param(kill(102.0, 110.0), True, id="killed just after"),
    pytest.param(kill(90.0, 95.0), True, id="killed before, starting up"),
    pytest.param(kill(20.0, 30.0), False, id="killed and back long before"),
    pytest.param(kill(105.0, 110.0), False, id="killed long after"),
    pytest.param(was(99.0, "scale_restarted", compartment="a1", shelf="shelf-a1"), True, id="a fault a moment before"),
    pytest.param(was(90.0, "scale_restarted", compartment="a1", shelf="shelf-a1"), False, id="a fault long over"),
    pytest.param(was(50.0, "fault", device="scan-a", detail="unplug"), True, id="a line that is out"),
    pytest.param(was(110.0, "fault", device="scan-a", detail="unplug"), False, id="a line that goes out later"),
    pytest.param(lambda s: s.purchase(200, 2, {"nuts": 1}), False, id="another visit is served"),
]


@pytest.mark.parametrize(("happens", "well"), ANSWERS)
def test_what_answers_or_excuses(happens: Callable[[Story], None], well: bool) -> None:
    story = unanswered()
    scanner(story)
    happens(story)
    assert (FINDING not in judged(story).findings) is well


def test_a_code_that_is_no_members_needs_no_answer() -> None:
    assert judged(unanswered(member="")).equal


def test_before_the_agent_has_spoken_nobody_can_answer() -> None:
    story = unanswered()
    story.said = [(t, boot, data) for t, boot, data in story.said if t > 120]
    assert judged(story).equal
    assert judged(unanswered(), late_s=30.0).equal  # a fast clock: starting takes longer in store time


def test_a_second_code_of_an_excused_visit_is_not_judged() -> None:
    """Shown again within two seconds it is one reading, and the first was lost with the line."""
    story = unanswered()
    story.was(SHOWN_S + 5, "scanned", visit="v1", cabinet="snacks-a", member="m-1")
    story.was(SHOWN_S - 1, "fault", device="scan-a", detail="unplug")
    story.was(SHOWN_S + 1, "fault_cleared", device="scan-a", detail="unplug")
    assert judged(story).equal


@pytest.mark.parametrize(
    ("end_s", "goods", "findings"),
    [
        (299.0, None, 0),  # a short story proves little, and claims nothing
        (400.0, None, 1),
        (400.0, {}, 1),  # a visit, a door, and nothing taken
        (400.0, {"nuts": 1}, 0),
    ],
)
def test_a_long_story_without_a_sale_proves_nothing(end_s: float, goods: dict[str, int] | None, findings: int) -> None:
    story = Story()
    story.was(0.0, "crossing", detail="in", device="entrance")
    if goods is not None:
        story.purchase(50, 1, goods)
    story.was(end_s, "crossing", detail="out", device="entrance")
    result = judged(story)
    assert result.findings == ("nothing was sold: the story proves nothing",) * findings


def first_word(t: float) -> Callable[[Story], None]:
    """The agent is heard of for the first time then."""

    def happens(story: Story) -> None:
        story.said = [(t, "boot-1", DeviceOnline(device="board-1", kind="lock_board"))]

    return happens


MUTANTS = [
    # what is planted, a story that must change its verdict
    pytest.param("RECOVERY_S", -100.0, first_word(95.0), id="no margin after the first start"),
    pytest.param("EARLY_S", 2.0, says(100.5, denied()), id="answers before the question"),
    pytest.param("_refused", lambda *_, **__: True, says(105.0, denied()), id="anything is an answer"),
]


@pytest.mark.parametrize(("name", "value", "happens"), MUTANTS)
def test_planted_mistakes_of_the_judge_are_seen(
    name: str, value: object, happens: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    story = unanswered()
    happens(story)
    before = judged(story).equal
    monkeypatch.setattr(answers, name, value)
    assert judged(story).equal is not before
