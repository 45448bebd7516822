"""Each family of lock boards as a store describes it: the driver that the agent builds meets the board that the rig
builds, on a real pseudo-terminal."""

from __future__ import annotations

import asyncio
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from contracts.clock import SystemClock
from device_drivers.capabilities import Door
from device_drivers.lock_board import LATE_S
from edge.config import StoreConfig
from edge.devices.build import build
from simulators.hardware.faults import FaultPlan
from simulators.hardware.rig import Rig
from simulators.truth import TruthRecord
from simulators.world import World
from tests.simulators.stores import store
from tests.simulators.test_drivers_meet import patiently

CLOCK = SystemClock()


def described(folder: Path, family: str, **settings: object) -> StoreConfig:
    """The sample store with other lock boards."""
    config = store(folder)
    boards = [
        device.model_copy(update={"family": family, **settings}) if device.kind == "lock_board" else device
        for device in config.device
    ]
    buses = [bus.model_copy(update={"protocol": family}) if bus.id == "lock-bus" else bus for bus in config.bus]
    return StoreConfig.model_validate(
        config.model_dump() | {"device": [d.model_dump() for d in boards], "bus": [b.model_dump() for b in buses]}
    )


FAMILIES = [
    ("lock_8a", {}),
    ("lock_8a", {"dialect": "8a_99", "bit_order": "first_msb"}),
    ("lock_cu16", {}),
    ("lock_cu16", {"echo": True, "bit_order": "last_lsb"}),
    ("lock_cu48", {}),
    ("lock_cu48", {"dialect": "cu48_length"}),
    ("lock_cu48", {"dialect": "cu12", "echo": True}),
    ("lock_winnsen", {"echo": True}),
    ("lock_winnsen", {"dialect": "status_first", "hold_off_s": 0.6}),
]


@pytest.mark.parametrize(("family", "settings"), FAMILIES)
@pytest.mark.parametrize("bad", [False, True], ids=["a good line", "a bad line"])
async def test_a_described_board_is_pulsed_once_and_its_doors_are_seen(tmp_path, family, settings, bad):
    config = described(tmp_path, family, **settings)
    told: list[TruthRecord] = []
    world = World(config, clock=CLOCK, seed=1, record=told.append)
    # A bad line loses, delays and mistakes the sender; it turns no bits, which not every family can notice. Whoever asks
    # again at once asks once more for every reply that may still come, and hardly ever gets that many in a row.
    plan, ask = FaultPlan(drop_p=0.15, wrong_addr_p=0.15, delay_ms=5), partial(patiently, pause_s=LATE_S)
    rig = Rig(config, world, clock=CLOCK, seed=1, faults={"lock-bus": plan} if bad else {})
    devices = build(
        config,
        clock=CLOCK,
        on_change=lambda _health, _before: None,
        on_fault=lambda _bus, _protocol, _kind: None,
        day_key=lambda: b"k" * 32,
        today=lambda: date(2026, 11, 22),
    )
    rig.plug_all()
    owner = asyncio.create_task(devices.buses["lock-bus"].run(), name="lock-bus")
    pulses = 0
    try:
        for board, compartment in (("board-1", "a1"), ("board-2", "t1")):
            lock = devices.locks[board]
            assert await ask(partial(lock.door, 1)) is Door.CLOSED
            assert (await lock.unlock(1, lambda: False)).result == "not_sent"
            assert (await lock.unlock(1, lambda: True)).result in ("opened", "no_reply")
            pulses += 1
            if compartment not in {record.compartment for record in told if record.kind == "pulsed"}:
                assert bad, "a good line loses nothing"
                pulses -= 1
                continue
            world.open(compartment)
            assert await ask(partial(lock.door, 1)) is Door.OPEN
            world.close(compartment)
            assert await ask(partial(lock.door, 1)) is Door.CLOSED
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
        rig.unplug_all()
    assert len([record for record in told if record.kind == "pulsed"]) == pulses


def test_the_operators_see_which_boards_a_store_has(tmp_path):
    models = {
        family: {d.device: d.model for d in described(tmp_path, family).document().devices} for family, _ in FAMILIES
    }
    assert {family: model["board-1"] for family, model in models.items()} == {
        "lock_8a": "8A/80",
        "lock_cu16": "KERONG CU16",
        "lock_cu48": "KERONG CU48",
        "lock_winnsen": "Winnsen",
    }
