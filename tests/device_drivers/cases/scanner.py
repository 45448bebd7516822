"""Scanners: the harmless question of either maker who has one, and both directions of the line."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.scanner.family import FAMILY, probe
from device_drivers.scanner.stream import TalkDecoder, command_finder
from simulators.conformance.suite import Ask, CodecCase, DriverCase
from simulators.hardware.scanner import GM65
from simulators.hardware.scanner_newland import NewlandScanner
from tests.device_drivers.cases.rfid_m100 import Peer


def _probe(bus: Bus, echo: bool) -> Ask:
    del echo  # our own commands are no replies
    return lambda: probe(bus, 1, {})


DRIVERS = [
    DriverCase(
        name="scanner: GM65",
        device=lambda: Peer(GM65()),
        drive=_probe,
        expected="scanner of the GM65 family: it lives",
    ),
    DriverCase(
        name="scanner: Newland",
        device=lambda: Peer(NewlandScanner()),
        drive=_probe,
        expected="scanner with Newland's unified commands: it lives",
    ),
]
CODECS = [
    CodecCase(
        name="scanner: to the scanner",
        decoder=command_finder,
        frames=[
            bytes.fromhex(text)
            for text in (
                "7E 00 08 01 00 02 01 02 DA",
                "7E 00 08 01 00 02 01 AB CD",
                "16 54 0D",
                "16 55 0D",
                "7E 01 30 30 30 30 40 53 43 4E 54 52 47 31 3B 03",
                "1B 31",
                "7E 00 07 01 00 2A 02 D8 0F",
            )
        ],
        most_buffered=FAMILY.most_buffered,
    ),
    CodecCase(
        name="scanner: from the scanner",
        decoder=TalkDecoder,
        frames=[
            b"6901234567892\r",
            bytes.fromhex("02 00 00 01 00 33 31"),
            "会员-7\r".encode(),
            bytes.fromhex("02 01 30 30 30 30 23 53 43 4E 54 52 47 31 06 3B 03"),
            bytes.fromhex("03 00 00 01 00 33 31"),
            b"x" * 512 + b"\n",
        ],
        most_buffered=FAMILY.most_buffered,
    ),
]
