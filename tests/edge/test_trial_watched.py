"""The store watches a trial unit while somebody else owns a session on it: it disturbs nothing and keeps nothing hot."""

from __future__ import annotations

import asyncio

import pytest

from device_drivers.trial_ptp import TrialRefusedError
from device_drivers.trial_ptp.names import Command, State
from edge.devices.adult_devices import COUNTERS_EVERY_S, _Trial
from simulators.conformance.virtual_time import in_virtual_time
from tests.device_drivers.trial_checks import bench, ready_to, yes


@in_virtual_time
async def test_the_watch_greets_nobody_in_a_session_and_keeps_no_heat_alive() -> None:
    async with bench() as (device, unit, _):
        company = asyncio.create_task(unit.run(), name="company")
        await asyncio.sleep(0.1)
        await (await ready_to(unit, "start"))(yes)
        watch = _Trial(unit)
        device.asked.clear()
        for _ in range(int(2 * COUNTERS_EVERY_S)):
            await watch.ask()
            await asyncio.sleep(1)
        commands = [frame.command for frame in device.frames]
        assert commands.count(Command.COUNTERS) == 2  # the minute came, and again
        assert Command.HELLO not in commands
        with pytest.raises(TrialRefusedError, match="WRONG_STATE"):  # a unit in use tries nothing
            await watch.test()
        assert Command.HELLO not in [frame.command for frame in device.frames]
        assert device.live() is State.READY
        company.cancel()
        await asyncio.sleep(1.5)
        assert (await watch.ask())["state"] == "cooldown"
        assert not device.unit.core.heater_enabled
        await asyncio.sleep(COUNTERS_EVERY_S)
        await watch.ask()
        assert device.frames[-3].command == Command.HELLO  # nobody's session: it goes again
