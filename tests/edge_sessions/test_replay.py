"""Random schedules of a whole shop against the real machine; and the same schedules against planted faults."""

from __future__ import annotations

import pytest

from tests.edge_sessions.mutants import PLANTED
from tests.edge_sessions.world import BrokenError, World, schedule

SCHEDULES = 3000
CHUNKS = 12
# Faults of the law show in the tobacco cabinet only, those of a charge mostly in the other one.
MODE = {
    **dict.fromkeys(
        ["no_T01", "no_T05", "no_clock", "releaser_gone", "release_old", "release_any", "declared_ignored"],
        "staff_release",
    ),
    "odd_rounds": "self_service",
    "claim_dropped": "self_service",
}

# What the world must be like for a fault to matter.
WORLD = {"claim_dropped": ("slow_latch",)}


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_schedule_breaks_an_invariant(chunk):
    # I1 to I7 after every step, I8 when the faults have stopped
    for seed in range(chunk, SCHEDULES, CHUNKS):
        try:
            schedule(seed)
        except BrokenError as broken:
            pytest.fail(f"seed {seed}: {broken}")


def test_a_slow_latch_breaks_nothing():
    # the first pulse may still open the door while a second intent waits: it is the session's all the same
    for seed in range(300):
        schedule(seed, flags=frozenset({"slow_latch"}), mode="self_service")


def test_the_schedules_reach_every_end():
    # schedules that end everything early would prove nothing
    ends: set[str] = set()
    states = {"frames": 0, "crash": 0}
    for seed in range(300):
        world: World = schedule(seed)
        for ghost in world.ghosts.values():
            ends.update(ghost.ends)
            states["frames"] += ghost.frames
        states["crash"] += world.log.count("crash")
    wanted = "settled settled_unpaid nothing_taken not_opened review_dropped voided cancelled declined restocked"
    assert set(wanted.split()) <= ends
    assert states["frames"] > 150
    assert states["crash"] > 40


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_fault_is_caught(name, monkeypatch):
    # each name takes one thought out of the tables; some schedule must notice
    PLANTED[name](monkeypatch)
    for seed in range(2500):
        try:
            schedule(seed, flags=frozenset({name, *WORLD.get(name, ())}), mode=MODE.get(name, ""))
        except BrokenError:
            return
    pytest.fail(f"{name} was not noticed")
