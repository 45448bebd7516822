"""A weight transmitter: its status and its weight, read as near to each other as the bus allows."""

from __future__ import annotations

from device_drivers.bus import Bus, Priority
from device_drivers.capabilities import WeightSample
from device_drivers.errors import MisconfiguredError, RefusedError, UnavailableError
from device_drivers.modbus_rtu import reading
from device_drivers.modbus_rtu.framing import RTU, Framing
from device_drivers.modbus_rtu.meter import Meter
from device_drivers.modbus_rtu.profile import Profile, load_profile
from device_drivers.modbus_rtu.reading import Raw

GRAMS_OF = {"g": 1.0, "kg": 1000.0}
ACKNOWLEDGE = "acknowledge_power_on"
_FLAGS = ("unstable", "power_on", "overload", "overflow")  # each only where the device has it


class WeightTransmitter:
    """One transmitter on a bus; implements `Scale`.

    Its profile has `weight` in g or kg, and as many of `unstable`, `power_on`, `overload` and `overflow` (both stand
    for too much) as the device tells.
    """

    def __init__(self, bus: Bus, *, address: int, profile: Profile | None = None, framing: Framing = RTU) -> None:
        self._meter = Meter(
            bus, address=address, profile=profile or load_profile("weight_transmitter"), framing=framing
        )
        self._meter.station.name = f"scale {address}"
        known = self._meter.profile
        known.need("weight")
        weight = known.values["weight"]
        if weight.unit not in GRAMS_OF:
            raise MisconfiguredError(f"profile {known.name}: value.weight.unit: must be g or kg")
        self._grams = GRAMS_OF[weight.unit]
        self._flags = [name for name in _FLAGS if name in known.values]
        names = reading.with_decimals(known, [*self._flags, "weight"])
        plan = reading.blocks(known, names)
        self._plan = sorted(plan, key=lambda block: "weight" in block.names)

    async def sample(self) -> WeightSample:
        """The weight now. Raises UnavailableError, also if the device refuses (its number stands in the sentence)."""
        raws: dict[str, Raw] = {}
        # The later parts go before the first parts of other scales, so that all tell of one moment.
        for number, block in enumerate(self._plan):
            try:
                raws |= await self._meter.read_block(block, Priority.STATUS if number else Priority.WEIGHT)
            except RefusedError as error:
                raise UnavailableError(str(error)) from error
        found = self._meter.measured([*self._flags, "weight"], raws)
        weight = found["weight"]
        if weight.value is None or isinstance(weight.value, tuple):
            raise UnavailableError(f"{self._meter.station.name}: weight {weight.problem}")
        flags = {name: bool(found[name].value) for name in self._flags}
        return WeightSample(
            gross_g=float(weight.value) * self._grams,
            stable=not flags.get("unstable", False),
            power_on=flags.get("power_on", False),
            overload=flags.get("overload", False) or flags.get("overflow", False),
        )

    async def acknowledge_power_on(self) -> None:
        """Clear the power-up flag, where the device has one. Raises UnavailableError."""
        if ACKNOWLEDGE not in self._meter.profile.commands:
            return
        try:
            await self._meter.command(ACKNOWLEDGE)
        except RefusedError as error:
            raise UnavailableError(str(error)) from error
