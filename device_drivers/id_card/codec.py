"""The bytes of the SAM in an identity card reader.

To the reader: AA AA AA 96 69 LEN-high LEN-low CMD PARA CHK; from it: AA AA AA 96 69 LEN-high LEN-low SW1 SW2 SW3
DATA CHK. LEN counts all after it; CHK is the XOR of all from LEN to the last data byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from device_drivers.faults import OnFault

PREAMBLE = b"\xaa\xaa\xaa\x96\x69"
MIN_LENGTH = 4  # SW1 SW2 SW3 CHK
MAX_LENGTH = 2321 - 7  # a card with two fingerprints
MAX_FRAME_BYTES = 7 + MAX_LENGTH


class Command(Enum):
    """What a reader can be told: CMD and PARA."""

    FIND = b"\x20\x01"
    SELECT = b"\x20\x02"
    READ = b"\x30\x01"
    READ_WITH_FINGERPRINTS = b"\x30\x10"
    SAM_STATUS = b"\x11\xff"
    SAM_ID = b"\x12\xff"
    SAM_RESET = b"\x10\xff"

    def to_bytes(self) -> bytes:
        return seal(self.value)


OK = 0x90
CARD_FOUND = 0x9F
# The card, not the reader, is why: none there, taken away too early, or not a genuine one.
NO_CARD = frozenset({0x80})
CARD_FAILED = frozenset({0x81, 0x41, 0x31, 0x32, 0x91})
READER_FAULTS = {
    0x10: "checksum wrong",
    0x11: "length wrong",
    0x21: "command unknown",
    0x60: "self-test failed",
    0x66: "not authorised",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `data` is a view of the decoder's only buffer: it is zero once the decoder was wiped,
    and its repr shows no content."""

    status: int
    data: memoryview


def check_byte(data: bytes | bytearray | memoryview) -> int:
    """XOR of all bytes."""
    result = 0
    for byte in data:
        result ^= byte
    return result


def seal(content: bytes) -> bytes:
    """A frame around CMD PARA DATA, or around SW1 SW2 SW3 DATA."""
    body = (len(content) + 1).to_bytes(2, "big") + content
    return PREAMBLE + body + bytes((check_byte(body),))


class AnswerDecoder:
    """Finds one answer in a stream with noise in it.

    It works in one buffer of fixed size, so that no copy of a person's data is left behind by growth. `wipe` zeroes
    it; a wiped decoder takes no more bytes.
    """

    def __init__(self, on_fault: OnFault) -> None:
        self._buffer = bytearray(MAX_FRAME_BYTES)
        self._filled = 0
        self._done = False
        self._on_fault = on_fault

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is whole. All after the first answer is dropped."""
        rest = memoryview(data)
        while rest and not self._done:
            taken = min(len(rest), MAX_FRAME_BYTES - self._filled)
            self._buffer[self._filled : self._filled + taken] = rest[:taken]
            self._filled += taken
            rest = rest[taken:]
            answer = self._parse()
            if answer is not None:
                self._done = True
                return answer
        return None

    def wipe(self) -> None:
        """Zero everything that was received."""
        self._done = True
        self._filled = 0
        self._buffer[:] = bytes(MAX_FRAME_BYTES)

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return self._filled

    def _parse(self) -> Answer | None:
        """An answer at the front of the buffer; drops what is none, so that the buffer is never full afterwards."""
        noise = 0
        while True:
            start = self._start()
            noise += start
            self._drop(start)
            if self._filled < 7:
                break
            length = int.from_bytes(self._buffer[5:7], "big")
            if not MIN_LENGTH <= length <= MAX_LENGTH:
                self._on_fault("framing", "an impossible length")
                self._drop(1)
                continue
            if self._filled < 7 + length:
                break
            view = memoryview(self._buffer)
            if check_byte(view[5 : 6 + length]) != view[6 + length]:
                self._on_fault("crc", "wrong check byte")
                self._drop(1)
                continue
            return Answer(view[9], view[10 : 6 + length])
        if noise:
            self._on_fault("framing", f"{noise} bytes of no answer")
        return None

    def _start(self) -> int:
        """Where a preamble begins, or may begin; else the end of what was received."""
        at = self._buffer.find(PREAMBLE, 0, self._filled)
        if at >= 0:
            return at
        for half in range(len(PREAMBLE) - 1, 0, -1):
            if half <= self._filled and self._buffer[self._filled - half : self._filled] == PREAMBLE[:half]:
                return self._filled - half
        return self._filled

    def _drop(self, count: int) -> None:
        """Move the rest to the front and zero what it leaves behind."""
        if count:
            left = self._filled - count
            self._buffer[:left] = self._buffer[count : self._filled]
            self._buffer[left : self._filled] = bytes(count)
            self._filled = left
