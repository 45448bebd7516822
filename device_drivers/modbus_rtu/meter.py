"""Any device that has a profile: every value of it, in as few reads as it takes, checked against its range."""

from __future__ import annotations

from collections.abc import Iterable

from device_drivers.bus import Bus, Priority
from device_drivers.errors import MisconfiguredError
from device_drivers.modbus_rtu import reading
from device_drivers.modbus_rtu.framing import RTU, Framing
from device_drivers.modbus_rtu.profile import Profile
from device_drivers.modbus_rtu.reading import Measured, Raw
from device_drivers.modbus_rtu.station import Station


class Meter:
    """One device read by its profile."""

    def __init__(self, bus: Bus, *, address: int, profile: Profile, framing: Framing = RTU) -> None:
        self.profile = profile
        self.station = Station(
            bus, address=address, framing=framing, timeout_s=profile.device.timeout_s, what=profile.name
        )
        self._read_s: dict[str, float] = {}

    async def read(self, *names: str, priority: Priority = Priority.TEMPERATURE) -> dict[str, Measured]:
        """These values, or all. A value outside of its range is None and a fault of the line.

        Raises MisconfiguredError for a name that the profile has not, RefusedError, UnavailableError.
        """
        wanted = names or tuple(self.profile.values)
        if unknown := [name for name in wanted if name not in self.profile.values]:
            raise MisconfiguredError(f"profile {self.profile.name}: there is no value {unknown[0]!r}")
        raws: dict[str, Raw] = {}
        for block in reading.blocks(self.profile, reading.with_decimals(self.profile, wanted)):
            raws |= await self.read_block(block, priority)
        return self.measured(wanted, raws)

    async def read_due(self, now_s: float) -> dict[str, Measured]:
        """Those values whose poll period is over; `now_s` is any steady clock. Nothing if none is due."""
        due = [
            name
            for name, value in self.profile.values.items()
            if now_s - self._read_s.get(name, float("-inf")) >= value.poll_s
        ]
        if not due:
            return {}
        found = await self.read(*due)
        self._read_s |= dict.fromkeys(due, now_s)
        return found

    async def command(self, name: str) -> None:
        """Write one of the profile's commands, once. Raises as `Station.write`; MisconfiguredError for no such name."""
        if name not in self.profile.commands:
            raise MisconfiguredError(f"profile {self.profile.name}: there is no command {name!r}")
        await self.station.write(self.profile.commands[name].request())

    async def read_block(self, block: reading.Block, priority: Priority) -> dict[str, Raw]:
        """The raw values of one read."""
        return reading.raw_values(self.profile, block, await self.station.read(block.request, priority=priority))

    def measured(self, names: Iterable[str], raws: dict[str, Raw]) -> dict[str, Measured]:
        """Raw values as they are meant; what cannot be true is told to the line's faults."""
        found = {name: reading.measured(self.profile, name, raws) for name in names}
        for name, one in found.items():
            if one.problem:
                self.station.bus.fault("unexpected", f"{self.station.name}: {name} {one.problem}")
        return found
