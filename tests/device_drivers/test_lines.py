"""A lock board over lines that lose, delay, split, join, disturb and repeat bytes: what is said of it stays true."""

from __future__ import annotations

import asyncio
import random

import pytest

from device_drivers.capabilities import Door
from device_drivers.errors import UnavailableError
from device_drivers.lock_8a import LockBoard8A
from tests.device_drivers.twins import LINES, LockTwin, Wire, bus_on, echoing, echoing_in_one_piece, perfect
from tests.device_drivers.virtual_time import in_virtual_time


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("polarity", ["locked_short", "open_short"])
@pytest.mark.parametrize("line", LINES)
def test_pulses_and_doors(line, polarity, seed):
    """`opened` and `refused` need a pulse, `not_sent` has none, and a door that is told is the door of now."""

    @in_virtual_time
    async def scenario() -> None:
        rng = random.Random(seed)
        twin = LockTwin(polarity=polarity)
        twin.stuck = {2}
        told = 0
        async with bus_on(Wire(twin, line=line, seed=seed)) as bus:
            board = LockBoard8A(
                bus, address=1, feedback_polarity=polarity, echo=line in (echoing, echoing_in_one_piece)
            )
            for _ in range(40):
                channel = rng.choice((1, 2, 3))
                if rng.random() < 0.3:
                    allowed, pulses = rng.random() < 0.8, len(twin.pulses)
                    twin.door_open.discard(channel)
                    reply = await board.unlock(channel, lambda allowed=allowed: allowed)
                    assert len(twin.pulses) - pulses == allowed
                    if not allowed:
                        assert reply.result == "not_sent"
                    elif reply.result != "no_reply":
                        assert reply.result == ("refused" if channel == 2 else "opened")
                        told += 1
                else:
                    if rng.random() < 0.5:
                        twin.door_open ^= {channel}
                    try:
                        door = await board.door(channel)
                    except UnavailableError:
                        await asyncio.sleep(0.01)
                        continue
                    assert door is (Door.OPEN if channel in twin.door_open else Door.CLOSED)
                    told += 1
        assert told >= 10
        if line is perfect:
            assert bus.counters["no_reply"] == 0

    scenario()
