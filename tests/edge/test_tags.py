"""Tagged pieces are counted where they lie: once each, never by a door that nobody knows of."""

from __future__ import annotations

import pytest

from edge.devices import tags as module
from edge.devices.tags import Place, ShelfTags

A, B = Place("A-1a", "A-1", -65.0), Place("A-1b", "A-1", -65.0)
TAG = bytes(12)


def heard(tags: ShelfTags, *, antenna: int, rssi_dbm: float, at_s: float, epc: bytes = TAG, times: int = 3) -> None:
    for n in range(times):
        tags.sight(epc, antenna=antenna, rssi_dbm=rssi_dbm, at_s=at_s + 0.1 * n)


@pytest.mark.parametrize(
    ("sights", "counts"),
    [
        ([(1, -50.0, 3)], {"A-1a": 1.0, "A-1b": 0.0}),
        ([(1, -50.0, 2)], {"A-1a": 0.0, "A-1b": 0.0}),  # twice is not enough
        ([(1, -70.0, 9)], {"A-1a": 0.0, "A-1b": 0.0}),  # too weak: it lies elsewhere
        ([(1, -60.0, 3), (2, -45.0, 3)], {"A-1a": 0.0, "A-1b": 1.0}),  # once, where it is the strongest
        ([(7, -40.0, 9)], {"A-1a": 0.0, "A-1b": 0.0}),  # an antenna that nobody described
    ],
)
def test_a_tag_counts_once_where_it_is_heard_best(
    sights: list[tuple[int, float, int]], counts: dict[str, float]
) -> None:
    tags = ShelfTags({1: A, 2: B}, 0.0)
    for antenna, rssi_dbm, times in sights:
        heard(tags, antenna=antenna, rssi_dbm=rssi_dbm, at_s=1.0, times=times)
    assert tags.counts() == counts


@pytest.mark.parametrize(("is_open", "left"), [(False, 0.0), (True, 1.0), (None, 1.0)])
def test_a_tag_is_given_up_behind_a_door_that_is_known_to_be_closed(is_open: bool | None, left: float) -> None:
    tags = ShelfTags({1: A}, 0.0)
    tags.door("A-1", is_open=is_open, at_s=0.5)
    heard(tags, antenna=1, rssi_dbm=-50.0, at_s=1.0)
    tags.round(started_s=8.0, at_s=12.0)
    assert tags.counts() == {"A-1a": left}


def test_tags_that_pass_by_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TAGS", 10)
    tags = ShelfTags({1: A}, 0.0)
    for n in range(100):
        heard(tags, antenna=1, rssi_dbm=-50.0, at_s=float(n), epc=n.to_bytes(12, "big"))
    assert len(tags._strength) <= 10
    assert tags.dropped == 0 or tags.dropped <= 300
    assert tags.counts()["A-1a"] == 100.0  # presence has a cap of its own
