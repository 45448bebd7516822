"""Folding many events quickly leaves what folding each of them slowly leaves."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from cloud_bridge.counters import Counters
from cloud_bridge.ingest.streams import Place
from cloud_bridge.presence import PresenceBook
from cloud_bridge.read_models import models as module
from cloud_bridge.read_models.alarms import losses
from cloud_bridge.read_models.following import ROWS_A_STEP, Stream, streams_of
from cloud_bridge.read_models.models import ReadModels
from cloud_bridge.read_models.sentences import sentence
from cloud_bridge.read_models.state import EVENTS_SHOWN, StoreState
from contracts.clock import ManualClock
from contracts.event_types import EVENT_TYPES, CabinetStockChanged, EventData, StoreOpened
from tests.contracts.samples import instance

NAMES = sorted(set(EVENT_TYPES) - {"config.changed"})  # its document is checked where it is read


def events(seed: int, count: int) -> list[EventData]:
    rng = Random(seed)
    return [instance(EVENT_TYPES[rng.choice(NAMES)]) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_only_the_parts_that_speak_of_a_type_are_asked(seed: int) -> None:
    """And those that are not asked would have done nothing."""
    quick, slow = StoreState("t", "s"), StoreState("t", "s")
    slow.names = quick.names
    for number, data in enumerate(events(seed, 300)):
        quick.apply(data, number)
        slow.revision += 1
        for part in (slow._goods, slow._cabinet, slow._sale, slow._house):
            part(data, number)
        assert quick == slow, data.TYPE


def test_every_part_has_types_to_speak_of() -> None:
    from cloud_bridge.read_models.state import _PARTS

    asked = {part.__name__ for parts in _PARTS.values() for part in parts}
    assert asked == {"_goods", "_cabinet", "_sale", "_house"}
    assert max(map(len, _PARTS.values())) < 4


def test_of_many_events_those_that_stay_in_the_list_are_told() -> None:
    state = StoreState("t", "s")
    told = events(1, EVENTS_SHOWN * 3)
    for row, data in enumerate(told):
        state.show((row, row, data.TYPE, data))
        if row % 60 == 7:
            state.say()
    state.show((999, 1, "x", ("zh", "en", "info")))
    state.say()
    latest = list(state.events)
    assert (latest[0].row, latest[0].en) == (999, "en")
    assert [event.row for event in latest[1:]] == list(range(len(told) - 1, len(told) - EVENTS_SHOWN, -1))
    assert all((e.zh, e.en, e.level) == sentence(told[e.row], state.names) for e in latest[1:])


class Slow:
    """A storage whose every read takes a while, of a store with `total` events; more come in while it is read."""

    def __init__(self, total: int) -> None:
        self.total, self.steps = total, 0
        self.models: ReadModels

    async def read(self, work: Any) -> Any:
        await asyncio.sleep(0.002)
        if work is losses:
            return []
        if work is streams_of or getattr(work, "func", None) is streams_of:
            return [Stream(1, "t", "s", "ledger", self.total)]
        (stream, after), *_ = work.keywords["wanted"]
        self.steps += 1
        if self.steps < 4:
            self.models.progressed(Place("t", "s", "ledger"), self.total)
        seq = min(after + ROWS_A_STEP, stream.watermark)
        return [], {1: seq}


async def test_catching_up_gives_way_to_stores_that_send(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noted(delay: float) -> None:
        pauses.append(delay)
        await sleep(0)

    storage = Slow(ROWS_A_STEP * 6)
    models = ReadModels(
        storage=storage,  # type: ignore[arg-type]  # only its `read` is used
        presence=PresenceBook(Counters()),
        clock=ManualClock(),
        counters=Counters(),
    )
    storage.models = models
    monkeypatch.setattr(asyncio, "sleep", noted)
    await models.catch_up()
    between = [pause for pause in pauses if pause != 0.002]
    assert len(between) == 6
    assert all(pause > 0 for pause in between[:3])  # while more comes in
    assert between[3:] == [0, 0, 0]  # nobody sends any more: as fast as it goes
    assert max(between) <= module.MAX_PAUSE_S
    assert await models.behind() == 0


def test_a_unit_is_counted_whichever_part_speaks() -> None:
    state = StoreState("t", "s")
    state.apply(CabinetStockChanged(shelf="a", sku="1", delta_units=3, evidence="staff"), 1)
    state.apply(StoreOpened(staff_id="s"), 2)
    assert (state.units, state.revision) == ({("a", "1"): 3}, 2)
