"""A device's state follows its answers, and every change is told once."""

from __future__ import annotations

import pytest

from contracts.clock import ManualClock
from device_drivers.capabilities import Door, UnlockReply, WeightSample
from device_drivers.errors import UnavailableError
from edge.devices.health import DeviceHealth, WatchedLock, WatchedScale

LIVES = [
    # (seconds later, answer?) …, the states told in order
    pytest.param([(0, True)], ["online"], id="it answers"),
    pytest.param([(0, True), (1, True)], ["online"], id="a state is told once"),
    pytest.param([(0, True), (1, False)], ["online", "degraded"], id="one silence degrades"),
    pytest.param([(0, True), (1, False), (1, True)], ["online", "degraded", "online"], id="and an answer heals"),
    pytest.param([(0, True), (1, False), (3, False)], ["online", "degraded", "offline"], id="three seconds of silence"),
    pytest.param([(0, False), (1, False), (2, False)], ["offline"], id="it never answered"),
    pytest.param([(0, False), (2, True), (1, False)], ["online", "degraded"], id="an answer starts the count anew"),
]


@pytest.mark.parametrize(("life", "told"), LIVES)
def test_states(life: list[tuple[float, bool]], told: list[str], clock: ManualClock):
    seen: list[str] = []
    health = DeviceHealth("d", "scale", clock, lambda h, _before: seen.append(h.state))
    for wait_s, answers in life:
        clock.step(wait_s)
        if answers:
            health.ok()
        else:
            health.failed("silent")
    assert seen == told


class Broken:
    async def unlock(self, channel, guard):
        return UnlockReply("no_reply")

    async def door(self, channel):
        raise UnavailableError("no reply")

    async def sample(self):
        raise UnavailableError("no reply")

    async def acknowledge_power_on(self):
        raise UnavailableError("no reply")


class Whole(Broken):
    async def door(self, channel):
        return Door.CLOSED

    async def sample(self):
        return WeightSample(12.5, stable=True)

    async def acknowledge_power_on(self):
        return None


async def test_watched_devices_pass_answers_on_and_learn_from_them(clock: ManualClock):
    def quiet(_health, _before):
        return None

    lock = WatchedLock(Whole(), DeviceHealth("l", "lock_board", clock, quiet))
    scale = WatchedScale(Whole(), DeviceHealth("s", "scale", clock, quiet))
    assert await lock.door(1) is Door.CLOSED
    assert (await scale.sample()).gross_g == 12.5
    assert scale.last == WeightSample(12.5, stable=True)
    await scale.acknowledge_power_on()
    assert (lock.health.state, scale.health.state) == ("online", "online")
    lock._lock, scale._scale = Broken(), Broken()
    with pytest.raises(UnavailableError):
        await lock.door(1)
    with pytest.raises(UnavailableError):
        await scale.sample()
    assert (await lock.unlock(1, lambda: True)).result == "no_reply"
    assert (lock.health.state, scale.health.state) == ("degraded", "degraded")
    assert scale.health.last_error == "no reply"
