"""Modbus TCP: the same drivers in the other envelope."""

from __future__ import annotations

from functools import partial

from device_drivers.capabilities import WeightSample
from device_drivers.modbus_rtu import Climate, ClimateSample, Relay, WeightTransmitter
from device_drivers.modbus_tcp import TCP
from device_drivers.modbus_tcp.codec import FrameDecoder
from simulators.conformance.lines import echoing, echoing_in_one_piece
from simulators.conformance.suite import CodecCase, DriverCase
from simulators.hardware.modbus_rtu import bench_units
from simulators.hardware.modbus_tcp import ModbusTcpLine
from tests.device_drivers.cases.modbus_rtu import OnLine

# A connection repeats nothing of ours, and a write's confirmation is the question itself, transaction and all.
NO_ECHO = tuple((line, "a network connection does not echo") for line in (echoing, echoing_in_one_piece))


def bench() -> OnLine:
    return OnLine(ModbusTcpLine(bench_units()))


DRIVERS = [
    DriverCase(
        name="modbus_tcp: relays",
        device=bench,
        drive=lambda bus, _echo: Relay(bus, address=1, framing=TCP).states,
        expected=(False,) * 8,
    ),
    DriverCase(
        name="modbus_tcp: a relay switched",
        device=bench,
        drive=lambda bus, _echo: partial(Relay(bus, address=1, framing=TCP).set, 1, False),
        expected=None,
        avoid=NO_ECHO,
    ),
    DriverCase(
        name="modbus_tcp: scale",
        device=bench,
        drive=lambda bus, _echo: WeightTransmitter(bus, address=2, framing=TCP).sample,
        expected=WeightSample(500.0, stable=True),
    ),
    DriverCase(
        name="modbus_tcp: climate",
        device=bench,
        drive=lambda bus, _echo: Climate(bus, address=3, framing=TCP).sample,
        expected=ClimateSample(305, 54.6),
    ),
]

CODECS = [
    CodecCase(
        name=f"modbus_tcp: from {side}",
        decoder=partial(FrameDecoder, from_host=side == "host"),
        frames=[bytes.fromhex(text) for text in frames],
        most_buffered=259,
    )
    for side, frames in (
        (
            "host",
            [
                "00 01 00 00 00 06 01 05 00 00 FF 00",
                "00 02 00 00 00 06 01 01 00 00 00 08",
                "00 03 00 00 00 08 01 0F 00 00 00 08 01 FF",
                "FF FF 00 00 00 09 FF 10 00 00 00 01 02 00 02",
            ],
        ),
        (
            "device",
            [
                "00 01 00 00 00 06 01 05 00 00 FF 00",
                "00 02 00 00 00 04 01 01 01 41",
                "00 03 00 00 00 03 01 83 02",
                "FF FF 00 00 00 07 FF 04 04 01 31 02 22",
            ],
        ),
    )
]
