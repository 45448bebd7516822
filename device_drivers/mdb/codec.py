"""Blocks on an MDB line, after the multi-drop bus standard of the vending trade.

The machine (host) sends address + command with the mode bit, data, and a check sum, all without it. A peripheral
answers with data and a check sum that has the mode bit, or with ACK (100) or NAK (1FF) alone. The host then says ACK
(000), RET (0AA: say it again) or NAK (0FF). A check sum is the low byte of the sum of all bytes before it. There is no
length: whoever listens to the host knows it from the command.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault
from device_drivers.mdb.words import MAX_BLOCK_WORDS, MAX_LINE_BYTES, MODE, Coding, decode, encode, line_of, words_of

CASHLESS = (0x10, 0x60)
AGE_VERIFICATION = 0x68
MOST_BUFFERED = MAX_LINE_BYTES
_HEX = frozenset(b"0123456789ABCDEFabcdef \r\n")

RESET, SETUP, POLL, VEND, READER, REVALUE, EXPANSION = 0, 1, 2, 3, 4, 5, 7
# Words of a block to a cashless device, by command and first data byte; check sum and all.
_CASHLESS_WORDS = {
    (SETUP, 0x00): 7,
    (SETUP, 0x01): 7,
    (VEND, 0x00): 7,
    (VEND, 0x01): 3,
    (VEND, 0x02): 5,
    (VEND, 0x03): 3,
    (VEND, 0x04): 3,
    (VEND, 0x05): 7,
    (VEND, 0x06): 7,
    (READER, 0x00): 3,
    (READER, 0x01): 3,
    (READER, 0x02): 3,
    (REVALUE, 0x00): 5,
    (REVALUE, 0x01): 3,
    (EXPANSION, 0x00): 32,
    (EXPANSION, 0x04): 7,
}


class HostControl(Enum):
    """What the host says of a reply."""

    ACK = 0x000
    RET = 0x0AA
    NAK = 0x0FF

    def to_bytes(self, coding: Coding = "words") -> bytes:
        """One word."""
        return encode([self.value], coding)


class DeviceControl(Enum):
    """A reply without data."""

    ACK = 0x100
    NAK = 0x1FF

    def to_bytes(self, coding: Coding = "words") -> bytes:
        """One word."""
        return encode([self.value], coding)


@dataclass(frozen=True, slots=True)
class Command:
    """A block of the host. `address` is the upper five bits of its first byte (0x10), `command` the lower three."""

    address: int
    command: int
    data: bytes = b""

    def to_words(self) -> list[int]:
        """Raises ProtocolError(local) for a block that the bus does not have."""
        if self.address & ~0xF8 or not self.address or not 0 <= self.command <= 7:
            raise ProtocolError(f"address {self.address:#04x}, command {self.command}: no such block", side="local")
        if len(self.data) > MAX_BLOCK_WORDS - 2:
            raise ProtocolError(f"a block has up to {MAX_BLOCK_WORDS} bytes", side="local")
        body = [self.address | self.command, *self.data]
        return [MODE | body[0], *body[1:], check_sum(body)]

    def to_bytes(self, coding: Coding = "words") -> bytes:
        """As the adapter takes it. Raises ProtocolError(local)."""
        return encode(self.to_words(), coding)

    @classmethod
    def from_words(cls, words: Sequence[int]) -> Command:
        """Raises ProtocolError(remote) for a wrong check sum, mode bit or length."""
        if not 2 <= len(words) <= MAX_BLOCK_WORDS or not words[0] & MODE or any(word & MODE for word in words[1:]):
            raise ProtocolError("no block of a host")
        if check_sum(words[:-1]) != words[-1]:
            raise ProtocolError("wrong check sum")
        first = words[0] & 0xFF
        return cls(first & 0xF8, first & 7, bytes(words[1:-1]))

    @classmethod
    def from_bytes(cls, data: bytes, coding: Coding = "words") -> Command:
        """Raises ProtocolError(remote)."""
        return cls.from_words(decode(data, coding))


@dataclass(frozen=True, slots=True)
class Reply:
    """A block of a peripheral: one byte at least, which says what follows."""

    data: bytes

    def to_words(self) -> list[int]:
        """Raises ProtocolError(local) for a block that the bus does not have."""
        if not 1 <= len(self.data) < MAX_BLOCK_WORDS:
            raise ProtocolError(f"a reply has 1 to {MAX_BLOCK_WORDS - 1} bytes of data", side="local")
        return [*self.data, MODE | check_sum(self.data)]

    def to_bytes(self, coding: Coding = "words") -> bytes:
        """As the adapter gives it. Raises ProtocolError(local)."""
        return encode(self.to_words(), coding)

    @classmethod
    def from_words(cls, words: Sequence[int]) -> Reply:
        """Raises ProtocolError(remote) for a wrong check sum, mode bit or length."""
        if not 2 <= len(words) <= MAX_BLOCK_WORDS or not words[-1] & MODE or any(word & MODE for word in words[:-1]):
            raise ProtocolError("no block of a peripheral")
        if MODE | check_sum(words[:-1]) != words[-1]:
            raise ProtocolError("wrong check sum")
        return cls(bytes(words[:-1]))

    @classmethod
    def from_bytes(cls, data: bytes, coding: Coding = "words") -> Reply:
        """Raises ProtocolError(remote)."""
        return cls.from_words(decode(data, coding))


HostFrame = Command | HostControl
DeviceFrame = Reply | DeviceControl
F = TypeVar("F")


def check_sum(words: Sequence[int]) -> int:
    """Low byte of the sum, mode bits left out."""
    return sum(word & 0xFF for word in words) & 0xFF


class _Decoder(ABC, Generic[F]):
    """Finds blocks in either coding. `skipped` counts the bytes of no block since it was made.

    A control is one word without a check sum, and any spoilt block holds some: the first one after noise is not
    believed.
    """

    def __init__(self, on_fault: OnFault, coding: Coding | None = None) -> None:
        self.skipped = 0
        self._buffer = bytearray()
        self._on_fault = on_fault
        self._coding = coding
        self._bad_sums = 0
        self._dirty = False

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[F]:
        """The frames that are whole now. Bytes of no frame are dropped and reported, once a call."""
        frames: list[F] = []
        skipped, self._bad_sums, at = self.skipped, 0, 0
        self._buffer += data
        while at < len(self._buffer):
            used = self._line_at(at, frames) if self._is_line(self._buffer[at]) else self._words_at(at, frames)
            if used == 0:
                break
            at += used
        del self._buffer[:at]
        if self._bad_sums:
            self._on_fault("crc", "wrong check sum")
        elif self.skipped > skipped:
            self._on_fault("framing", f"{self.skipped - skipped} bytes of no block")
        return frames

    @abstractmethod
    def _measure(self, words: Sequence[int]) -> int | None:
        """How many words make a whole block; 0 if none begins here, None if more are needed."""

    @abstractmethod
    def _frame(self, words: Sequence[int]) -> F:
        """The block of these words. Raises ProtocolError."""

    def _is_line(self, first: int) -> bool:
        return self._coding == "hex_lines" or (self._coding is None and first in _HEX)

    def _words_at(self, at: int, frames: list[F]) -> int:
        """Bytes used from `at`; 0: more are needed."""
        chunk = bytes(self._buffer[at : at + 2 * MAX_BLOCK_WORDS])
        words = words_of(chunk)
        rest = chunk[2 * len(words) :]
        more_may_come = len(words) < MAX_BLOCK_WORDS and len(rest) <= 1 and not (rest and rest[0] > 1)
        whole = self._measure(words) if words else None
        if whole is None and more_may_come:
            return 0
        if not whole or not self._keep(words[:whole], frames):
            return self._miss()
        return 2 * whole

    def _line_at(self, at: int, frames: list[F]) -> int:
        end = self._buffer.find(b"\n", at, at + MAX_LINE_BYTES)
        if end < 0:
            known = self._buffer[at : at + MAX_LINE_BYTES]
            if len(known) < MAX_LINE_BYTES and (self._coding is not None or _HEX.issuperset(known)):
                return 0
            return self._miss()
        line = bytes(self._buffer[at : end + 1])
        if self._coding is None and not _HEX.issuperset(line):
            return self._miss()
        words = line_of(line)
        noise = max(0, len(line.strip()) - max(0, 4 * len(words) - 1))
        self.skipped += noise
        self._dirty = noise > 0
        used = 0
        while used < len(words):
            whole = self._measure(words[used:])
            used += whole if whole and self._keep(words[used : used + whole], frames) else self._miss()
        return len(line)

    def _miss(self) -> int:
        self.skipped += 1
        self._dirty = True
        return 1

    def _keep(self, words: Sequence[int], frames: list[F]) -> bool:
        try:
            frame = self._frame(words)
        except ProtocolError:
            self._bad_sums += 1
            return False
        if isinstance(frame, Enum) and self._dirty:
            self.skipped += 1
        else:
            frames.append(frame)
        self._dirty = False
        return True


class DeviceDecoder(_Decoder[DeviceFrame]):
    """What peripherals send. Without a coding, either is understood."""

    def _measure(self, words: Sequence[int]) -> int | None:
        for number, word in enumerate(words[:MAX_BLOCK_WORDS], 1):
            if word & MODE:
                return number if number > 1 or word in (DeviceControl.ACK.value, DeviceControl.NAK.value) else 0
        return 0 if len(words) >= MAX_BLOCK_WORDS else None

    def _frame(self, words: Sequence[int]) -> DeviceFrame:
        return DeviceControl(words[0]) if len(words) == 1 else Reply.from_words(words)


class HostDecoder(_Decoder[HostFrame]):
    """What the host sends. A command whose length is not known ends where its check sum first fits."""

    def _measure(self, words: Sequence[int]) -> int | None:
        if not words[0] & MODE:
            return 1 if words[0] in (HostControl.ACK.value, HostControl.RET.value, HostControl.NAK.value) else 0
        end = next((at for at, word in enumerate(words[1:], 1) if word & MODE), len(words))
        whole = _host_words(words[:end])
        if whole is None:
            return 0 if end < len(words) or end >= MAX_BLOCK_WORDS else None
        if whole > end:
            return 0 if end < len(words) or whole > MAX_BLOCK_WORDS else None
        return whole

    def _frame(self, words: Sequence[int]) -> HostFrame:
        return Command.from_words(words) if words[0] & MODE else HostControl(words[0])


def _host_words(words: Sequence[int]) -> int | None:
    """How long the block is that these words begin; None if that is not known yet."""
    address, command = words[0] & 0xF8, words[0] & 7
    if command in (RESET, POLL):
        return 2
    if len(words) < 2:
        return None
    if address in CASHLESS and (command, words[1]) in _CASHLESS_WORDS:
        return _CASHLESS_WORDS[command, words[1]]
    if address == AGE_VERIFICATION and command == EXPANSION and words[1] == 0xFF:
        return 4 + words[3] + 1 if len(words) > 3 else None
    return next((at + 1 for at in range(1, len(words)) if check_sum(words[:at]) == words[at]), None)


class ReplyParser:
    """Listens for the reply to one command; `sent` are its bytes, and `echo` says that they come back first.

    An acknowledgement is one word without a check sum: it is believed only if nothing else came before it.
    """

    def __init__(self, sent: bytes, *, coding: Coding, echo: bool, on_fault: OnFault) -> None:
        self._echo = sent if echo else b""
        self._deaf = False
        self._on_fault = on_fault
        self._decoder = DeviceDecoder(on_fault, coding)

    def feed(self, data: bytes) -> DeviceFrame | None:
        """The reply once it is whole."""
        if self._deaf:
            return None
        if self._echo:
            heard = data[: len(self._echo)]
            if not self._echo.startswith(heard):
                self._deaf = True
                self._on_fault("framing", "the first bytes are not our own block; does this adapter echo?")
                return None
            self._echo = self._echo[len(heard) :]
            data = data[len(heard) :]
        for frame in self._decoder.feed(data):
            if isinstance(frame, Reply):
                return frame
            if not self._decoder.skipped:
                return frame
            self._on_fault("unexpected", "an acknowledgement after noise is not believed")
        return None
