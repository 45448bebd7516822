"""A ledger that takes nothing more: customers read what to do, staff read why, in both languages."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from edge.desk.messages import AlarmDesk, StaffDesk
from edge.pages import kiosk_draw, staff_draw
from edge.pages.kiosk_view import Choice, screen_of
from edge.pages.staff_view import Desk
from edge.pages.staff_view import screen_of as staff_screen_of
from look.i18n import Lang
from tests.edge_pages.fake_store import first_state


@pytest.mark.parametrize(("lang", "says"), [("zh", "系统暂停营业，请找店员"), ("en", "Sales are paused by the system")])
@pytest.mark.parametrize("cabinet", ["snack", "staffed"])
def test_the_kiosk_shows_a_clear_screen_and_no_way_to_a_door(cabinet: str, lang: Lang, says: str) -> None:
    state = first_state()
    shut = tuple(
        replace(c, compartments=tuple(replace(d, available=False, reason="ledger_full") for d in c.compartments))
        for c in state.cabinets
    )
    screen = screen_of(replace(state, cabinets=shut), cabinet)
    assert (screen.kind, screen.reason) == ("closed", "ledger_full")
    assert says in kiosk_draw.body(screen, Choice(), lang)


@pytest.mark.parametrize(
    ("code", "lang", "says"),
    [
        ("ledger_full", "zh", "账本写不进去"),
        ("ledger_full", "en", "cannot be written"),
        ("disk_filling", "zh", "磁盘快满了"),  # at 80 %, while everything still sells
        ("disk_filling", "en", "disk is filling up"),
    ],
)
def test_staff_read_why(code: str, lang: Lang, says: str) -> None:
    state = replace(
        first_state(),
        staff=(
            StaffDesk(staff_id="li", name="李敏", manager=True, on_duty=True, beat_age_s=1.0, locked_s=0.0, known=True),
        ),
        alarms=(AlarmDesk(code=code, subject="", since_s=70.0),),
    )
    drawn = staff_draw.strip(state, staff_screen_of(state, Desk()), lang)
    assert says in drawn
    assert f"{says} ·" not in drawn
