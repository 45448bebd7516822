"""What a customer sees, for every state the agent can be in; and what they may never see (T12)."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from edge.desk.messages import CabinetDesk, CompartmentDesk, CountDesk, DeskState, SessionDesk
from edge.pages import kiosk_draw
from edge.pages.kiosk_view import Choice, Kind, Screen, chosen_goods, goods_of, qty_of, screen_of
from edge.pages.words import reason
from look.i18n import LANGS, Lang
from tests.edge_pages.fake_store import (
    COLA,
    MEMBER,
    SMOKE_A,
    SMOKE_B,
    SMOKE_C,
    TOBACCO_WORDS,
    first_state,
    line,
)

Mode = Literal["self_service", "staff_release", "restock"]
ALL_SMOKE = (SMOKE_A, SMOKE_B, SMOKE_C)


def at(cabinet: str, *, goods: bool = False, **session: Any) -> DeskState:
    """The store with a session in one cabinet; with `goods`, the agent carries tobacco goods as well."""
    here = next(c for c in first_state().cabinets if c.cabinet == cabinet)
    door = here.compartments[0].compartment
    live = SessionDesk(**{"session": "s1", "compartment": door, "mode": here.mode, "state": "asked", **session})
    doors = tuple(replace(d, goods=ALL_SMOKE) for d in here.compartments) if goods else here.compartments
    return with_cabinet(replace(here, session=live, compartments=doors))


def with_cabinet(cabinet: CabinetDesk) -> DeskState:
    state = first_state()
    return replace(state, cabinets=tuple(cabinet if c.cabinet == cabinet.cabinet else c for c in state.cabinets))


@pytest.mark.parametrize(
    ("cabinet", "session", "kind"),
    [
        # a snack cabinet, from the code to the receipt
        ("snack", {}, "welcome"),  # a code was read; the cloud's greeting is on its way
        ("snack", {"state": "held", "member": MEMBER}, "welcome"),
        ("snack", {"state": "paying"}, "welcome"),
        ("snack", {"state": "intent"}, "welcome"),
        ("snack", {"state": "sent"}, "welcome"),
        ("snack", {"state": "verify"}, "welcome"),
        ("snack", {"state": "wait"}, "pull"),
        ("snack", {"state": "open"}, "open"),
        ("snack", {"state": "weigh"}, "weigh"),
        ("snack", {"state": "done", "outcome": "settled"}, "receipt"),
        ("snack", {"state": "done", "outcome": "review_charged"}, "receipt"),
        ("snack", {"state": "done", "outcome": "settled_unpaid"}, "unpaid"),
        ("snack", {"state": "done", "outcome": "nothing_taken"}, "nothing"),
        ("snack", {"state": "done", "outcome": "not_opened"}, "nothing"),
        ("snack", {"state": "done", "outcome": "review_dropped"}, "nothing"),
        ("snack", {"state": "done", "outcome": "declined"}, "declined"),
        ("snack", {"state": "done", "outcome": "voided"}, "cancelled"),
        ("snack", {"state": "done", "outcome": "nothing"}, "nothing"),  # concluded, the hold still to be given back
        ("snack", {"state": "done", "outcome": "review"}, "review"),
        ("snack", {"state": "done", "outcome": "settled", "mode": "restock"}, "code"),  # no receipt for a restock
        ("snack", {"state": "done", "outcome": ""}, "review"),  # no word for it yet: honest, and no charge promised
        ("snack", {"state": "open", "mode": "restock"}, "restock"),
        # a staffed cabinet
        ("staffed", {"needs": ("age", "release")}, "id_card"),
        ("staffed", {"needs": ("release",)}, "goods"),
        ("staffed", {"needs": ("release",), "declared": (line(SMOKE_A, 1),)}, "waiting"),
        ("staffed", {"state": "held", "needs": ("release",)}, "waiting"),  # a release that expired
        ("staffed", {"state": "held"}, "welcome"),
        ("staffed", {"state": "wait"}, "pull"),
        ("staffed", {"state": "done", "outcome": "cancelled", "failed_rules": ("T01",)}, "cancelled"),
    ],
)
def test_each_state_has_its_screen(cabinet: str, session: dict[str, Any], kind: Kind) -> None:
    assert screen_of(at(cabinet, **session), cabinet).kind == kind


@pytest.mark.parametrize(
    ("cabinet", "kind", "reason"),
    [
        ("snack", "code", ""),  # one door: straight to the code
        ("drinks", "code", ""),  # the agent knows which door
        ("staffed", "begin", ""),
        ("nowhere", "unknown", ""),
    ],
)
def test_before_a_session(cabinet: str, kind: Kind, reason: str) -> None:
    screen = screen_of(first_state(), cabinet)
    assert (screen.kind, screen.reason) == (kind, reason)


def test_without_an_agent_the_kiosk_waits() -> None:
    assert screen_of(None, "snack").kind == "starting"


@pytest.mark.parametrize("mode", ["self_service", "staff_release"])
def test_a_cabinet_whose_doors_are_all_closed_says_why(mode: Literal["self_service", "staff_release"]) -> None:
    door = CompartmentDesk(compartment="A1", goods=(), available=False, reason="staff_absent")
    cabinet = CabinetDesk(cabinet="snack", name_zh="零", name_en="S", mode=mode, compartments=(door,))
    screen = screen_of(with_cabinet(cabinet), "snack")
    assert (screen.kind, screen.reason) == ("closed", "staff_absent")
    assert screen_of(with_cabinet(replace(cabinet, compartments=())), "snack").reason == "blocked"


def test_a_counter_only_cabinet_never_sells_here() -> None:
    cabinet = replace(first_state().cabinets[0], mode="counter_only")
    screen = screen_of(with_cabinet(cabinet), "snack")
    assert (screen.kind, screen.reason) == ("closed", "counter_only")


@pytest.mark.parametrize(
    ("state", "cancel"),
    [
        *((s, True) for s in ("asked", "paying", "held")),  # before the frame
        *(
            (s, False) for s in ("intent", "sent", "verify", "wait", "open", "weigh", "done")
        ),  # it cannot be called back
    ],
)
def test_cancel_is_offered_while_it_can_be_kept(state: str, cancel: bool) -> None:
    screen = screen_of(at("snack", state=state, member=MEMBER), "snack")
    assert screen.can_cancel is cancel
    assert ('data-act="cancel"' in kiosk_draw.way_out(screen, "en")) is cancel
    assert kiosk_draw.way_out(screen, "en") != ""  # there is always a word on leaving


SESSIONS = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["staff_release", "restock", "self_service"]),
        "state": st.sampled_from(
            ["asked", "paying", "held", "intent", "sent", "verify", "wait", "open", "weigh", "done"]
        ),
        "needs": st.sampled_from([("age",), ("age", "release"), ("release",), ()]),
        "seconds_left": st.none() | st.floats(0, 300),
        "outcome": st.sampled_from(["", "settled", "cancelled", "needs_review"]),
        "failed_rules": st.sampled_from([(), ("T03",)]),
    }
)


@settings(max_examples=200, deadline=None)
@given(session=st.none() | SESSIONS, lang=st.sampled_from(LANGS), sku=st.sampled_from(["", "ta", "tb"]))
def test_no_tobacco_is_named_before_an_adult_is_proven(session: dict[str, Any] | None, lang: Lang, sku: str) -> None:
    """T12, on the page's side: even if the agent carried the goods, they are not drawn."""
    state = at("staffed", goods=True, **(session or {}))
    if session is None:
        here = next(c for c in state.cabinets if c.cabinet == "staffed")
        state = with_cabinet(replace(here, session=None))
    screen = screen_of(state, "staffed")
    choice = Choice(sku=sku)
    drawn = kiosk_draw.heading(screen, lang) + kiosk_draw.body(screen, choice, lang) + kiosk_draw.way_out(screen, lang)
    if session is None or "age" in session["needs"]:
        assert not any(word in drawn for word in TOBACCO_WORDS)
        assert goods_of(screen) == ()
        assert chosen_goods(screen, choice) is None


def test_after_the_proof_goods_are_facts_under_a_warning() -> None:
    screen = screen_of(at("staffed", goods=True, needs=("release",)), "staffed")
    drawn = kiosk_draw.body(screen, Choice(sku="tb", qty=2), "en")
    assert "Smoking harms your health" in drawn
    assert "¥45.00 each" in drawn
    assert "7 in stock" in drawn
    assert "¥90.00" in drawn  # what will be asked for
    assert drawn.count('role="radio"') == 3
    assert 'aria-checked="true"' in drawn


@pytest.mark.parametrize(
    ("sku", "asked", "shown"),
    [
        ("tb", 0, 1),  # never none
        ("tb", 5, 5),
        ("td", 99, 3),  # what is there
        ("ta", 99, 6),  # what one purchase shows at most
        ("tc", 1, 1),  # sold out: nothing is chosen
    ],
)
def test_the_quantity_stays_within_what_can_be_sold(sku: str, asked: int, shown: int) -> None:
    state = at("staffed", goods=True, needs=("release",))
    doors = tuple(
        replace(d, goods=(*d.goods, replace(SMOKE_B, sku="td", units=3))) for d in state.cabinets[2].compartments
    )
    screen = screen_of(with_cabinet(replace(state.cabinets[2], compartments=doors)), "staffed")
    assert qty_of(screen, Choice(sku=sku, qty=asked)) == shown


def test_the_only_product_is_chosen_already() -> None:
    cabinet = at("staffed", needs=("release",)).cabinets[2]
    doors = tuple(replace(d, goods=(SMOKE_A,)) for d in cabinet.compartments)
    screen = screen_of(with_cabinet(replace(cabinet, compartments=doors)), "staffed")
    assert chosen_goods(screen, Choice()) == SMOKE_A


def test_both_ways_to_show_a_code_stand_on_one_screen() -> None:
    """P02 in spirit: an alternative is equal only if it is as near and as large."""
    drawn = kiosk_draw.body(screen_of(first_state(), "snack"), Choice(), "en")
    assert drawn.count('class="sp-way"') == 2
    assert drawn.index("Scan your code") < drawn.index("Type your code")


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize(
    ("session", "says"),
    [
        ({"state": "done", "outcome": "settled", "lines": (line(COLA, 2),)}, "¥7.00"),
        ({"state": "done", "outcome": "settled_unpaid", "lines": (line(COLA, 2),)}, "¥7.00"),
        ({"state": "held", "member": MEMBER}, "1,280"),
        ({"state": "held", "member": replace(MEMBER, offers=())}, "1,280"),
        ({"state": "held"}, "sp-opening"),
        ({"state": "done", "outcome": "cancelled"}, "sp-mark"),
    ],
)
def test_what_a_screen_must_say(session: dict[str, Any], says: str, lang: Lang) -> None:
    screen = screen_of(at("snack", **session), "snack")
    assert says in kiosk_draw.body(screen, Choice(), lang)


@pytest.mark.parametrize(
    ("seconds_left", "state", "late", "share"),
    [
        (60.0, "open", False, 100),
        (15.4, "open", False, 25),
        (9.6, "open", True, 17),  # shown as 10: hurry
        (0.0, "open", True, 0),
        (-3.0, "open", True, 0),  # the agent is about to act
    ],
)
def test_the_ring_empties(seconds_left: float, state: str, late: bool, share: int) -> None:
    screen = screen_of(at("snack", state=state, seconds_left=seconds_left), "snack")
    drawn = kiosk_draw.countdown(screen, 60.0, "en")
    assert ("sp-late" in drawn) is late
    assert f'stroke-dasharray="{share} 100"' in drawn


def test_no_countdown_without_one() -> None:
    assert kiosk_draw.countdown(Screen("code"), 1.0, "en") == ""


def test_a_name_can_never_become_markup() -> None:
    evil = replace(MEMBER, name="<script>alert(1)</script>")
    screen = screen_of(at("snack", state="held", member=evil), "snack")
    from look.markup import join

    assert "<script>" not in join(kiosk_draw.heading(screen, "en"))


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        ((), ""),
        (("T02",), ""),  # nobody has released: no reason a customer can act on
        (("T02", "T03"), "T03"),  # the card did not prove an adult
        (("D.latch", "T01", "T02"), "T01"),
        (("D.offline",), "D.offline"),
        (("T02", "refused"), "refused"),  # a colleague has said no
    ],
)
def test_the_most_telling_rule_is_told(failed: tuple[str, ...], reason: str) -> None:
    live = screen_of(at("staffed", needs=("age", "release"), failed_rules=failed), "staffed")
    ended = screen_of(at("staffed", state="done", outcome="cancelled", failed_rules=failed), "staffed")
    assert (live.reason, ended.reason) == (reason, reason)
    assert ('role="alert"' in kiosk_draw.body(live, Choice(), "en")) is bool(reason)


@pytest.mark.parametrize("state", ["wait", "open"])
def test_a_greeting_that_comes_late_is_still_shown(state: str) -> None:
    drawn = kiosk_draw.body(screen_of(at("snack", state=state, member=MEMBER), "snack"), Choice(), "en")
    assert f"Hello, {MEMBER.name}" in drawn
    assert "1,280" in drawn


@pytest.mark.parametrize(
    ("state", "shown"),
    [("paying", False), ("held", False), ("wait", True), ("open", True), ("weigh", False)],
)
def test_only_seconds_that_a_customer_can_use_are_counted(state: str, shown: bool) -> None:
    screen = screen_of(at("snack", state=state, seconds_left=9.0), "snack")
    assert (kiosk_draw.countdown(screen, 10.0, "en") != "") is shown


@pytest.mark.parametrize(
    ("cabinet", "lang", "title"),
    [
        ("snack", "zh", "柜门已解锁，请拉开"),  # one door needs no number
        ("staffed", "zh", "1 号门已解锁，请拉开"),
        ("snack", "en", "The door is unlocked: pull it open"),
        ("staffed", "en", "Door 1 is unlocked: pull it open"),
    ],
)
def test_a_door_is_called_as_people_call_it(cabinet: str, lang: Lang, title: str) -> None:
    assert kiosk_draw.heading(screen_of(at(cabinet, state="wait"), cabinet), lang) == title


@pytest.mark.parametrize("lang", LANGS)
def test_a_door_that_waits_for_a_count_says_so_and_names_nothing(lang: Lang) -> None:
    """T12: what staff must count stands in the same state, and no kiosk draws it."""
    here = next(c for c in first_state().cabinets if c.cabinet == "staffed")
    first, second = here.compartments
    due = replace(first, available=False, reason="count_due", count_due=True)
    counts = (CountDesk(cabinet="staffed", compartment="C1", goods=ALL_SMOKE),)
    says = reason("count_due", lang)
    for doors in ((due, second), (due, replace(due, compartment="C2"))):
        state = replace(with_cabinet(replace(here, compartments=doors)), counts=counts)
        screen = screen_of(state, "staffed")
        drawn = kiosk_draw.heading(screen, lang) + kiosk_draw.body(screen, Choice(), lang)
        assert says in drawn
        assert not any(word in drawn for word in TOBACCO_WORDS)
