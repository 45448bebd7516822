"""Modbus RTU: reads of all four tables by the drivers of the profiles, against the simulated devices (their own code)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from device_drivers.bus import Bus
from device_drivers.capabilities import WeightSample
from device_drivers.modbus_rtu import (
    Climate,
    ClimateSample,
    Inputs,
    Meter,
    Relay,
    Rtu,
    WeightTransmitter,
    load_profile,
)
from device_drivers.modbus_rtu.codec import FrameDecoder
from simulators.conformance.suite import Ask, CodecCase, DriverCase
from simulators.hardware.device import Device
from simulators.hardware.modbus import ModbusBus
from simulators.hardware.modbus_rtu import bench_units
from simulators.hardware.modbus_units import RelayBoard

RELAYS = (True, False, True, True, False, False, False, True)


class OnLine:
    """A simulated device at the other end of a line."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def receive(self, data: bytes) -> bytes:
        return b"".join(self._device.answer(frame, 0.0) for frame in self._device.split(data, 0.0))


def bench() -> OnLine:
    units = bench_units()
    board = units[1]
    assert isinstance(board, RelayBoard)
    board.relays, board.inputs = list(RELAYS), list(reversed(RELAYS))
    return OnLine(ModbusBus(units))


def case(name: str, ask: Callable[[Bus, Rtu], Ask], expected: object, least: int = 10) -> DriverCase:
    return DriverCase(
        name=f"modbus_rtu: {name}",
        device=bench,
        drive=lambda bus, echo: ask(bus, Rtu(echo=echo)),
        expected=expected,
        least_answers=least,
    )


def settings_of(bus: Bus, framing: Rtu) -> Ask:
    """Set point and hysteresis of the refrigerator: they do not move by themselves."""
    meter = Meter(bus, address=4, profile=load_profile("refrigeration"), framing=framing)

    async def ask() -> list[object]:
        found = await meter.read("setpoint", "hysteresis")
        return [one.value for one in found.values()]

    return ask


def switched(bus: Bus, framing: Rtu) -> Ask:
    """A switch that finds the relay where it is told to be: its confirmation is the question itself."""
    relay = Relay(bus, address=1, framing=framing)
    return partial(relay.set, 1, True)


DRIVERS = [
    case("relays", lambda bus, framing: Relay(bus, address=1, framing=framing).states, RELAYS),
    case("inputs", lambda bus, framing: Inputs(bus, address=1, framing=framing).states, tuple(reversed(RELAYS))),
    case("a relay switched", switched, None),
    case(
        "scale",
        lambda bus, framing: WeightTransmitter(bus, address=2, framing=framing).sample,
        WeightSample(500.0, stable=True),
    ),
    case("climate", lambda bus, framing: Climate(bus, address=3, framing=framing).sample, ClimateSample(305, 54.6)),
    case("meter", settings_of, [4.0, 2.0]),
]

FROM_HOST = [
    "01 05 00 00 FF 00 8C 3A",
    "01 01 00 00 00 08 3D CC",
    "01 0F 00 00 00 08 01 FF BE D5",
    "01 06 00 00 04 D2 0B 57",
    "01 10 00 00 00 01 02 00 02 27 91",
    "01 04 00 01 00 02 20 0B",
]
FROM_DEVICE = [
    "01 05 00 00 FF 00 8C 3A",
    "01 01 01 41 91 B8",
    "01 0F 00 00 00 08 54 0D",
    "01 03 04 00 00 00 84 FA 50",
    "01 83 02 C0 F1",
    "01 10 00 00 00 01 01 C9",
    "01 04 04 01 31 02 22 2A CE",
]
CODECS = [
    CodecCase(
        name=f"modbus_rtu: from {side}",
        decoder=partial(FrameDecoder, from_host=side == "host"),
        frames=[bytes.fromhex(text) for text in frames],
        most_buffered=255,
    )
    for side, frames in (("host", FROM_HOST), ("device", FROM_DEVICE))
]
