"""Runs a whole simulated store: hardware on its ports, shoppers, the truth log, the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from contracts.clock import Clock, SystemClock
from edge.config import StoreConfig
from edge.desk.client import DeskClient
from simulators.hardware.control import Control, Hand
from simulators.hardware.faults import FaultPlan
from simulators.hardware.rig import Rig
from simulators.hardware.shoppers import Habits, Member, Shoppers
from simulators.people.tobacco import TobaccoStory, serve
from simulators.truth.log import TruthLog
from simulators.world import World

TICK_S = 0.5
LINGER_S = (
    60.0  # store seconds the hardware stays after the last visitor, so that a restarted agent can weigh and settle
)


async def run_store(
    config: StoreConfig,
    *,
    clock: Clock,
    seed: int,
    truth_path: Path,
    member_codes: Sequence[tuple[str, str]],
    faults: Mapping[str, FaultPlan] | None = None,
    duration_s: float | None = None,
    control: Path | None = None,
    habits: Habits | None = None,
    linger_s: float = LINGER_S,
    pins: Mapping[str, str] | None = None,
    on_quiet: Callable[[], None] | None = None,
) -> dict[str, int]:
    """Run until `duration_s` store seconds have passed (None: until `stop` on the control socket), all doors are
    closed, everyone has left and `linger_s` is over; returns all counters.

    `member_codes` are pairs of member reference and QR text; without any, nobody comes by themselves. `pins` by staff
    id: with any, staff sign in through the pages' socket and tobacco is bought. With `on_quiet` the hardware stays
    plugged in when the story is over: it is called then, and cancellation ends the run.
    """
    with TruthLog(truth_path) as truth:
        world = World(config, clock=clock, seed=seed, record=truth)
        rig = Rig(config, world, clock=clock, seed=seed, faults=faults or {})
        cabinets = [cabinet.id for cabinet in config.cabinet if cabinet.mode == "self_service"]
        members = [Member(ref, code) for ref, code in member_codes]
        shoppers = Shoppers(
            world=world,
            rig=rig,
            clock=clock,
            seed=seed,
            members=members,
            cabinets=cabinets,
            habits=habits or Habits(),
        )
        hand = Hand(world, rig, {member.code: member.member_ref for member in members})
        desk = Control(world, rig, hand, stop=shoppers.stopping.set)
        end_s = None if duration_s is None else clock.now_s() + duration_s
        try:
            rig.plug_all()
            async with asyncio.TaskGroup() as group:
                background = [group.create_task(_tick(world, clock), name="world-tick")]
                if control is not None:
                    background.append(group.create_task(desk.serve(control), name="sim-control"))
                people = [group.create_task(shoppers.run(duration_s), name="shoppers")]
                if pins:
                    client = DeskClient(config.data_dir / "desk.sock", SystemClock())
                    story = TobaccoStory(
                        config=config, world=world, rig=rig, desk=client, clock=clock, seed=seed, pins=pins
                    )
                    more = partial(_open_for_visits, shoppers.stopping, end_s)
                    people.append(group.create_task(serve(story, client, more), name="tobacco"))
                await asyncio.wait(people)
                await _quiet(world, clock, hand, shoppers, end_s)
                await clock.sleep(linger_s)
                if on_quiet is not None:
                    on_quiet()
                    await asyncio.Event().wait()
                for task in background:
                    task.cancel()
        finally:
            world.settle()
            rig.unplug_all()
        return rig.counters() | {f"shoppers.{name}": count for name, count in shoppers.counters.items()}


def _open_for_visits(stopping: asyncio.Event, end_s: float | None, now_s: float) -> bool:
    return not stopping.is_set() and (end_s is None or now_s < end_s)


async def _tick(world: World, clock: Clock) -> None:
    while True:
        world.settle()
        await clock.sleep(TICK_S)


async def _quiet(world: World, clock: Clock, hand: Hand, shoppers: Shoppers, end_s: float | None) -> None:
    """Return when the time is over and no door stands open; the player is sent home last."""
    while not shoppers.stopping.is_set() and (end_s is None or clock.now_s() < end_s):
        await clock.sleep(TICK_S)
    while any(door.is_open for door in world.doors.values()):
        await clock.sleep(TICK_S)
    hand.leave_all()
