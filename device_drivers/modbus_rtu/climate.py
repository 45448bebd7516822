"""Temperature and, where the device has it, humidity: of a room, a drinks cabinet, a humidor."""

from __future__ import annotations

from dataclasses import dataclass

from device_drivers.bus import Bus
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.modbus_rtu.framing import RTU, Framing
from device_drivers.modbus_rtu.meter import Meter
from device_drivers.modbus_rtu.profile import Profile, load_profile


@dataclass(frozen=True, slots=True)
class ClimateSample:
    """`temperature_dc`: tenths of a degree Celsius. `humidity_rh`: percent, None without such a sensor."""

    temperature_dc: int
    humidity_rh: float | None = None


class Climate:
    """One sensor or controller whose profile has `temperature` in °C, and perhaps `humidity` in %RH."""

    def __init__(self, bus: Bus, *, address: int, profile: Profile | None = None, framing: Framing = RTU) -> None:
        self._meter = Meter(bus, address=address, profile=profile or load_profile("xy_md02"), framing=framing)
        values = self._meter.profile.values
        self._meter.profile.need("temperature")
        self._names = [name for name in ("temperature", "humidity") if name in values]
        for name, unit in (("temperature", "°C"), ("humidity", "%RH")):
            if name in values and values[name].unit != unit:
                raise MisconfiguredError(f"profile {self._meter.profile.name}: value.{name}.unit: must be {unit}")

    async def sample(self) -> ClimateSample:
        """The climate now. Raises UnavailableError, also for a value that cannot be true; RefusedError."""
        found = await self._meter.read(*self._names)
        numbers = {}
        for name, one in found.items():
            if one.value is None or isinstance(one.value, tuple):
                raise UnavailableError(f"{self._meter.station.name}: {name} {one.problem}; is its probe broken?")
            numbers[name] = float(one.value)
        return ClimateSample(round(numbers["temperature"] * 10), numbers.get("humidity"))
