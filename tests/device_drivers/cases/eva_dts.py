"""Audit plugs. The machine is played by the simulator, which has a check sum of its own."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.eva_dts.codec import MOST_BUFFERED, FrameDecoder
from device_drivers.eva_dts.driver import call
from simulators.conformance.suite import Ask, CodecCase, DriverCase
from simulators.hardware.eva_dts import ETB, SOH, STX, AuditPlug, framed


class Plug:
    """The simulator at the end of a line in memory."""

    def __init__(self) -> None:
        self._plug = AuditPlug(b"ST*001*0001\r\n")

    def receive(self, data: bytes) -> bytes:
        return b"".join(self._plug.answer(frame, 0.0) for frame in self._plug.split(data, 0.0))


def _call(bus: Bus, echo: bool) -> Ask:
    del echo  # our own call is one byte that answers nothing
    return lambda: call(bus)


DRIVERS = [DriverCase(name="eva_dts: the call", device=Plug, drive=_call, expected=True)]
CODECS = [
    CodecCase(
        name="eva_dts: both ways",
        decoder=FrameDecoder,
        frames=[
            b"\x05",
            b"\x04",
            b"\x15",
            b"\x100",
            b"\x101",
            bytes.fromhex("10 01 53 53 4B 30 30 30 30 30 30 31 52 52 30 31 4C 30 31 10 03 30 93"),
            framed(STX, b"ST*001*0001\r\n", ETB),
            framed(SOH, b"00SSK0000001R01L01", 3),
        ],
        most_buffered=MOST_BUFFERED,
    )
]
