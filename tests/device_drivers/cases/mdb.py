"""MDB adapters in both codings. The peripherals are played by the simulator, which cuts and sums by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from device_drivers.bus import Bus
from device_drivers.mdb import CashlessReader, MdbLine
from device_drivers.mdb.cashless import PeripheralId
from device_drivers.mdb.codec import MOST_BUFFERED, DeviceDecoder, HostDecoder
from device_drivers.mdb.machine import CashlessMachine, State
from device_drivers.mdb.words import CODINGS, Coding, encode
from simulators.conformance.suite import Ask, CodecCase, DriverCase
from simulators.hardware.mdb import MdbAdapter
from simulators.hardware.mdb_reader import Reader

HOST = (
    "110 010",
    "112 012",
    "111 000 003 000 000 000 014",
    "113 000 001 0F4 000 003 00B",
    "113 002 000 003 018",
    "16F 0FF 005 006 012 044 052 041 056 050 008",
    "000",
    "0AA",
)
DEVICE = (
    "001 003 011 056 001 002 005 000 173",
    "003 003 0E8 1EE",
    "100",
    "1FF",
    "006 106",
    "0FF 005 006 000 044 052 041 056 050 187",
)


class Peer:
    """A disabled reader behind an adapter that acknowledges by itself."""

    def __init__(self, coding: Coding) -> None:
        reader = Reader(at_once=True)
        reader.state = "disabled"
        self._adapter = MdbAdapter({0x10: reader}, coding=coding, acknowledges=True)

    def receive(self, data: bytes) -> bytes:
        now_s = asyncio.get_running_loop().time()
        return b"".join(self._adapter.answer(block, now_s) for block in self._adapter.split(data, now_s))


def _device(coding: Coding) -> Callable[[], Peer]:
    return lambda: Peer(coding)


def _identify(coding: Coding) -> Callable[[Bus, bool], Ask]:
    def drive(bus: Bus, echo: bool) -> Ask:
        driver = CashlessReader(MdbLine(bus, coding=coding, echo=echo))
        driver._machine = CashlessMachine(state=State.DISABLED, must_reset=False)
        return driver.identify

    return drive


def _blocks(texts: tuple[str, ...], coding: Coding) -> list[bytes]:
    return [encode([int(word, 16) for word in text.split()], coding) for text in texts]


DRIVERS = [
    DriverCase(
        name=f"mdb: who are you, {coding}",
        device=_device(coding),
        drive=_identify(coding),
        expected=PeripheralId("SIM", "000000000042", "CASHLESS SIM", 0x0100),
    )
    for coding in CODINGS
]
CODECS = [
    CodecCase(
        name=f"mdb: {side}, {coding}{', not told which' if blind else ''}",
        decoder=lambda on_fault, kind=kind, told=None if blind else coding: kind(on_fault, told),
        frames=_blocks(texts, coding),
        most_buffered=MOST_BUFFERED,
    )
    for side, kind, texts in (("host", HostDecoder, HOST), ("peripheral", DeviceDecoder, DEVICE))
    for coding in CODINGS
    for blind in (False, True)
]
