"""What Modbus TCP says of itself."""

from __future__ import annotations

from functools import partial

from device_drivers.bus import Bus
from device_drivers.family import Family
from device_drivers.modbus_rtu.family import acts, ask_harmlessly, describe_pdu
from device_drivers.modbus_tcp import codec
from device_drivers.modbus_tcp.framing import TCP
from device_drivers.settings import Settings


def describe(frame: codec.Frame) -> str:
    """One frame in words."""
    return f"[{frame.transaction}] unit {frame.unit}: {describe_pdu(frame.pdu)}"


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """Ask for one register."""
    del settings  # a profile is no part of the question
    return await ask_harmlessly(bus, address, TCP)


FAMILY = Family(
    name="modbus_tcp",
    title="Modbus TCP",
    title_zh="Modbus TCP",
    from_host=partial(codec.FrameDecoder, from_host=True),
    from_device=partial(codec.FrameDecoder, from_host=False),
    describe=describe,
    acts=lambda frame: acts(frame.pdu),
    most_buffered=codec.MAX_FRAME - 1,
    simulator="simulators.hardware.modbus_tcp:on_bench",
    probe=probe,
    settings={"profile": "name of a shipped profile, or the path of a TOML file of your own"},
)
