"""What the trial units of PTP/1 say of themselves."""

from __future__ import annotations

from typing import get_args

from device_drivers.bus import Bus
from device_drivers.family import Family
from device_drivers.settings import Settings, one_of
from device_drivers.trial_ptp import codec
from device_drivers.trial_ptp.driver import Line, TrialUnit
from device_drivers.trial_ptp.names import Capability, Command, State, name_of

_ACTS = frozenset({
    Command.AUTHORIZE, Command.ARM, Command.START, Command.DISPENSE, Command.SET_CONFIG, Command.SAMPLE_SET
})  # fmt: skip


def acts(frame: codec.Frame) -> bool:
    """True of what may lead to heat, hand out a sample or change the unit, also as somebody else's version of it."""
    return not frame.is_reply and not frame.is_event and frame.command in _ACTS


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """Ask who is there and where it stands."""
    unit = TrialUnit(bus, address=address, line=one_of(settings, "line", get_args(Line), "rs485"))
    hello = await unit.hello()
    status = await unit.status()
    parts = ", ".join(bit.name.lower().replace("_", " ") for bit in Capability(hello.capabilities) if bit.name)
    return (
        f"trial unit {address}: PTP/{hello.protocol}, model {hello.model}, "
        f"firmware {hello.firmware >> 8}.{hello.firmware & 0xFF}, serial {hello.serial:08X}; "
        f"{parts or 'nothing built in'}; {name_of(State, status.state)}"
    )


FAMILY = Family(
    name="trial_ptp",
    title="Trial units, PTP/1",
    title_zh="试烟机（PTP/1）",
    from_host=codec.FrameDecoder,
    from_device=codec.FrameDecoder,
    describe=codec.describe,
    acts=acts,
    most_buffered=codec.MAX_WIRE_BYTES,
    simulator="simulators.hardware.trial_ptp:TrialUnit",
    baud=115200,
    probe=probe,
    settings={"line": "rs485 (events in a poll slot) or usb (events at once)"},
)
