"""The physical rules, as tables and as properties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.clock import ManualClock
from simulators.truth import TruthLog, TruthRecord, read_truth
from simulators.world import DoorClosedError, DoorLockedError, NotThereError, World
from simulators.world.doors import LATCH_FREE_S
from tests.simulators.stores import store

FOLDER = Path("/nowhere")


class Scene:
    """A world, its clock, and what it told."""

    def __init__(self, seed: int = 1) -> None:
        self.clock = ManualClock()
        self.told: list[TruthRecord] = []
        self.world = World(store(FOLDER), clock=self.clock, seed=seed, record=self.told.append)

    def kinds(self) -> list[str]:
        return [record.kind for record in self.told]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_pulse_frees_the_latch_and_a_hand_opens(scene: Scene) -> None:
    with pytest.raises(DoorLockedError):
        scene.world.open("a1")
    assert scene.world.pulse("board-1", 1)
    assert scene.world.is_free("a1")
    assert not scene.world.is_free("b1")
    scene.clock.step(LATCH_FREE_S - 0.01)
    scene.world.open("a1", "v")
    scene.world.open("a1", "v")  # an open door is not opened again
    scene.world.close("a1", "v")
    scene.world.close("a1", "v")
    assert scene.kinds() == ["pulsed", "door_opened", "door_closed"]
    with pytest.raises(DoorLockedError):
        scene.world.open("a1")


def test_a_latch_nobody_uses_catches_by_itself_and_is_told_with_its_own_time(scene: Scene) -> None:
    scene.world.pulse("board-1", 1)
    scene.clock.step(LATCH_FREE_S)
    assert not scene.world.is_free("a1")
    scene.clock.step(100)
    scene.world.settle()
    assert scene.kinds() == ["pulsed", "latch_expired"]
    assert scene.told[-1].t == LATCH_FREE_S
    assert scene.told[-1].cabinet == "snacks-a"


def test_a_pulse_at_an_open_door_does_not_free_the_closed_one(scene: Scene) -> None:
    scene.world.force("a1", "thief")
    scene.world.force("a1", "thief")
    scene.world.pulse("board-1", 1)
    scene.world.close("a1")
    assert not scene.world.is_free("a1")
    assert (scene.told[0].kind, scene.told[0].detail) == ("door_opened", "forced")


def test_a_second_pulse_starts_the_time_again(scene: Scene) -> None:
    scene.world.pulse("board-1", 1)
    scene.clock.step(3)
    scene.world.pulse("board-1", 1)
    scene.clock.step(4)
    scene.world.open("a1")
    assert "latch_expired" not in scene.kinds()


def test_an_unwired_channel_moves_nothing(scene: Scene) -> None:
    assert scene.world.pulse("board-1", 9) is False
    assert scene.world.door_is_open("board-1", 9) is None
    assert scene.told == []


@pytest.mark.parametrize(
    "act",
    [
        lambda w: w.take("shelf-a1", "crisps"),
        lambda w: w.put_back("shelf-a1", "crisps"),
        lambda w: w.stock("shelf-a1", "crisps"),
        lambda w: w.foreign("shelf-a1", 100.0),
    ],
)
def test_nothing_passes_a_closed_door(scene: Scene, act: Any) -> None:
    before_g = scene.world.shelf("shelf-a1").true_g
    with pytest.raises(DoorClosedError):
        act(scene.world)
    assert scene.world.shelf("shelf-a1").true_g == before_g
    assert scene.told == []


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda w: w.take("shelf-a1", "water"), "holds 0 of water"),
        (lambda w: w.take("shelf-a1", "crisps", 21), "holds 20 of crisps"),
        (lambda w: w.take("shelf-a1", "crisps", 0), "qty"),
        (lambda w: w.put_back("shelf-a1", "crisps", 1, "v"), "v holds 0"),
        (lambda w: w.stock("shelf-a1", "gold"), "no product"),
        (lambda w: w.stock("shelf-a1", "crisps", 999), "no room"),
        (lambda w: w.take("shelf-x", "crisps"), "no shelf"),
        (lambda w: w.open("x"), "no compartment"),
        (lambda w: w.leave("x"), "no visit"),
        (lambda w: w.arrive("v", "x"), "no cabinet"),
    ],
)
def test_what_is_not_there_is_refused_and_changes_nothing(scene: Scene, act: Any, message: str) -> None:
    scene.world.force("a1")
    before = scene.world.shelf("shelf-a1").units()
    with pytest.raises(NotThereError, match=message):
        act(scene.world)
    assert scene.world.shelf("shelf-a1").units() == before
    assert scene.kinds() == ["door_opened"]


def test_the_needle_follows_and_says_when_it_has_come_to_rest(scene: Scene) -> None:
    scene.world.force("b1")
    platform = scene.world.shelf("shelf-b1").platform
    before_g = platform.read(scene.clock.now_s()).gross_g
    scene.world.take("shelf-b1", "water")
    at_once = platform.read(scene.clock.now_s())
    assert not at_once.stable
    assert at_once.gross_g == pytest.approx(before_g, abs=5)
    scene.clock.step(0.1)  # one time constant: a third of the way is left
    assert platform.read(scene.clock.now_s()).gross_g == pytest.approx(before_g - 520 * 0.632, abs=10)
    scene.clock.step(0.7)
    rested = platform.read(scene.clock.now_s())
    assert rested.stable
    assert rested.gross_g == pytest.approx(scene.world.shelf("shelf-b1").true_g, abs=3)


def test_a_leaning_hand_weighs_and_never_rests(scene: Scene) -> None:
    platform = scene.world.shelf("shelf-a1").platform
    scene.world.lean("shelf-a1", 3000.0)
    scene.clock.step(60)
    reading = platform.read(scene.clock.now_s())
    assert not reading.stable
    assert reading.gross_g > scene.world.shelf("shelf-a1").true_g + 2900
    scene.world.lean("shelf-a1", 0.0)
    scene.clock.step(2)
    assert platform.read(scene.clock.now_s()).stable
    assert scene.kinds() == ["fault", "fault_cleared"]


def test_power_up_makes_the_load_zero_and_flags_it_until_acknowledged(scene: Scene) -> None:
    platform = scene.world.shelf("shelf-a1").platform
    scene.world.restart_scale("shelf-a1")
    reading = platform.read(scene.clock.now_s())
    assert reading.power_on
    assert abs(reading.gross_g) < 3
    platform.acknowledge()
    again = platform.read(scene.clock.now_s())
    assert not again.power_on
    assert abs(again.gross_g) < 3


def test_a_stuck_cell_says_the_same_whatever_happens(scene: Scene) -> None:
    platform = scene.world.shelf("shelf-a1").platform
    platform.stick(scene.clock.now_s(), stuck=True)
    first = platform.read(0.0)
    scene.world.force("a1")
    scene.world.take("shelf-a1", "nuts", 5)
    scene.clock.step(5)
    assert platform.read(scene.clock.now_s()) == first
    platform.stick(scene.clock.now_s(), stuck=False)
    assert platform.read(scene.clock.now_s()).gross_g < first.gross_g - 500


def test_overload(scene: Scene) -> None:
    scene.world.force("a1")
    assert not scene.world.shelf("shelf-a1").platform.read(0.0).overload
    scene.world.foreign("shelf-a1", 40_000.0)
    assert scene.world.shelf("shelf-a1").platform.read(0.0).overload


def test_the_same_seed_gives_the_same_pieces_and_noise() -> None:
    readings = [[s.platform.read(1.0).gross_g for s in Scene(seed).world.shelves.values()] for seed in (7, 7, 8)]
    assert readings[0] == readings[1] != readings[2]


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["pulse", "open", "close", "force", "take", "put_back", "stock", "foreign", "wait", "leave"]),
        st.sampled_from(["a1", "b1", "t1"]),
        st.sampled_from(["crisps", "nuts", "water", "smoke"]),
        st.integers(1, 3),
        st.sampled_from(["", "v1", "v2"]),
    ),
    max_size=60,
)
CHANNEL = {"a1": ("board-1", 1), "b1": ("board-1", 2), "t1": ("board-2", 1)}


@settings(max_examples=120, deadline=None)
@given(ACTS)
def test_whatever_is_done_goods_move_only_through_open_doors_and_nothing_is_lost(acts: list[Any]) -> None:
    scene = Scene()
    world = scene.world
    world.arrive("v1", "snacks-a")
    world.arrive("v2", "snacks-b")
    first_g = sum(shelf.true_g for shelf in world.shelves.values())
    brought_g = 0.0
    for act, compartment, sku, qty, visit in acts:
        shelf = f"shelf-{compartment}"
        before = {name: (place.true_g, world.doors[place.compartment].is_open) for name, place in world.shelves.items()}
        was_free = world.is_free(compartment)
        mark = len(scene.told)
        try:
            match act:
                case "pulse":
                    world.pulse(*CHANNEL[compartment])
                case "open":
                    world.open(compartment, visit)
                    assert was_free
                case "close":
                    world.close(compartment, visit)
                case "force":
                    world.force(compartment, visit)
                case "take":
                    world.take(shelf, sku, qty, visit)
                case "put_back":
                    world.put_back(shelf, sku, qty, visit)
                case "stock":
                    world.stock(shelf, sku, qty, visit)
                case "foreign":
                    world.foreign(shelf, 10.0 * qty, visit)
                case "wait":
                    scene.clock.step(2.0 * qty)
                case "leave":
                    world.leave(visit)
        except (DoorClosedError, DoorLockedError, NotThereError):
            assert [r for r in scene.told[mark:] if r.kind != "latch_expired"] == []
        for name, place in world.shelves.items():
            grams, was_open = before[name]
            if place.true_g != grams:
                assert was_open
                assert act in {"take", "put_back", "stock", "foreign"}
        brought_g += sum(r.grams for r in scene.told[mark:] if r.kind in {"stocked", "foreign"})
    held_g = sum(piece.grams for pieces in world.hands.values() for piece in pieces)
    gone_g = sum(piece.grams for piece in world.carried_away)
    now_g = sum(shelf.true_g for shelf in world.shelves.values())
    assert now_g + held_g + gone_g == pytest.approx(first_g + brought_g, abs=0.1)
    told_g = sum((-r.grams if r.kind == "taken" else r.grams) for r in scene.told if r.shelf and r.grams)
    assert now_g == pytest.approx(first_g + told_g, abs=0.1)
    doors = [r.kind for r in scene.told if r.kind.startswith("door_") and r.compartment == "a1"]
    assert doors == (["door_opened", "door_closed"] * len(doors))[: len(doors)]  # they alternate


def test_the_log_keeps_every_record_and_survives_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "truth.jsonl"
    records = [TruthRecord(t=float(i), kind="taken", shelf="s", sku="k", qty=i, grams=1.5) for i in range(120)]
    with TruthLog(path) as log:
        for record in records[:119]:
            log(record)
        assert log.count == 119
    with path.open("ab") as file:
        file.write(b'{"t":1,"ki')
    assert list(read_truth(path)) == records[:119]
    with TruthLog(path) as log:  # the next run goes on after the last whole line
        log(records[119])
        log.close()
    assert list(read_truth(path)) == records
