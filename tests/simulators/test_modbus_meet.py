"""The Modbus drivers meet the simulated devices on a real terminal, over a line that echoes and one that spoils."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from random import Random

from device_drivers.bus import Bus
from device_drivers.errors import DeviceError, UnavailableError
from device_drivers.exchange import NoReplyError
from device_drivers.modbus_rtu import Climate, ClimateSample, Meter, Relay, Rtu, WeightTransmitter, load_profile
from device_drivers.serial_link import open_serial
from simulators.hardware.faults import FaultPlan, Faults
from simulators.hardware.fridge import DOOR_LONG, Fridge
from simulators.hardware.modbus import ModbusBus
from simulators.hardware.modbus_rtu import bench_units
from simulators.hardware.modbus_units import FridgeController
from simulators.hardware.pty_port import PtyPort


@asynccontextmanager
async def line(
    folder: Path, units: dict[int, object], *, plan: FaultPlan | None = None, echo: bool = False
) -> AsyncIterator[Bus]:
    faults = Faults(rng=Random(7), plan=plan or FaultPlan())
    port = PtyPort(folder / "port", ModbusBus(units), faults, echo=echo)
    port.plug()
    bus = Bus(name="line", open_link=lambda: open_serial(str(port.path), 9600), on_fault=lambda _kind, _detail: None)
    owner = asyncio.create_task(bus.run(), name="bus")
    try:
        async with asyncio.timeout(60):
            while not bus._open:
                await asyncio.sleep(0.001)
            yield bus
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
        port.unplug()


async def test_a_relay_on_a_line_that_echoes_is_confirmed_by_the_board_alone(tmp_path: Path) -> None:
    units = bench_units()
    async with line(tmp_path, units, echo=True) as bus:
        relay = Relay(bus, address=1, framing=Rtu(echo=True))
        await relay.set(1, on=True)
        assert (await relay.states())[0]
        await relay.all_off()
        assert not any(await relay.states())
        gone = Relay(bus, address=50, framing=Rtu(echo=True))  # only the echo comes back
        try:
            await gone.set(1, on=True)
        except NoReplyError:
            pass
        else:
            raise AssertionError("the echo was taken for a confirmation")
        assert (await WeightTransmitter(bus, address=2, framing=Rtu(echo=True)).sample()).gross_g == 500.0


async def test_a_bad_line_never_tells_a_wrong_value_and_never_switches_twice(tmp_path: Path) -> None:
    units = bench_units()
    plan = FaultPlan(drop_p=0.1, corrupt_p=0.1, wrong_addr_p=0.1, delay_ms=5)
    async with line(tmp_path, units, plan=plan) as bus:
        relay, climate = Relay(bus, address=1), Climate(bus, address=3)
        confirmed = told = read = 0
        for n in range(25):
            try:
                await relay.set(1 + n % 8, on=n % 3 == 0)
                confirmed += 1
                told += 1
            except NoReplyError:
                told += 1  # it may have moved
            except UnavailableError:
                pass  # nothing was sent
            try:
                assert await climate.sample() == ClimateSample(305, 54.6)
                read += 1
            except DeviceError:
                pass
        moves = units[1].moves
    assert confirmed <= len(moves) <= told
    assert confirmed > 10
    assert read > 10
    assert not any(first == second for first, second in pairwise(moves))


async def test_an_open_door_is_seen_in_the_temperature_and_then_in_the_alarm(tmp_path: Path) -> None:
    now_s = 0.0
    fridge = Fridge(lambda: now_s, air_c=5.0)
    async with line(tmp_path, {4: FridgeController(fridge)}) as bus:
        meter = Meter(bus, address=4, profile=load_profile("refrigeration"))
        before = await meter.read()
        fridge.move_door(True)
        now_s += 300
        after = await meter.read()
    assert (before["door_open"].value, after["door_open"].value) == (False, True)
    assert after["temperature"].value > before["temperature"].value + 3
    assert int(after["alarm_bits"].value) & DOOR_LONG
