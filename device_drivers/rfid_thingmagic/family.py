"""What the ThingMagic and Silion modules say of themselves."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.family import Family
from device_drivers.rfid_thingmagic import codec
from device_drivers.rfid_thingmagic.codec import Command, Opcode, Reply
from device_drivers.rfid_thingmagic.driver import ThingMagicReader
from device_drivers.settings import Settings

_NAMES = {opcode.value: opcode.name.lower().replace("_", " ") for opcode in Opcode}
_STATUSES = {codec.OK: "done", codec.WRONG_OPCODE: "unknown here, still in the boot loader?", codec.NO_TAG: "no tag"}


def describe(frame: Command | Reply) -> str:
    """One frame in words. Of a tag only the end is shown: it may belong to somebody's coat."""
    name = _NAMES.get(frame.opcode, f"opcode {frame.opcode:02X}")
    if isinstance(frame, Command):
        return f"{name}, {len(frame.data)} bytes"
    said = _STATUSES.get(frame.status, f"status {frame.status:04X}")
    if frame.opcode == Opcode.READ_SINGLE and frame.status == codec.OK and len(frame.data) >= 4:
        return f"{name}: tag …{frame.data[-4:-2].hex().upper()}"
    return f"{name}: {said}, {len(frame.data)} bytes"


def acts(frame: Command | Reply) -> bool:
    """Whether a command starts, sets or transmits anything. Unknown ones may do anything."""
    return isinstance(frame, Command) and frame.opcode not in (Opcode.VERSION, Opcode.HARDWARE_VERSION)


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """Ask for the version; the module has no address and is not booted by this."""
    del address, settings
    version = await ThingMagicReader(bus).version()
    return f"ThingMagic or Silion module, version {version.hex(' ').upper()}"


FAMILY = Family(
    name="rfid_thingmagic",
    title="UHF RFID modules ThingMagic M6e/M7e, Silion",
    title_zh="ThingMagic M6e/M7e、芯联超高频模块",
    from_host=codec.CommandDecoder,
    from_device=codec.ReplyDecoder,
    describe=describe,
    acts=acts,
    most_buffered=codec.MAX_FRAME_BYTES - 1,
    simulator="simulators.hardware.rfid_thingmagic:on_bench",
    baud=115200,
    probe=probe,
    settings={"region": "china: the only band the codec has"},
)
