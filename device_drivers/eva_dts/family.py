"""What the audit plug of a vending machine says of itself."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.eva_dts import codec, driver
from device_drivers.family import Family
from device_drivers.settings import Settings

_WORDS = {
    codec.Control.ENQ: "call",
    codec.Control.EOT: "end of turn",
    codec.Control.NAK: "not understood",
    codec.Control.ACK0: "acknowledged, even",
    codec.Control.ACK1: "acknowledged, odd",
}


def describe(frame: codec.Frame) -> str:
    """One frame in words; the text of a block is counted, not shown."""
    if isinstance(frame, codec.Spoilt):
        return "a block that did not come whole"
    if isinstance(frame, codec.Control):
        return _WORDS[frame]
    what = "header" if frame.kind is codec.Kind.HEADER else "data"
    return f"{what} block, {len(frame.text)} bytes{', the last' if frame.last else ''}"


def acts(frame: codec.Frame) -> bool:
    """Data blocks may change a machine's settings, and a header with S announces them."""
    if not isinstance(frame, codec.Block):
        return False
    return frame.kind is codec.Kind.DATA or frame.text[codec.COMM_ID_CHARS : codec.COMM_ID_CHARS + 1] == b"S"


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """Call; there is one machine on a plug, the address says nothing."""
    del address, settings
    await driver.call(bus)
    return "EVA-DTS audit plug: a machine answers the call"


FAMILY = Family(
    name="eva_dts",
    title="EVA-DTS / DEX audit plug of a vending machine",
    title_zh="售货机审计接口 EVA-DTS / DEX",
    from_host=codec.FrameDecoder,
    from_device=codec.FrameDecoder,
    describe=describe,
    acts=acts,
    most_buffered=codec.MOST_BUFFERED,
    simulator="simulators.hardware.eva_dts:AuditPlug",
    probe=probe,
    settings={"comm_id": "ten letters and digits that name the reader to the machine"},
)
