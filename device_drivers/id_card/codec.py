"""The bytes of the SAM in an identity card reader.

To the reader: AA AA AA 96 69 LEN-high LEN-low CMD PARA CHK; from it: AA AA AA 96 69 LEN-high LEN-low SW1 SW2 SW3
DATA CHK. LEN counts all after it; CHK is the XOR of all from LEN to the last data byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from device_drivers.faults import OnFault

PREAMBLE = b"\xaa\xaa\xaa\x96\x69"
HEAD_BYTES = 7  # preamble and length
ANSWER_LENGTHS = range(4, 2321 - HEAD_BYTES + 1)  # from SW1 SW2 SW3 CHK to a card with two fingerprints
MAX_FRAME_BYTES = HEAD_BYTES + ANSWER_LENGTHS[-1]


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


class FrameFinder:
    """Finds frames in a stream with noise in it, in one buffer of fixed size.

    A buffer that grows, a slice of it and even an assignment to a slice leave copies behind in freed memory. Here
    bytes are moved through views alone, and what they leave is zeroed at once.
    """

    def __init__(self, on_fault: OnFault, lengths: range) -> None:
        self._buffer = bytearray(HEAD_BYTES + lengths[-1])
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._lengths = lengths
        self._on_fault = on_fault

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return self._filled

    def put(self, data: memoryview) -> memoryview:
        """Take what fits; the rest."""
        taken = min(len(data), len(self._buffer) - self._filled)
        self._view[self._filled : self._filled + taken] = data[:taken]
        self._filled += taken
        return data[taken:]

    def find(self) -> memoryview | None:
        """The content of the frame at the front, between LEN and CHK.

        Drops what is none, so that without a frame the buffer is never full afterwards.
        """
        noise = 0
        while True:
            start = self._start()
            noise += start
            self._drop(start)
            if self._filled < HEAD_BYTES:
                break
            length = self._buffer[5] << 8 | self._buffer[6]
            if length not in self._lengths:
                self._on_fault("framing", "an impossible length")
                self._drop(1)
                continue
            if self._filled < HEAD_BYTES + length:
                break
            if check_byte(self._view[5 : 6 + length]) != self._buffer[6 + length]:
                self._on_fault("crc", "wrong check byte")
                self._drop(1)
                continue
            return self._view[HEAD_BYTES : 6 + length]
        if noise:
            self._on_fault("framing", f"{noise} bytes of no frame")
        return None

    def forget_first(self, content: memoryview) -> None:
        """Drop the frame that was found."""
        self._drop(HEAD_BYTES + len(content) + 1)

    def wipe(self) -> None:
        """Zero everything that was received."""
        self._filled = 0
        self._view[:] = bytes(len(self._buffer))

    def _start(self) -> int:
        """Where a preamble begins, or may begin; else the end of what was received."""
        at = self._buffer.find(PREAMBLE, 0, self._filled)
        if at >= 0:
            return at
        for half in range(len(PREAMBLE) - 1, 0, -1):
            if half <= self._filled and self._view[self._filled - half : self._filled] == PREAMBLE[:half]:
                return self._filled - half
        return self._filled

    def _drop(self, count: int) -> None:
        """Move the rest to the front and zero what it leaves behind."""
        if count:
            left = self._filled - count
            self._view[:left] = self._view[count : self._filled]
            self._view[left : self._filled] = bytes(count)
            self._filled = left


class AnswerDecoder(FrameFinder):
    """Finds one answer. A wiped decoder takes no more bytes."""

    def __init__(self, on_fault: OnFault) -> None:
        super().__init__(on_fault, ANSWER_LENGTHS)
        self._done = False

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is whole. All after the first answer is dropped."""
        rest = memoryview(data)
        while rest and not self._done:
            rest = self.put(rest)
            content = self.find()
            if content is not None:
                self._done = True
                return Answer(content[2], content[3:])
        return None

    def wipe(self) -> None:
        """Zero everything that was received."""
        self._done = True
        super().wipe()
