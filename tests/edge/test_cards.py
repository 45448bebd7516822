"""A card on the reader proves the age of one buyer: whoever lays it down in this session, and nobody after them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from device_drivers.capabilities import AdultReading
from device_drivers.errors import UnavailableError
from edge import agent as agent_module
from edge.agent import Agent

ADULT = AdultReading(adult=True, doc_valid=True, person_day_key="ab" * 16)


class Place:
    """A reader and a cabinet, both by attribute; the agent's loop over them."""

    def __init__(self) -> None:
        self.laid = False  # a card lies on the reader
        self.broken = False
        self.session = ""
        self.proven: list[str] = []
        self.reads = self.looks = 0
        self.failures: list[str] = []

    async def read(self) -> AdultReading | None:
        self.reads += 1
        return ADULT if await self._look() else None

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
    loop = asyncio.create_task(Agent._cards(SimpleNamespace(runners={"T1": place}), watched))  # type: ignore[arg-type]
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
