"""ThingMagic modules. The module is played by the simulator, which divides its CRC in its own way."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.rfid_thingmagic import ThingMagicReader
from device_drivers.rfid_thingmagic.codec import (
    COMMAND_OVERHEAD_BYTES,
    MAX_DATA,
    MAX_FRAME_BYTES,
    CommandDecoder,
    ReplyDecoder,
)
from simulators.conformance.suite import Ask, CodecCase, DriverCase
from simulators.hardware.rfid_thingmagic import VERSIONS, on_bench, said
from tests.device_drivers.cases.rfid_m100 import Peer


def _version(bus: Bus, echo: bool) -> Ask:
    del echo  # a command that comes back is two bytes short of a reply
    return ThingMagicReader(bus).version


def _tag(bus: Bus, echo: bool) -> Ask:
    del echo
    return ThingMagicReader(bus).first_tag


DRIVERS = [
    DriverCase(name="rfid_thingmagic: version", device=lambda: Peer(on_bench()), drive=_version, expected=VERSIONS),
    DriverCase(
        name="rfid_thingmagic: tag",
        device=lambda: Peer(on_bench()),
        drive=_tag,
        expected=bytes.fromhex("E20000000000000000000001"),
    ),
]
CODECS = [
    CodecCase(
        name="rfid_thingmagic: to the module",
        decoder=CommandDecoder,
        frames=[
            bytes.fromhex(text)
            for text in (
                "FF 00 03 1D 0C",
                "FF 00 04 1D 0B",
                "FF 01 97 02 4B BF",
                "FF 02 93 00 05 51 7D",
                "FF 02 21 03 E8 D5 09",
            )
        ],
        most_buffered=COMMAND_OVERHEAD_BYTES + MAX_DATA - 1,
    ),
    CodecCase(
        name="rfid_thingmagic: from the module",
        decoder=ReplyDecoder,
        frames=[said(0x03, 0, VERSIONS), said(0x21, 0x0400), said(0x21, 0, bytes(14)), said(0x97, 0x0101)],
        most_buffered=MAX_FRAME_BYTES - 1,
    ),
]
