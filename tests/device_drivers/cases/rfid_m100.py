"""M100/R200 modules. The module is played by the simulator, which sums and cuts by its own code."""

from __future__ import annotations

import asyncio

from device_drivers.bus import Bus
from device_drivers.rfid_m100 import Bank, RfidReaderM100
from device_drivers.rfid_m100.codec import MAX_FRAME_BYTES, FrameDecoder
from simulators.conformance.suite import Ask, CodecCase, DriverCase
from simulators.hardware.device import Device
from simulators.hardware.rfid_m100 import RfidM100, on_bench


class Peer:
    """A simulated device at the end of a line in memory."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def receive(self, data: bytes) -> bytes:
        now_s = asyncio.get_running_loop().time()
        return b"".join(self.device.answer(frame, now_s) for frame in self.device.split(data, now_s))


def _module() -> RfidM100:
    module = on_bench()
    for tag in list(module.field.tags)[1:]:  # which of two tags is heard first is a matter of luck
        module.field.take(tag)
    return module


def _power(bus: Bus, echo: bool) -> Ask:
    del echo  # a command that comes back is of another kind than any reply
    return RfidReaderM100(bus).power_dbm


def _bank(bus: Bus, echo: bool) -> Ask:
    del echo
    reader = RfidReaderM100(bus)
    return lambda: reader.read_bank(Bank.EPC, start_word=2, words=6)


EPC = bytes.fromhex("30751FEB705C5904E3D50D70")
DRIVERS = [
    DriverCase(name="rfid_m100: power", device=lambda: Peer(_module()), drive=_power, expected=26.0),
    DriverCase(name="rfid_m100: memory", device=lambda: Peer(_module()), drive=_bank, expected=(EPC, EPC)),
]
CODECS = [
    CodecCase(
        name="rfid_m100: both ways",
        decoder=FrameDecoder,
        frames=[
            bytes.fromhex(text)
            for text in (
                "BB 00 22 00 00 22 7E",
                "BB 02 22 00 11 C9 34 00 30 75 1F EB 70 5C 59 04 E3 D5 0D 70 3A 76 EF 7E",
                "BB 02 22 00 11 C4 30 00 E2 00 00 1D 73 15 01 65 21 40 8F C6 B8 3E C2 7E",
                "BB 01 FF 00 01 15 16 7E",
                "BB 00 39 00 09 00 00 00 00 01 00 02 00 06 4B 7E",
            )
        ],
        most_buffered=MAX_FRAME_BYTES - 1,
    )
]
