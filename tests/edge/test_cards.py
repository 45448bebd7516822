"""A card on the reader proves the age of one buyer: whoever lays it down in this session, and nobody after them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from device_drivers.capabilities import AdultReading
from device_drivers.errors import UnavailableError
from edge import agent as agent_module
from edge.agent import Agent
from edge.sessions import StaffDesk
from edge.staff_cards import ARMED_S, StaffCards

ADULT = AdultReading(adult=True, doc_valid=True, person_day_key="ab" * 16)
TODAY = date(2026, 3, 2)


class Place:
    """A reader, a cabinet and its staff, all by attribute; the agent's loop over them."""

    def __init__(self) -> None:
        self.laid = False  # a card lies on the reader
        self.broken = False
        self.session = ""
        self.proven: list[str] = []
        self.reads = self.looks = 0
        self.failures: list[str] = []
        self.reading = ADULT
        self.while_reading: list[str] = []  # sessions that begin while a card is read
        self.present_staff = {"anna"}
        self.known: list[tuple[str, str]] = []  # person, pseudonym
        self.now_s = 0.0
        self.day = TODAY
        self.cards = StaffCards(
            readers=frozenset({"T1"}), staff=cast("StaffDesk", self), today=lambda: self.day, real_s=lambda: self.now_s
        )

    async def read(self) -> AdultReading | None:
        self.reads += 1
        laid = await self._look()
        if self.while_reading:
            self.session = self.while_reading.pop()
        return self.reading if laid else None

    def on_duty(self) -> dict[str, float]:
        return dict.fromkeys(self.present_staff, 0.0)

    def know(self, staff_id: str, key: str, day: date) -> bool:
        assert day == TODAY
        self.known.append((staff_id, key))
        return True

    async def present(self) -> bool:
        return await self._look()

    async def _look(self) -> bool:
        self.looks += 1
        if self.broken:
            raise UnavailableError("no reply")
        return self.laid

    def snapshot(self) -> Any:
        needs = () if self.session in self.proven else ("age",)
        return SimpleNamespace(session=SimpleNamespace(session=self.session, needs=needs) if self.session else None)

    async def age_proof(self, session: str, reading: AdultReading, method: str) -> None:
        assert (reading, method) == (ADULT, "id_card")
        self.proven.append(session)

    async def looked(self) -> None:
        """The loop has looked twice more: what it saw before no longer counts."""
        target = self.looks + 2
        while self.looks < target:
            await asyncio.sleep(0)


@pytest.fixture
async def place(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(agent_module, "CARD_EVERY_S", 0.0)
    place = Place()
    health = SimpleNamespace(ok=lambda: None, failed=place.failures.append)
    watched = SimpleNamespace(config=SimpleNamespace(cabinet="T1"), reader=place, health=health)
    agent = SimpleNamespace(runners={"T1": place}, staff_cards=place.cards)
    loop = asyncio.create_task(Agent._cards(agent, watched))  # type: ignore[arg-type]  # all that the loop uses
    await place.looked()
    yield place
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_a_card_laid_down_in_the_session_proves_it_once(place: Place) -> None:
    place.session = "s1"
    await place.looked()
    place.laid = True
    await place.looked()
    assert place.proven == ["s1"]
    await place.looked()
    assert place.proven == ["s1"]


async def test_a_card_left_behind_is_not_the_next_buyers(place: Place) -> None:
    """An adult buys and forgets the card; a child asks next."""
    place.session = "s1"
    await place.looked()
    place.laid = True
    await place.looked()
    for place.session in ("", "s2"):  # at once, and without a pause
        await place.looked()
    assert place.proven == ["s1"]
    place.laid = False
    await place.looked()
    place.laid = True  # a card of their own
    await place.looked()
    assert place.proven == ["s1", "s2"]


async def test_a_card_laid_again_after_the_proof_is_left_behind_too(place: Place) -> None:
    place.session = "s1"
    await place.looked()
    for place.laid in (True, False, True):
        await place.looked()
    for place.session in ("", "s2"):
        await place.looked()
    assert place.proven == ["s1"]


async def test_a_card_that_lay_there_before_the_session_must_be_lifted_first(place: Place) -> None:
    place.laid = True
    await place.looked()
    place.session = "s1"
    await place.looked()
    assert place.proven == []


async def test_a_reader_that_fails_forgets_no_card(place: Place) -> None:
    place.laid = True
    await place.looked()
    place.broken, place.session = True, "s1"
    await place.looked()
    place.broken = False
    await place.looked()
    assert (place.proven, set(place.failures)) == ([], {"no reply"})


async def test_no_card_is_read_while_nobody_waits_for_a_proof(place: Place) -> None:
    place.laid = True
    await place.looked()
    assert (place.reads, place.proven) == (0, [])


# ------------------------------------------------------------------ staff lay their own card


async def laid(place: Place) -> None:
    place.laid = True
    await place.looked()


async def test_the_next_card_laid_down_is_the_staff_members_own(place: Place) -> None:
    assert place.cards.arm("T1", "anna")
    await laid(place)
    assert (place.known, place.proven) == ([("anna", ADULT.person_day_key)], [])
    place.laid = False
    await place.looked()
    await laid(place)  # once: the next card is nobody's
    assert (len(place.known), place.reads) == (1, 1)


async def test_a_staff_card_that_is_left_behind_proves_no_buyer(place: Place) -> None:
    place.cards.arm("T1", "anna")
    await laid(place)
    place.session = "s1"
    await place.looked()
    assert place.proven == []
    place.laid = False
    await place.looked()
    await laid(place)  # a card of the buyer's own
    assert place.proven == ["s1"]


async def test_a_buyers_card_is_never_a_staff_members(place: Place) -> None:
    place.session = "s1"
    await place.looked()
    place.cards.arm("T1", "anna")
    await laid(place)
    assert (place.proven, place.known) == (["s1"], [])
    await place.looked()  # it lies there still, proven: only a card laid anew may be hers
    assert place.known == []
    place.laid = False
    await place.looked()
    await laid(place)
    assert place.known == [("anna", ADULT.person_day_key)]


async def test_a_customer_who_comes_while_a_card_is_read_may_be_its_owner(place: Place) -> None:
    place.cards.arm("T1", "anna")
    place.while_reading = ["s1"]
    await laid(place)
    assert (place.known, place.proven) == ([], [])  # nobody's: it must be laid again


async def test_a_card_that_lay_there_before_it_was_asked_for_is_not_read(place: Place) -> None:
    await laid(place)
    place.cards.arm("T1", "anna")
    await place.looked()
    assert (place.reads, place.known) == (0, [])


async def test_the_day_turns_while_a_card_is_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pseudonym of yesterday is not today's: neither staff nor buyer."""
    days = iter([TODAY] * 1)
    monkeypatch.setattr(place.cards, "today", lambda: next(days, TODAY + timedelta(days=1)))
    place.session = "s1"
    place.laid = True
    while not place.reads:
        await asyncio.sleep(0)
    assert place.proven == []


@pytest.mark.parametrize(
    ("change", "late_s", "present"),
    [
        ({"adult": False}, 0.0, True),
        ({"doc_valid": False}, 0.0, True),
        ({}, ARMED_S, True),  # too late
        ({}, 0.0, False),  # signed out meanwhile
    ],
)
async def test_what_makes_nobody_known(place: Place, change: dict[str, bool], late_s: float, present: bool) -> None:
    place.cards.arm("T1", "anna")
    place.now_s, place.reading = late_s, replace(ADULT, **change)
    if not present:
        place.present_staff.clear()
    await laid(place)
    assert (place.known, place.proven) == ([], [])


async def test_without_a_reader_nothing_is_awaited(place: Place) -> None:
    assert not place.cards.arm("C1", "anna")
    assert place.cards.awaited("C1") == ""


def test_a_reading_of_another_day_is_not_taken() -> None:
    place = Place()
    place.cards.arm("T1", "anna")
    assert not place.cards.laid("T1", "anna", ADULT, TODAY - timedelta(days=1))
    assert place.known == []
    assert place.cards.laid("T1", "anna", ADULT, TODAY)
