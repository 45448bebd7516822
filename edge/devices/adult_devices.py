"""Trial units and MDB peripherals: connected and watched. Nothing here arms, sells, or looks at anybody's card."""

from __future__ import annotations

import asyncio
from functools import partial

from device_drivers.bus import NoReplyError
from device_drivers.errors import UnavailableError
from device_drivers.mdb import CashlessReader, MdbLine
from device_drivers.mdb.codec import AGE_VERIFICATION, POLL, Command
from device_drivers.mdb.machine import NON_RESPONSE_S, State
from device_drivers.trial_ptp import TrialUnit
from device_drivers.trial_ptp.names import Capability, name_of
from device_drivers.trial_ptp.names import State as TrialState
from edge.config import AgeDeviceConfig, CashlessConfig, MdbConfig, TrialUnitConfig
from edge.devices.built import Building
from edge.devices.limits import Limit, Values
from edge.devices.polled import Ask, Polled

COUNTERS_EVERY_S = 60.0  # of the event loop
UNIT_FAULT = Limit("fault", "unit_fault", most=0)
HARMLESS_TESTS = Capability.PUFF_SENSOR | Capability.EXHAUST | Capability.SAMPLE_RFID  # no heat, no flame, no stick


class _Trial:
    """A unit that is asked how it is. It is greeted anew after every silence, since it may have lost power."""

    def __init__(self, unit: TrialUnit) -> None:
        self._unit = unit
        self._counted: Values = {}
        self._count_s = float("-inf")
        self._tests = 0

    async def ask(self) -> Values:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._count_s:
            self._tests = (await self._unit.hello()).capabilities & HARMLESS_TESTS
            counted = await self._unit.counters_of_unit()
            self._counted = {
                "sessions": counted.sessions,
                "puffs": counted.puffs,
                "heated_s": counted.heated_s,
                "bad_tokens": counted.bad_tokens,
                "faults": counted.faults,
            }
            self._count_s = loop.time() + COUNTERS_EVERY_S
        try:
            status = await self._unit.status()
        except UnavailableError:
            self._count_s = float("-inf")
            raise
        heater = {"heater_c": status.heater_dc / 10}
        state = {"state": name_of(TrialState, status.state).lower()}
        return {**state, **heater, "fault": status.fault, **self._counted}

    async def test(self) -> Values:
        """The unit tries its own sensors and its fan; the parts that heat or hand out are not asked to."""
        self._tests = (await self._unit.hello()).capabilities & HARMLESS_TESTS
        passed = await self._unit.self_test(self._tests)
        return {"tested": self._tests, "passed": passed & self._tests}


def build_trial_unit(device: TrialUnitConfig, around: Building) -> None:
    """A trial unit. Its key stays in its file: nobody mints a token here."""
    unit = TrialUnit(around.devices.buses[device.bus], address=device.address, line=device.line)
    trial = _Trial(unit)
    around.devices.polled.append(
        Polled(
            device=device.id,
            kind=device.kind,
            bus=device.bus,
            ask=trial.ask,
            health=around.watch(device.id, device.kind),
            poll_s=device.poll_s,
            limits=(UNIT_FAULT,),
            counters=lambda: unit.counters,
            test=trial.test,
        )
    )


class _Cashless:
    """A reader that is kept alive and takes no card."""

    def __init__(self, reader: CashlessReader) -> None:
        self._reader = reader
        self._quiet_since_s: float | None = None
        self._up = False

    async def ask(self) -> Values:
        loop = asyncio.get_running_loop()
        if not self._up:
            await self._reader.start()
            await self._reader.disable()
            self._up, self._quiet_since_s = True, None
        try:
            await self._reader.poll()
        except NoReplyError:
            self._quiet_since_s = loop.time() if self._quiet_since_s is None else self._quiet_since_s
            self._up = loop.time() - self._quiet_since_s < NON_RESPONSE_S
            raise
        self._quiet_since_s = None
        if self._reader.state is not State.DISABLED:  # it has started again by itself
            self._up = False
            raise UnavailableError("the reader started again")
        return {"state": "disabled"}


def build_cashless(device: CashlessConfig, around: Building) -> None:
    """A cashless reader, brought up and switched off: nothing is sold by it yet."""
    _mdb(device, around, _Cashless(CashlessReader(_line(device, around), address=device.address)).ask)


def build_age_device(device: AgeDeviceConfig, around: Building) -> None:
    """The age-verification device. It is polled, which switches nothing on."""
    _mdb(device, around, partial(_age_poll, _line(device, around)))


async def _age_poll(line: MdbLine) -> Values:
    await line.ask(Command(AGE_VERIFICATION, POLL))  # whatever it says, it is there
    return {"state": "disabled"}


def _mdb(device: CashlessConfig | AgeDeviceConfig, around: Building, ask: Ask) -> None:
    around.devices.polled.append(
        Polled(
            device=device.id,
            kind=device.kind,
            bus=device.bus,
            ask=ask,
            health=around.watch(device.id, device.kind),
            poll_s=device.poll_s,
        )
    )


def _line(device: MdbConfig, around: Building) -> MdbLine:
    """The one line of an adapter: all its peripherals share it."""
    if device.bus not in around.mdb_lines:
        bus = around.devices.buses[device.bus]
        around.mdb_lines[device.bus] = MdbLine(bus, coding=device.coding, echo=device.echo)
    return around.mdb_lines[device.bus]
