"""Relay boards and their inputs: lamps, fans, heaters, contacts. Never the lock of a compartment."""

from __future__ import annotations

from device_drivers.bus import Bus, Priority
from device_drivers.errors import MisconfiguredError
from device_drivers.modbus_rtu import pdu
from device_drivers.modbus_rtu.framing import RTU, Framing
from device_drivers.modbus_rtu.meter import Meter
from device_drivers.modbus_rtu.profile import Profile, ValueTable, load_profile


def _row(board: Profile, name: str, function: int) -> ValueTable:
    board.need(name)
    row = board.values[name]
    if row.function != function:
        raise MisconfiguredError(f"profile {board.name}: value.{name}.function: must be {function} for this driver")
    return row


class Relay:
    """The relays of one board; `channel` counts from 1. There is no way to switch all of them on at once."""

    def __init__(self, bus: Bus, *, address: int, profile: Profile | None = None, framing: Framing = RTU) -> None:
        self._meter = Meter(bus, address=address, profile=profile or load_profile("relay_8"), framing=framing)
        self._row = _row(self._meter.profile, "relays", pdu.READ_COILS)
        self.channels = self._row.count

    async def states(self) -> tuple[bool, ...]:
        """Which relays are on. Raises RefusedError, UnavailableError."""
        return await _bits(self._meter, self._row)

    async def set(self, channel: int, on: bool) -> None:
        """Switch one relay, once; the board has confirmed it with the same bytes when this returns.

        Never repeated: after NoReplyError nobody knows whether it moved, and `states` tells. Any other
        UnavailableError promises that nothing was sent. Raises RefusedError; MisconfiguredError for a channel that
        does not exist.
        """
        if not 1 <= channel <= self.channels:
            raise MisconfiguredError(f"relay {channel}: must be in 1..{self.channels}")
        await self._meter.station.write(pdu.WriteCoil(self._row.address + channel - 1, on))

    async def all_off(self) -> None:
        """Switch every relay off. Raises as `set`."""
        await self._meter.station.write(pdu.WriteCoils(self._row.address, (False,) * self.channels))


class Inputs:
    """The inputs of one board, the first one first."""

    def __init__(self, bus: Bus, *, address: int, profile: Profile | None = None, framing: Framing = RTU) -> None:
        self._meter = Meter(bus, address=address, profile=profile or load_profile("relay_8"), framing=framing)
        self._row = _row(self._meter.profile, "inputs", pdu.READ_INPUTS)
        self.channels = self._row.count

    async def states(self) -> tuple[bool, ...]:
        """Which contacts are closed. Raises RefusedError, UnavailableError."""
        return await _bits(self._meter, self._row)


async def _bits(meter: Meter, row: ValueTable) -> tuple[bool, ...]:
    reply = await meter.station.read(pdu.Read(row.function, row.address, row.count), priority=Priority.STATUS)
    return reply.bits(row.count)
