"""Presence: signing in, beating, lapsing; wrong PINs; and what a full ledger does to each."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

import pytest

from contracts.clock import ManualClock
from contracts.event_types import StaffPresenceLost, StaffSignedIn, StaffSignedOut
from edge.config import ConfigError, StaffConfig
from edge.sessions import StaffDesk
from edge.sessions.core import staff
from edge.sessions.core.staff import Roster
from edge.sessions.pins import check_pin, hash_pin, well_formed
from tests.edge_sessions.build import policy
from tests.edge_sessions.fakes import PIN, FakeLedger, store

RULES = policy()


def desk(ledger: FakeLedger, clock: ManualClock) -> StaffDesk:
    return StaffDesk(staff=store("self_service").staff, policy=RULES, ledger=ledger, clock=clock)


@pytest.mark.parametrize(
    ("script", "present"),
    [
        (["in 0"], True),
        (["in 0", "at 120"], True),  # the last second of a heartbeat
        (["in 0", "at 121"], False),
        (["in 0", "beat 100", "at 220"], True),
        (["in 0", "beat 121", "at 121"], False),  # a beat alone never signs in again
        (["beat 0"], False),
        (["in 0", "out 1", "beat 2"], False),
        (["in 0", "elsewhere 100", "at 150"], False),  # a beat of another terminal is none
        (["in 0", "out 1", "in 2"], True),
    ],
)
def test_presence_is_a_heartbeat(script, present):
    roster, now_s = Roster(), 0.0
    for step in script:
        word, at = step.split()
        now_s = float(at)
        if word == "in":
            roster = staff.sign_in(roster, "anna", "counter", now_s)
        elif word == "out":
            roster = staff.sign_out(roster, "anna")
        elif word == "beat":
            roster = staff.beat(roster, RULES, "anna", "counter", now_s)
        elif word == "elsewhere":
            roster = staff.beat(roster, RULES, "anna", "door", now_s)
    assert ("anna" in staff.on_duty(roster, RULES, now_s)) is present
    assert not (present and staff.lapsed(roster, RULES, now_s))


DAY = date(2026, 3, 2)


@pytest.mark.parametrize(
    ("script", "known"),
    [
        (["in 0", "know 1"], True),
        (["know 1"], False),  # only somebody on duty
        (["in 0", "know 121"], False),  # presence has lapsed
        (["in 0", "know 1", "beat 100", "at 200"], True),
        (["in 0", "know 1", "at 121"], False),  # it dies with the presence
        (["in 0", "know 1", "out 2", "in 3"], False),  # and with the sign-out
        (["in 0", "know 1", "in 3"], False),  # another terminal: another duty
        (["in 0", "none 1"], False),  # a reading that tells nobody apart
        (["in 0", "know 1", "tomorrow 2"], False),  # yesterday's pseudonym is not today's
        (["in 0", "ben 1"], False),  # another person's card
    ],
)
def test_who_is_known_and_for_how_long(script, known):
    roster, now_s, day = staff.sign_in(Roster(), "ben", "counter", 0.0), 0.0, DAY
    for step in script:
        word, at = step.split()
        now_s = float(at)
        if word == "in":
            roster = staff.sign_in(roster, "anna", "counter", now_s)
        elif word == "out":
            roster = staff.sign_out(roster, "anna")
        elif word == "beat":
            roster = staff.beat(roster, RULES, "anna", "counter", now_s)
        elif word in ("know", "none", "ben"):
            person, key = "ben" if word == "ben" else "anna", "" if word == "none" else "k"
            roster = staff.know(roster, RULES, person, now_s, key=key, day=DAY)
        elif word == "tomorrow":
            day = DAY + timedelta(days=1)
    assert ("anna" in staff.keys(roster, RULES, now_s, day)) is known


async def test_the_desk_keeps_a_pseudonym_in_memory_alone():
    ledger, clock = FakeLedger(), ManualClock()
    here = desk(ledger, clock)
    changes: list[None] = []
    here.listen(lambda: changes.append(None))
    today = RULES.hours.local(clock.wall()).date()
    assert not here.know("anna", "pseudonym", today)
    assert await here.sign_in("anna", PIN, "counter") == ""
    said = len(changes)
    assert here.know("anna", "pseudonym", today)
    assert len(changes) == said + 1  # the pages see it at once
    assert (here.keys(today), here.keys(None), here.keys(today + timedelta(days=1))) == ({"anna": "pseudonym"}, {}, {})
    assert [p.staff_id for p in here.people() if p.known] == ["anna"]
    assert here.is_here("anna", "counter")
    assert not here.is_here("anna", "door")
    assert "pseudonym" not in repr(ledger.events) + repr(ledger.kinds)
    assert desk(ledger, clock).keys(today) == {}  # a restart knows nobody
    await here.sign_out("anna", "counter")
    assert here.keys(today) == {}


def test_five_wrong_pins_lock_out_and_a_right_one_forgives():
    roster = Roster()
    for _ in range(4):
        roster = staff.pin_checked(roster, RULES, "anna", 0.0, right=False)
    assert not staff.locked_out(roster, "anna", 0.0)
    forgiven = staff.pin_checked(roster, RULES, "anna", 0.0, right=True)
    assert not staff.locked_out(staff.pin_checked(forgiven, RULES, "anna", 0.0, right=False), "anna", 0.0)
    locked = staff.pin_checked(roster, RULES, "anna", 0.0, right=False)
    assert staff.locked_out(locked, "anna", 299.0)
    assert not staff.locked_out(locked, "ben", 0.0)
    assert not staff.locked_out(locked, "anna", 300.0)
    assert (staff.locked_s(locked, "anna", 299.0), staff.locked_s(locked, "anna", 300.0)) == (1.0, None)


async def test_the_desk_writes_what_happens():
    ledger, clock, calls = FakeLedger(), ManualClock(), []
    people = desk(ledger, clock)
    people.listen(lambda: calls.append(1))
    assert await people.sign_in("anna", "9999", "t1") == "wrong_pin"
    assert await people.sign_in("nobody", PIN, "t1") == "wrong_pin"
    assert people.on_duty() == {}
    assert await people.sign_in("anna", PIN, "t1") == ""
    assert people.on_duty() == {"anna": 0.0}
    assert people.is_manager("anna")
    assert not people.is_manager("nobody")
    assert people.adults() == {"anna"}
    assert await people.sign_in("ben", PIN, "t2") == ""
    clock.step(100.0)
    assert people.beat("ben", "t2")
    assert not people.beat("ben", "t1")  # another terminal
    assert [(p.staff_id, p.on_duty, p.beat_age_s) for p in people.people()] == [
        ("anna", True, 100.0),
        ("ben", True, 0.0),
    ]
    clock.step(21.0)
    assert not people.beat("anna", "t1")
    await people.lapse()
    assert not await people.sign_out("ben", "t1")  # another terminal
    assert await people.sign_out("ben", "t2")
    assert not await people.sign_out("ben", "t2")
    assert [type(e) for e in ledger.events] == [StaffSignedIn, StaffSignedIn, StaffPresenceLost, StaffSignedOut]
    assert ledger.last(StaffPresenceLost).last_seen_s == 121.0
    assert len(calls) == 4
    assert PIN not in repr(ledger.events)


async def test_a_locked_out_person_stays_out_even_with_the_right_pin():
    ledger, clock = FakeLedger(), ManualClock()
    people = desk(ledger, clock)
    for _ in range(5):
        assert await people.confirm("anna", "0000") == "wrong_pin"
    assert await people.sign_in("anna", PIN, "t1") == "locked_out"
    clock.step(300.0)
    assert await people.sign_in("anna", PIN, "t1") == ""


async def test_a_flood_of_pins_is_bounded_and_counted():
    people = desk(FakeLedger(), ManualClock())
    answers = await asyncio.gather(*(people.confirm("anna", "0000") for _ in range(20)))
    # five are checked and wrong, three find the person locked out, the rest never waited
    assert sorted(answers) == ["busy"] * 12 + ["locked_out"] * 3 + ["wrong_pin"] * 5
    assert people.dropped_checks == 12


async def test_a_full_ledger_lets_nobody_in_and_everybody_out():
    ledger, clock = FakeLedger(), ManualClock()
    people = desk(ledger, clock)
    assert await people.sign_in("anna", PIN, "t1") == ""
    ledger.full = True
    assert await people.sign_in("ben", PIN, "t1") == "ledger_full"
    assert await people.sign_out("anna", "t1")
    assert people.on_duty() == {}
    ledger.full = False
    await people.lapse()
    assert isinstance(ledger.events[-1], StaffSignedOut)


async def test_two_who_leave_at_the_same_moment_are_written_once_each():
    ledger, clock = FakeLedger(), ManualClock()
    crew = desk(ledger, clock)
    for person in ("anna", "ben"):
        assert await crew.sign_in(person, PIN, "counter") == ""
    await asyncio.gather(crew.sign_out("anna", "counter"), crew.sign_out("ben", "counter"), crew.lapse())
    assert [e.staff_id for e in ledger.events if isinstance(e, StaffSignedOut)] == ["anna", "ben"]


async def test_the_desk_watches_by_itself():
    ledger, clock = FakeLedger(), ManualClock()
    people = desk(ledger, clock)
    assert await people.sign_in("anna", PIN, "t1") == ""
    task = asyncio.create_task(people.run())
    await asyncio.sleep(0)
    for _ in range(125):
        await clock.advance(1.0)
    task.cancel()
    assert isinstance(ledger.last(StaffPresenceLost), StaffPresenceLost)


def test_what_cannot_be_written_is_counted_when_it_is_lost():
    people = desk(FakeLedger(), ManualClock())
    for _ in range(70):
        people._say(StaffSignedOut(staff_id="anna", terminal=""))
    assert people.dropped_events == 6


def test_a_pin_is_stored_as_a_salted_hash():
    first, second = hash_pin("1234"), hash_pin("1234")
    assert first != second
    assert "1234" not in first.split("$")[-1]
    assert check_pin("1234", first)
    assert not check_pin("1235", first)
    assert not check_pin("1" * 17, first)
    with pytest.raises(ValueError, match="4 to 16"):
        hash_pin("123")


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "1234",  # somebody wrote the PIN itself
        "md5$1$1$1$00$00",
        "scrypt$x$8$1$00$00",
        "scrypt$15$8$1$" + "00" * 16 + "$" + "00" * 32,  # not a power of two
        "scrypt$16384$8$1$zz$" + "00" * 32,
        "scrypt$16384$8$1$" + "00" * 4 + "$" + "00" * 32,  # too little salt
        "scrypt$999999$8$1$" + "00" * 16 + "$" + "00" * 32,  # would eat the memory
    ],
)
def test_a_hash_that_is_none_is_refused_at_start(stored):
    assert not well_formed(stored)
    assert not check_pin("1234", stored)
    person = StaffConfig(id="anna", name="Anna", pin_hash=stored)
    with pytest.raises(ConfigError, match=r"staff.anna.pin_hash"):
        StaffDesk(staff=[person], policy=RULES, ledger=FakeLedger(), clock=ManualClock())
