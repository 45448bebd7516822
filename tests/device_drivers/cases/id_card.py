"""Readers of identity cards. The reader is played by the simulator; the card belongs to nobody."""

from __future__ import annotations

import hashlib
import hmac
from datetime import date

from device_drivers.bus import Bus
from device_drivers.capabilities import AdultReading
from device_drivers.id_card import IdCardReader
from device_drivers.id_card.codec import MAX_FRAME_BYTES
from device_drivers.id_card.watch import AnswerWatcher, CommandWatcher
from simulators.conformance.suite import Ask, CodecCase, DriverCase
from simulators.hardware.id_card import Card, on_bench, reply
from simulators.hardware.id_card import IdCardReader as Simulated
from tests.device_drivers.cases.rfid_m100 import Peer

NUMBER, DAY_KEY = "000000199001010018", b"a key of one day"
READING = AdultReading(
    adult=True, doc_valid=True, person_day_key=hmac.new(DAY_KEY, NUMBER.encode(), hashlib.sha256).hexdigest()[:32]
)


def _read(bus: Bus, echo: bool) -> Ask:
    del echo  # a command that comes back is shorter than any answer
    return IdCardReader(bus, day_key=lambda: DAY_KEY, today=lambda: date(2026, 11, 22)).read


def _empty() -> Simulated:
    return Simulated()


DRIVERS = [
    DriverCase(name="id_card: an adult", device=lambda: Peer(on_bench()), drive=_read, expected=READING),
    DriverCase(name="id_card: no card", device=lambda: Peer(_empty()), drive=_read, expected=None),
]
CODECS = [
    CodecCase(
        name="id_card: to the reader",
        decoder=CommandWatcher,
        frames=[
            bytes.fromhex("AA AA AA 96 69 " + text)
            for text in ("00 03 20 01 22", "00 03 20 02 21", "00 03 30 01 32", "00 03 11 FF ED", "00 03 12 FF EE")
        ],
        most_buffered=7 + 64,
    ),
    CodecCase(
        name="id_card: from the reader",
        decoder=AnswerWatcher,
        frames=[
            *(
                bytes.fromhex("AA AA AA 96 69 " + text)
                for text in ("00 08 00 00 9F 00 00 00 00 97", "00 04 00 00 80 84", "00 0C 00 00 90" + "00" * 8 + "9C")
            ),
            reply(0x90, b"\x01\x00\x04\x00" + Card(NUMBER).text() + bytes(1024)),
        ],
        most_buffered=MAX_FRAME_BYTES,
    ),
]
