"""What the M100/R200/YRM100 modules say of themselves."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.errors import ProtocolError
from device_drivers.family import Family
from device_drivers.rfid_m100 import codec
from device_drivers.rfid_m100.codec import Code, Frame, Kind, TagRead
from device_drivers.rfid_m100.driver import RfidReaderM100
from device_drivers.settings import Settings


def describe(frame: Frame) -> str:
    """One frame in words. Of an EPC only the end is shown: a tag may belong to somebody's coat."""
    try:
        tag = TagRead.from_frame(frame)
    except ProtocolError:
        tag = None
    if tag is not None:
        return f"tag …{tag.epc[-2:].hex().upper()} at {tag.rssi_dbm} dBm{'' if tag.sound else ', its CRC is wrong'}"
    if (failed := codec.failure(frame)) is not None:
        return f"failure {failed:02X}: {codec.failure_text(failed)}"
    names = {code.value: code.name.lower().replace("_", " ") for code in Code}
    kind = {kind.value: kind.name.lower() for kind in Kind}[frame.kind]
    return f"{kind} {names.get(frame.code, f'{frame.code:02X}')}, {len(frame.parameters)} bytes"


def acts(frame: Frame) -> bool:
    """Whether a command changes a setting or keeps the module transmitting. Unknown commands may do anything."""
    if frame.kind != Kind.COMMAND:
        return False
    return frame.code not in (Code.MODULE_INFO, Code.GET_POWER, Code.GET_REGION, Code.STOP)


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """Ask for the model and the power; the module has no address."""
    del address, settings
    reader = RfidReaderM100(bus)
    return f"{await reader.model()}, {await reader.power_dbm():g} dBm"


FAMILY = Family(
    name="rfid_m100",
    title="UHF RFID modules M100, R200, YRM100",
    title_zh="M100/R200/YRM100 超高频读写模块",
    from_host=codec.FrameDecoder,
    from_device=codec.FrameDecoder,
    describe=describe,
    acts=acts,
    most_buffered=codec.MAX_FRAME_BYTES - 1,
    simulator="simulators.hardware.rfid_m100:on_bench",
    baud=115200,
    probe=probe,
    settings={
        "power_dbm": "transmit power",
        "region": "china_900 or china_800",
        "threshold_dbm": "a tag whose median is not stronger than this is outside",
    },
)
