"""The bytes on the plug of an audit reader: single controls, DLE pairs, and blocks with a CRC.

Layout after the data exchange standard of the vending trade: ENQ, EOT and NAK stand alone; an acknowledgement is DLE
and `0` or `1`, by turns; a block is DLE SOH (a header) or DLE STX (data), text, DLE ETB (more follow) or DLE ETX
(the last), and CRC-16/ARC of the text and the ETB or ETX, low byte first. Text is printable, so that no DLE stands
in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from device_drivers.errors import ProtocolError
from device_drivers.eva_dts.crc import crc16
from device_drivers.faults import OnFault

SOH, STX, ETX, EOT, ENQ, DLE, NAK, ETB = 0x01, 0x02, 0x03, 0x04, 0x05, 0x10, 0x15, 0x17
MAX_TEXT_BYTES = 512
CRC_BYTES = 2
MOST_BUFFERED = 2 + MAX_TEXT_BYTES + 2 + CRC_BYTES
COMM_ID_CHARS = 10
REVISION = "R01L01"
ACCEPTED = "00"
_TEXT = frozenset({0x09, 0x0A, 0x0D, *range(0x20, 0x100)})


class Control(Enum):
    """What has no text."""

    ENQ = bytes((ENQ,))
    EOT = bytes((EOT,))
    NAK = bytes((NAK,))
    ACK0 = bytes((DLE, 0x30))
    ACK1 = bytes((DLE, 0x31))

    def to_bytes(self) -> bytes:
        """One or two bytes."""
        return self.value


class Kind(Enum):
    """What a block carries."""

    HEADER = SOH
    DATA = STX


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A block that began and did not come whole."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block. `last`: no other follows before the turn is given back."""

    kind: Kind
    text: bytes
    last: bool = True

    def to_bytes(self) -> bytes:
        """Raises ProtocolError(local) for text that is too long or not printable."""
        if len(self.text) > MAX_TEXT_BYTES or not _TEXT.issuperset(self.text):
            raise ProtocolError(f"a block has up to {MAX_TEXT_BYTES} printable bytes", side="local")
        end = bytes((ETX if self.last else ETB,))
        check = crc16(self.text + end).to_bytes(CRC_BYTES, "little")
        return bytes((DLE, self.kind.value)) + self.text + bytes((DLE,)) + end + check

    @classmethod
    def from_bytes(cls, data: bytes) -> Block:
        """Raises ProtocolError(remote) for what is not exactly one good block."""
        text, end = data[2 : -2 - CRC_BYTES], data[-1 - CRC_BYTES : -CRC_BYTES]
        if len(data) < 4 + CRC_BYTES or data[0] != DLE or data[1] not in (SOH, STX):
            raise ProtocolError("no block begins here")
        if data[-2 - CRC_BYTES] != DLE or end[0] not in (ETX, ETB) or not _TEXT.issuperset(text):
            raise ProtocolError("the block does not end where its bytes do")
        if len(text) > MAX_TEXT_BYTES:
            raise ProtocolError("the block is too long")
        if crc16(text + end) != int.from_bytes(data[-CRC_BYTES:], "little"):
            raise ProtocolError("wrong check sum")
        return cls(Kind(data[1]), text, end[0] == ETX)


Frame = Control | Block | Spoilt
_SINGLE = {ENQ: Control.ENQ, EOT: Control.EOT, NAK: Control.NAK}
_PAIR = {0x30: Control.ACK0, 0x31: Control.ACK1}


@dataclass(frozen=True, slots=True)
class FirstHeader:
    """What the master asks: `operation` R to receive the audit, S to send one. `comm_id` names who asks."""

    comm_id: str
    operation: str = "R"
    revision: str = REVISION

    def to_block(self) -> Block:
        """Raises ProtocolError(local) for a text that has not its length."""
        _hold(self.comm_id, COMM_ID_CHARS, "comm_id")
        _hold(self.revision, len(REVISION), "revision")
        if self.operation not in ("R", "S"):
            raise ProtocolError("operation: must be R or S", side="local")
        return Block(Kind.HEADER, (self.comm_id + self.operation + self.revision).encode("ascii"))

    @classmethod
    def from_text(cls, text: bytes) -> FirstHeader:
        """Raises ProtocolError(remote)."""
        if len(text) != COMM_ID_CHARS + 1 + len(REVISION) or not text.isascii():
            raise ProtocolError("the first header has another length")
        plain = text.decode("ascii")
        if plain[COMM_ID_CHARS] not in "RS":
            raise ProtocolError("the first header asks for something unknown")
        return cls(plain[:COMM_ID_CHARS], plain[COMM_ID_CHARS], plain[COMM_ID_CHARS + 1 :])


@dataclass(frozen=True, slots=True)
class SecondHeader:
    """What the slave answers: `response` is two digits, 00 is yes."""

    comm_id: str
    response: str = ACCEPTED
    revision: str = REVISION

    def to_block(self) -> Block:
        """Raises ProtocolError(local) for a text that has not its length."""
        _hold(self.response, 2, "response")
        _hold(self.comm_id, COMM_ID_CHARS, "comm_id")
        _hold(self.revision, len(REVISION), "revision")
        return Block(Kind.HEADER, (self.response + self.comm_id + self.revision).encode("ascii"))

    @classmethod
    def from_text(cls, text: bytes) -> SecondHeader:
        """Raises ProtocolError(remote)."""
        if len(text) != 2 + COMM_ID_CHARS + len(REVISION) or not text.isascii():
            raise ProtocolError("the second header has another length")
        plain = text.decode("ascii")
        return cls(plain[2 : 2 + COMM_ID_CHARS], plain[:2], plain[2 + COMM_ID_CHARS :])


def _hold(text: str, length: int, name: str) -> None:
    if len(text) != length or not text.isascii() or not text.isprintable():
        raise ProtocolError(f"{name}: must be {length} printable letters", side="local")


class FrameDecoder:
    """Finds controls and blocks in a stream with noise in it; a block that ends badly is told as `Spoilt`.

    A block that is cut off is ended by the next thing that cannot stand in it, or by `forget`.
    """

    def __init__(self, on_fault: OnFault) -> None:
        self._buffer = bytearray()
        self._on_fault = on_fault
        self._noise = 0

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)

    def forget(self) -> bool:
        """Drop a fragment that fell silent; True if it was the beginning of a block."""
        begun = len(self._buffer) > 1
        self._buffer.clear()
        return begun

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now. Bytes of no frame are dropped and reported, once a call."""
        frames: list[Frame] = []
        self._buffer += data
        self._noise = at = 0
        while at < len(self._buffer):
            frame, used = self._frame_at(at)
            if not used:
                break
            if frame is not None:
                frames.append(frame)
            at += used
        del self._buffer[:at]
        if any(isinstance(frame, Spoilt) for frame in frames):
            self._on_fault("crc", "a block did not come whole")
        elif self._noise:
            self._on_fault("framing", f"{self._noise} bytes of no frame")
        return frames

    def _frame_at(self, at: int) -> tuple[Frame | None, int]:
        """A frame or None, and how many bytes it takes; 0 bytes: more are needed."""
        byte = self._buffer[at]
        if byte in _SINGLE:
            return _SINGLE[byte], 1
        if byte == DLE:
            if at + 1 == len(self._buffer):
                return None, 0
            second = self._buffer[at + 1]
            if second in _PAIR:
                return _PAIR[second], 2
            if second in (SOH, STX):
                return self._block_at(at)
        self._noise += 1
        return None, 1

    def _block_at(self, at: int) -> tuple[Frame | None, int]:
        buffer = self._buffer
        end = at + 2
        limit = min(len(buffer), end + MAX_TEXT_BYTES)
        while end < limit and buffer[end] in _TEXT:
            end += 1
        if end < len(buffer) and buffer[end] != DLE:
            return Spoilt(), end - at  # something that cannot stand in a text, or too much text
        if end + 1 >= len(buffer):
            return None, 0
        if buffer[end + 1] not in (ETX, ETB):
            return Spoilt(), end - at
        whole = end + 2 + CRC_BYTES
        if whole > len(buffer):
            return None, 0
        try:
            return Block.from_bytes(bytes(buffer[at:whole])), whole - at
        except ProtocolError:
            return Spoilt(), whole - at
