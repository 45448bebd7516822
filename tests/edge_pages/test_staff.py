"""What staff see, and when a beat may go out: presence is a touch, never a timer alone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

from edge.desk.messages import AlarmDesk, CountDesk, DeskState, ReviewDesk, SessionDesk, StaffDesk
from edge.pages import staff_draw
from edge.pages.staff_count import pieces
from edge.pages.staff_view import Desk, Kind, lapsed, requests_of, revokes_of, screen_of
from look.i18n import LANGS, Lang
from tests.edge_pages.fake_store import COLA, SMOKE_A, SMOKE_B, TEA, first_state, line


def store(*, on_duty: bool = True, request: dict[str, Any] | None = None, **fields: Any) -> DeskState:
    """The quiet store with Li on duty; with `request`, a session in the staffed cabinet."""
    state = first_state()
    staff = tuple(replace(s, on_duty=on_duty and s.staff_id == "li", beat_age_s=4.0) for s in state.staff)
    cabinets = state.cabinets
    if request is not None:
        live = SessionDesk(
            **{
                "session": "s1",
                "compartment": "C1",
                "mode": "staff_release",
                "state": "asked",
                "needs": ("release",),
                "declared": (line(SMOKE_B, 2),),
                "adult_by": "id_card",
                "waiting_s": 12.0,
                "seconds_left": 97.0,
                **request,
            }
        )
        cabinets = tuple(replace(c, session=live) if c.cabinet == "staffed" else c for c in cabinets)
    return replace(state, **{"staff": staff, "cabinets": cabinets, **fields})


def li(**fields: Any) -> Desk:
    desk = Desk()
    desk.sign_in("li", 100.0, 100.0)
    for name, value in fields.items():
        setattr(desk, name, value)
    return desk


COUNT = CountDesk(cabinet="staffed", compartment="C1", goods=(SMOKE_A, SMOKE_B))
REVIEW = ReviewDesk(session="r1", cabinet="snack", reason="ambiguous", delta_g=351.5, proposal=(line(COLA, 1),))


@pytest.mark.parametrize(
    ("state", "desk", "kind"),
    [
        (None, Desk(), "starting"),
        (store(), Desk(), "name"),
        (store(), Desk(naming="li"), "pin"),
        (store(), Desk(naming="nobody"), "name"),  # the list has changed
        (store(), li(), "home"),
        (store(request={}), li(), "request"),  # fills the screen
        (store(request={}), Desk(), "name"),  # but only for somebody signed in
        (store(request={"needs": ("age", "release")}), li(), "home"),  # no adult proven: nothing to release
        (store(request={"declared": ()}), li(), "home"),  # nothing asked for yet
        (store(request={"state": "done"}), li(), "home"),
        (store(request={}), li(errand="refuse", target="s1"), "refuse"),
        (store(request={}), li(errand="refuse", target="s0"), "request"),  # that one is over
        (store(), li(errand="refuse", target="s1"), "home"),
        (store(request={}), li(errand="pin_release", target="s1"), "pin_release"),
        (store(request={}), li(errand="restock"), "request"),  # a customer comes first
        (
            store(request={}),
            li(errand="pin_restock", target="snack/A1"),
            "pin_restock",
        ),  # but not in the middle of a PIN
        (store(), li(errand="restock"), "restock"),
        (store(), li(errand="lift"), "lift"),
        (store(), li(errand="pin_lift", target="store"), "pin_lift"),
        (store(reviews=(REVIEW,)), li(errand="review", target="r1"), "review"),
        (store(), li(errand="review", target="r1"), "home"),  # decided elsewhere
        (store(counts=(COUNT,)), li(), "home"),
        (store(counts=(COUNT,)), li(counting="staffed/C1"), "count"),
        (store(counts=(COUNT,), request={}), li(counting="staffed/C1"), "request"),  # a customer comes first
        (store(counts=(COUNT,)), li(counting="staffed/C2"), "home"),  # that one needs none
        (store(counts=(COUNT,)), Desk(counting="staffed/C1"), "name"),  # nobody is signed in
    ],
)
def test_each_place_has_its_screen(state: DeskState | None, desk: Desk, kind: Kind) -> None:
    assert screen_of(state, desk).kind == kind


def test_the_longest_waiting_customer_comes_first() -> None:
    state = store(request={})
    other = replace(state.cabinets[2].session, session="s2", waiting_s=44.0)  # type: ignore[type-var]  # not None
    more = replace(state.cabinets[2], cabinet="staffed2", session=other)
    state = replace(state, cabinets=(*state.cabinets, more))
    assert [r.session.session for r in requests_of(state)] == ["s2", "s1"]
    assert screen_of(state, li()).waiting == 1


@pytest.mark.parametrize(
    ("now_s", "touched_s", "beaten_s", "due"),
    [
        (119.0, 100.0, 100.0, False),  # 19 s since the last beat
        (120.0, 100.0, 100.0, True),  # 20 s
        (209.0, 100.0, 180.0, True),  # touched 109 s ago
        (210.0, 100.0, 180.0, False),  # touched 110 s ago: the tablet is alone
        (210.0, 209.0, 180.0, True),  # somebody came back in time
    ],
)
def test_a_beat_needs_a_touch(now_s: float, touched_s: float, beaten_s: float, due: bool) -> None:
    assert li(touched_s=touched_s, beaten_s=beaten_s).beat_due(now_s) is due


def test_a_beat_needs_a_person() -> None:
    assert not Desk(touched_s=1000.0).beat_due(1000.0)


@pytest.mark.parametrize(
    ("now_s", "left_s"),
    [
        (169.9, None),  # not yet
        (170.0, 40.0),  # asked for the first time
        (209.0, 1.0),
        (260.0, 0.0),
    ],
)
def test_the_tablet_asks_whether_anybody_is_here(now_s: float, left_s: float | None) -> None:
    assert li().here_left_s(now_s) == left_s
    assert (staff_draw.here(left_s, "en") == "") is (left_s is None)


def test_nobody_is_asked_when_nobody_is_signed_in() -> None:
    assert Desk().here_left_s(1e6) is None


@pytest.mark.parametrize(
    ("on_duty", "seen", "now_s", "gone"),
    [
        (True, False, 101.0, False),
        (False, False, 114.0, False),  # the agent's yes is on its way
        (False, False, 116.0, True),  # it never came
        (False, True, 101.0, True),  # presence has lapsed, or somebody signed out elsewhere
    ],
)
def test_the_agent_decides_who_is_on_duty(on_duty: bool, seen: bool, now_s: float, gone: bool) -> None:
    desk = li(seen_on_duty=seen)
    assert lapsed(store(on_duty=on_duty), desk, now_s) is gone


def test_a_lapse_is_of_somebody() -> None:
    assert not lapsed(store(), Desk(), 0.0)
    assert not lapsed(None, li(), 0.0)


def test_leaving_forgets_the_person() -> None:
    desk = li(errand="review", target="r1", seen_on_duty=True)
    desk.leave()
    assert (desk.staff_id, desk.naming, desk.errand, desk.target, desk.seen_on_duty) == ("", "", "", "", False)


def test_the_request_says_who_is_adult_and_how_and_what_and_how_many_and_since_when() -> None:
    screen = screen_of(store(request={}), li())
    drawn = staff_draw.body(screen, store(request={}), li(), "en") + staff_draw.seconds(screen, "en")
    for word in ("Proven adult", "by ID card", "Sample B, soft pack", "× 2", "Door 1", "¥90.00", "12 s", "97 s"):
        assert word in drawn


def test_a_request_without_times_shows_none() -> None:
    screen = screen_of(store(request={"waiting_s": None, "seconds_left": None, "adult_by": "?"}), li())
    assert "<dt>" not in staff_draw.seconds(screen, "en")


def test_the_next_request_is_another_screen() -> None:
    """Else the tap meant for one customer would release the next."""
    keys = set()
    for session in ("s1", "s2"):
        state = store(request={"session": session})
        keys.add(staff_draw.body(screen_of(state, li()), state, li(), "en").split('"')[1])
    assert len(keys) == 2


def test_release_is_guarded_and_refuse_is_not() -> None:
    state = store(request={})
    drawn = staff_draw.foot(screen_of(state, li()), state, "en")
    refuse, release = drawn.split("</button>")[:2]
    assert "data-guard" in release
    assert "data-guard" not in refuse


@pytest.mark.parametrize(
    ("delta_g", "proposal", "says"),
    [
        (
            351.5,
            (line(COLA, 1), line(TEA, 1)),
            ("351.5 g less", "¥9.00 is taken", "Charge ¥9.00", "Nothing is charged"),
        ),
        (-20.0, (), ("20.0 g more", "count the goods", "Nothing is charged")),
        (None, (), ("not known",)),
        (0.01, (), ("none",)),
    ],
)
def test_a_review_says_before_what_will_happen(delta_g: float | None, proposal: Any, says: tuple[str, ...]) -> None:
    state = store(reviews=(replace(REVIEW, delta_g=delta_g, proposal=proposal),))
    desk = li(errand="review", target="r1")
    screen = screen_of(state, desk)
    drawn = staff_draw.body(screen, state, desk, "en") + staff_draw.foot(screen, state, "en")
    for word in says:
        assert word in drawn
    assert ("review_accept" in drawn) is bool(proposal)  # nothing to accept without a proposal


@pytest.mark.parametrize("lang", LANGS)
def test_alarms_and_presence_are_on_every_screen(lang: Lang) -> None:
    alarm = AlarmDesk(code="door_forced", subject="A1", since_s=70.0)
    base: dict[str, Any] = {"alarms": (alarm,), "reviews": (REVIEW,)}
    for state, desk in [
        (store(**base), li()),
        (store(request={}, **base), li()),
        (store(**base), li(errand="restock")),
        (store(**base), li(errand="review", target="r1")),
        (store(**base), Desk()),
    ]:
        drawn = staff_draw.strip(state, screen_of(state, desk), lang)
        assert "A1" in drawn
        assert "李敏" in drawn


def test_nobody_on_duty_is_said_once() -> None:
    state = store(
        on_duty=False, alarms=(AlarmDesk(code="staff_absent", subject="staffed", since_s=1.0),), cloud_online=False
    )
    drawn = staff_draw.strip(state, screen_of(state, Desk()), "en")
    assert drawn.count("Nobody on duty") == 1
    assert "Cloud offline" in drawn
    assert staff_draw.strip(None, screen_of(None, Desk()), "en") == ""


@pytest.mark.parametrize(
    ("manager", "revokes", "offered"),
    [
        (True, ("store",), True),
        (True, (), False),  # nothing to lift
        (False, ("store",), False),  # not a manager
    ],
)
def test_only_a_manager_is_offered_to_lift(manager: bool, revokes: tuple[str, ...], offered: bool) -> None:
    state = store(revokes=revokes)
    state = replace(state, staff=tuple(replace(s, manager=manager) for s in state.staff))
    assert ('data-act="lift"' in staff_draw.foot(screen_of(state, li()), state, "en")) is offered


def test_revokes_are_named_in_words() -> None:
    state = store()
    assert [staff_draw.target(name, state, "en") for name in ("store", "cabinet:snack", "snack", "session:s9")] == [
        "Whole store",
        "Snack cabinet",
        "Snack cabinet",
        "s9",
    ]
    closed = replace(state.cabinets[0].compartments[0], available=False, reason="revoked")
    silent = replace(state, cabinets=(replace(state.cabinets[0], compartments=(closed,)), *state.cabinets[1:]))
    assert revokes_of(silent) == ("cabinet:snack",)


def test_a_locked_name_cannot_be_chosen() -> None:
    locked = StaffDesk(staff_id="li", name="李敏", manager=True, on_duty=False, locked_s=123.0)
    state = store(staff=(locked,))
    drawn = staff_draw.body(screen_of(state, Desk()), state, Desk(), "en")
    assert "try again in 130 s" in drawn
    assert "disabled" in drawn
    empty = store(staff=())
    assert "No staff" in staff_draw.body(screen_of(empty, Desk()), empty, Desk(), "en")


def test_a_count_has_one_labelled_row_a_product() -> None:
    state, desk = store(counts=(COUNT,)), li(counting="staffed/C1", drawn={"tb": "70"})
    screen = screen_of(state, desk)
    drawn = staff_draw.body(screen, state, desk, "en")
    assert re.findall(r'<label for="units-(\w+)"><strong>([^<]+)', drawn) == [
        ("ta", "Sample A, hard pack"),
        ("tb", "Sample B, soft pack"),
    ]
    fields = re.findall(r'<input id="units-(\w+)" name="(\w+)" type="number".*? value="(\d+)"', drawn)
    assert fields == [("ta", "ta", "18"), ("tb", "tb", "70")]  # the book, or what was typed before
    assert re.findall(r'data-step="(-?1)" data-of="units-ta" aria-label="([^"]+)"', drawn) == [
        ("-1", "One less: Sample A, hard pack"),
        ("1", "One more: Sample A, hard pack"),
    ]
    assert "nothing opens" in drawn
    assert "Door 1" in staff_draw.heading(screen, state, "en")
    foot = staff_draw.foot(screen, state, "en")
    assert 'form="count-form"' in foot
    assert 'data-act="back"' in foot
    assert 'data-act="count" data-value="staffed/C1"' in staff_draw.body(screen_of(state, li()), state, li(), "en")
    assert "To count" not in staff_draw.body(screen_of(store(), li()), store(), li(), "en")


@pytest.mark.parametrize(
    ("typed", "counted"),
    [
        ({"ta": "0", "tb": "500"}, {"ta": 0, "tb": 500}),
        ({"ta": " 7 ", "tb": "007"}, {"ta": 7, "tb": 7}),
        ({}, {}),  # the agent refuses it
        *(({"ta": "1", "tb": bad}, None) for bad in ("", "-1", "501", "1.5", "1e2", "x", "９", "²", "1" * 5000)),
    ],
)
def test_only_whole_numbers_of_pieces_are_counted(typed: dict[str, str], counted: dict[str, int] | None) -> None:
    assert pieces(typed) == counted


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize(
    "desk",
    [
        li(counting="staffed/C1"),
        Desk(),
        Desk(naming="li"),
        li(),
        *(li(errand=e, target="snack/A1") for e in ("restock", "lift", "pin_restock", "pin_lift")),
    ],
)
def test_every_screen_draws_in_both_languages(desk: Desk, lang: Lang) -> None:
    session = replace(store(request={"needs": ("age", "release")}).cabinets[2].session, state="sent")  # type: ignore[type-var]
    state = store(
        reviews=(REVIEW,),
        counts=(COUNT,),
        revokes=("cabinet:snack",),
        alarms=(AlarmDesk(code="?", subject="x", since_s=1.0),),
    )
    state = replace(state, cabinets=(replace(state.cabinets[0], session=session), *state.cabinets[1:]))
    for one in (state, None):
        screen = screen_of(one, desk)
        assert staff_draw.heading(screen, one, lang)
        assert "<div" in staff_draw.body(screen, one, desk, lang)
        assert (staff_draw.foot(screen, one, lang) == "") is (screen.kind in ("starting", "name"))
