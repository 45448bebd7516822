"""Random schedules: nothing lost, nothing doubled, in order, and rest at the end, whatever network and disks do."""

from __future__ import annotations

import pytest

from contracts.messages import Ack
from edge.uplink.machine import LaneMachine
from tests.edge_uplink.model import Disk, World, run_schedule
from tests.edge_uplink.mutants import BY_CHANCE, FreesWithoutHash, NeverRestartsTheSearch

FAULTS = ("", "drops", "restore", "clone restore", "loss", "restore loss drops", "restore clone loss drops")


@pytest.mark.parametrize("faults", FAULTS)
def test_no_schedule_breaks_the_ledger(faults: str) -> None:
    for seed in range(100):
        try:
            run_schedule(seed, faults=faults)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {faults!r}: {error}") from error


def test_the_schedules_do_reach_the_rare_places() -> None:
    worlds = [run_schedule(seed, faults="restore clone loss drops") for seed in range(60)]
    seen: set[str] = set()
    for world in worlds:
        seen |= set(world.alarms)
        for box in world.boxes:
            seen |= set(box.machine.counters)
    rare = {"restored", "cloud_loss", "not_active", "no_progress", "ack_stale", "hello_answer_stale", "ack_late"}
    assert rare <= seen


@pytest.mark.parametrize(("mutant", "faults"), BY_CHANCE, ids=lambda x: getattr(x, "__name__", x))
def test_a_planted_fault_is_noticed(mutant: type[LaneMachine], faults: str) -> None:
    def survives(seed: int) -> bool:
        try:
            run_schedule(seed, faults=faults, machine_of=mutant)
        except (AssertionError, IndexError):
            return False
        return True

    assert not all(survives(seed) for seed in range(500))


# ------------------------------------------------------------------ schedules that chance seldom finds


def _world(machine_of: type[LaneMachine]) -> World:
    import random

    world = World(random.Random(1), machine_of)
    world.boot(Disk(world.name()), "i0")
    world.do(world.boxes[0], world.boxes[0].machine.connected(0.0))
    _drain(world)
    return world


def _drain(world: World) -> None:
    while world.up or world.down:
        _step(world)


def cloud_goes_back_during_the_search(machine_of: type[LaneMachine]) -> None:
    """Restored disk; the search confirms a common place; then the cloud loses data below it; the search must start
    over, else the edge forks at a place that the cloud does not hold, and the cloud's loss is never told."""
    world = _world(machine_of)
    box = world.boxes[0]
    for _ in range(4):
        world.append(box)
    image = box.disk.copy()  # retains 1..4, nothing freed
    _drain(world)
    for _ in range(4):
        world.append(box)
    _drain(world)  # the cloud holds 8
    world.odd = True
    world.restart(box, image)
    for _ in range(4):
        world.append(box)  # another 5..8
    world.do(box, box.machine.connected(world.now_s))
    while not (box.machine.state == "probe" and box.machine._low >= 4):
        _step(world)
    world.lose(box.disk.stream, 6)  # the cloud now holds 2, and what it lost this disk still retains
    for _ in range(4000):
        if world.up or world.down:
            _step(world)
        elif box.machine.state == "ready" and not box.disk.rows:
            break
        else:
            world.tick(box, 3600.0)
    held = {raw.split(b"|")[1] for cs in world.cloud.streams.values() for raw in cs.raws if raw}
    assert box.disk.owed <= held, "the cloud lost it, the edge still had it, and it was not sent again"


def _step(world: World) -> None:
    if world.up:
        world.deliver_up(0)
    else:
        world.deliver_down(0)


def ack_of_the_other_timeline(machine_of: type[LaneMachine]) -> None:
    """A late batch of the timeline before the restore is stored after our hello; an ack under our nonce then carries
    its watermark: same stream, right nonce, foreign hash."""
    world = _world(machine_of)
    box = world.boxes[0]
    for _ in range(2):
        world.append(box)
    image = box.disk.copy()
    _drain(world)
    image.confirm(2)
    for _ in range(2):
        world.append(box)
    late = world.up[:]  # 3, 4 of the old timeline wait in the network
    world.up.clear()
    world.odd = True
    world.restart(box, image)
    world.do(box, box.machine.connected(world.now_s))
    _drain(world)
    for _ in range(2):
        world.append(box)  # another 3, 4
    world.up.clear()
    world.up += late
    while world.up:
        world.deliver_up(0)
    world.down.clear()
    cs = world.cloud.of(box.disk.stream)
    tip = cs.at(4)
    assert tip is not None
    ack = Ack(stream=box.disk.stream, nonce=box.machine.nonce, watermark=4, hash_at_watermark=tip.hex())
    world.do(box, box.machine.acked(ack, world.now_s))
    world.check()
    world.settle()
    world.check_rest()


SCENARIOS = (
    (cloud_goes_back_during_the_search, NeverRestartsTheSearch),
    (ack_of_the_other_timeline, FreesWithoutHash),
)


@pytest.mark.parametrize(("scenario", "mutant"), SCENARIOS)
def test_a_rare_schedule_is_survived(scenario, mutant) -> None:
    scenario(LaneMachine)


@pytest.mark.parametrize(("scenario", "mutant"), SCENARIOS)
def test_a_rare_schedule_notices_its_planted_fault(scenario, mutant) -> None:
    with pytest.raises(AssertionError):
        scenario(mutant)
