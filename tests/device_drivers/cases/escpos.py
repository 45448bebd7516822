"""Receipt printers. The printer is the simulator, which cuts the host's bytes by tables of its own.

A status byte has no check sum, but four of its bits are fixed, and as many must come as were asked for: that is why
noise is told from a state.
"""

from __future__ import annotations

from collections.abc import Callable

from device_drivers.bus import Bus
from device_drivers.escpos import PrinterStatus, ReceiptPrinter
from device_drivers.escpos.codec import MOST_BUFFERED, HostDecoder
from device_drivers.escpos.status import MOST_BUFFERED as MOST_OF_DEVICE
from device_drivers.escpos.status import DeviceDecoder
from simulators.conformance.memory_link import DevicePeer
from simulators.conformance.suite import Ask, CodecCase, DriverCase
from simulators.hardware.escpos import Printer

HOST = (
    "1B 40",
    "1C 26",
    "1B 61 01",
    "D5 C6 B9 F1",
    "0A",
    "1B 45 01",
    "1D 21 11",
    "1B 64 03",
    "10 04 01",
    "1D 28 6B 04 00 31 41 32 00",
    "1D 28 6B 06 00 31 50 30 61 62 63",
    "1D 28 6B 03 00 31 51 30",
    "1C 2E",
    "1D 56 42 00",
    "1D 56 01",
    "1B 70 00 19 FA",
    "1D 72 01",
    "1B 44 04 08 00",
    "1D 6B 02 36 39 30 00",
    "1D 6B 49 03 7B 42 31",
    "1D 76 30 00 01 00 02 00 FF FF",
    "10 14 01 00 01",
)
DEVICE = ("12", "1A", "36", "11", "13", "00", "0F", "14 00 00 0F", "7E")


def _device(made: Callable[[], Printer]) -> Callable[[], DevicePeer]:
    return lambda: DevicePeer(made())


def _cover_open() -> Printer:
    printer = Printer(rows=10)
    printer.cover_open = True
    return printer


def _status(bus: Bus, echo: bool) -> Ask:
    del echo  # no byte of the question looks like an answer
    return ReceiptPrinter(bus).status


DRIVERS = [
    DriverCase(name="escpos: a well printer", device=_device(Printer), drive=_status, expected=PrinterStatus()),
    DriverCase(
        name="escpos: a cover open, the roll near its end",
        device=_device(_cover_open),
        drive=_status,
        expected=PrinterStatus(offline=True, cover_open=True, paper_near_end=True),
    ),
]
CODECS = [
    CodecCase(
        name="escpos: host",
        decoder=HostDecoder,
        frames=[bytes.fromhex(text) for text in HOST],
        most_buffered=MOST_BUFFERED,
    ),
    CodecCase(
        name="escpos: printer",
        decoder=DeviceDecoder,
        frames=[bytes.fromhex(text) for text in DEVICE],
        most_buffered=MOST_OF_DEVICE,
    ),
]
