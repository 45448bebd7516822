"""A reader of identity cards behind its security module: find, select, read. The cards are made up.

In: `AA AA AA 96 69 LEN CMD PARA CHK`; out: the same head, `LEN SW1 SW2 SW3 DATA CHK`. CHK is the XOR from LEN on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import reduce
from operator import xor

from simulators.hardware.device import FrameBuffer

HEAD = bytes.fromhex("AAAAAA9669")
MAX_LENGTH = 64  # of a request, as LEN counts it
OK, FOUND, NO_CARD, SELECT_FAILED, READ_FAILED = 0x90, 0x9F, 0x80, 0x81, 0x41
BAD_CHECKSUM, BAD_LENGTH, BAD_COMMAND = 0x10, 0x11, 0x21
RESET, STATUS, MODULE_ID = (0x10, 0xFF), (0x11, 0xFF), (0x12, 0xFF)
FIND, SELECT, READ = (0x20, 0x01), (0x20, 0x02), (0x30, 0x01)
TEXT_BYTES, PHOTO_BYTES = 256, 1024
FAKE_MODULE_ID = bytes(16)


@dataclass(frozen=True, slots=True)
class Card:
    """A card that nobody owns. `number` has 18 characters; its area code 000000 does not exist."""

    number: str
    valid_from: str = "20200101"
    valid_to: str = "20400101"
    name: str = "样本"
    address: str = "样本市样本路一号"

    def __post_init__(self) -> None:
        if len(self.number) != 18 or not self.number.startswith("000000"):
            raise ValueError("a made-up card has 18 characters and begins with 000000")

    def text(self) -> bytes:
        """The 256 bytes of text on the chip: fixed fields of UTF-16, padded with spaces."""
        sex = "1" if self.number[16:17] in "13579" else "2"
        fields = (
            (self.name, 30),
            (sex, 2),
            ("01", 4),
            (self.number[6:14], 16),
            (self.address, 70),
            (self.number, 36),
            ("样本市公安局", 30),
            (self.valid_from, 16),
            (self.valid_to, 16),
            ("", 36),
        )
        block = b"".join(text.ljust(size // 2).encode("utf-16-le")[:size] for text, size in fields)
        assert len(block) == TEXT_BYTES
        return block


def sealed(payload: bytes) -> bytes:
    """Head, length and checksum around `payload`."""
    body = (len(payload) + 1).to_bytes(2, "big") + payload
    return HEAD + body + bytes([reduce(xor, body)])


def reply(status: int, data: bytes = b"") -> bytes:
    """A reply of the module with its last status byte."""
    return sealed(bytes([0, 0, status]) + data)


class IdCardReader:
    """One reader. `card` is what lies on it; a card has to be found and selected before it can be read."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._buffer = FrameBuffer(self.counters)
        self._card: Card | None = None
        self._state = "idle"

    @property
    def card(self) -> Card | None:
        return self._card

    @card.setter
    def card(self, card: Card | None) -> None:
        self._card, self._state = card, "idle"

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        self._buffer.add(data, real_s)
        held = self._buffer.bytes
        frames = []
        while held:
            start = min(len(held), len(HEAD))
            if held[:start] != HEAD[:start]:
                self._buffer.skip()
                continue
            if len(held) < 7:
                break
            length = int.from_bytes(held[5:7], "big")
            if not 1 <= length <= MAX_LENGTH:
                self.counters["bad_length"] += 1
                self._buffer.skip()
                continue
            if len(held) < 7 + length:
                break
            frames.append(self._buffer.cut(7 + length))
        return frames

    def answer(self, frame: bytes, real_s: float) -> bytes:  # noqa: ARG002  # the module has no real time
        body = frame[len(HEAD) :]
        if reduce(xor, body):
            return self._refuse(BAD_CHECKSUM)
        if len(body) != 5:
            return self._refuse(BAD_LENGTH)
        command = (body[2], body[3])
        if command in (RESET, STATUS):
            return reply(OK)
        if command == MODULE_ID:
            return reply(OK, FAKE_MODULE_ID)
        if command == FIND:
            return self._find()
        if command == SELECT:
            return self._select()
        if command == READ:
            return self._read()
        return self._refuse(BAD_COMMAND)

    def disguise(self, reply: bytes) -> bytes:
        """The module has no address; a reply to nobody is one with a foreign head."""
        return b"\x55" + reply[1:]

    def _refuse(self, status: int) -> bytes:
        self.counters[f"refused_{status:02x}"] += 1
        return reply(status)

    def _find(self) -> bytes:
        if self._card is None:
            self.counters["no_card"] += 1
            return reply(NO_CARD)
        self._state = "found"
        return reply(FOUND, bytes(4))

    def _select(self) -> bytes:
        if self._card is None or self._state != "found":
            return self._refuse(SELECT_FAILED)
        self._state = "selected"
        return reply(OK, bytes(8))

    def _read(self) -> bytes:
        if self._card is None or self._state != "selected":
            return self._refuse(READ_FAILED)
        self.counters["cards_read"] += 1
        photo = bytes(i * 7 % 256 for i in range(PHOTO_BYTES))  # no picture of anybody
        lengths = TEXT_BYTES.to_bytes(2, "big") + PHOTO_BYTES.to_bytes(2, "big")
        return reply(OK, lengths + self._card.text() + photo)


def on_bench() -> IdCardReader:
    """A reader with a made-up card of an adult on it."""
    reader = IdCardReader()
    reader.card = Card("000000199001010018")
    return reader
