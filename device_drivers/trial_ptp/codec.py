"""The frames of PTP/1: `00 | COBS(frame) | 00`, the frame big-endian with a CRC-16/CCITT-FALSE at its end.

    0 version (high half) | flags (low half)    1 address    2 sequence u16    4 command    5 status
    6 length of the payload    7 payload    7+L CRC over all before it

Version, addresses, lengths and order of the fields are our own proposal. Nobody but HELLO and ABORT can be sent to
all: no frame that authorises, heats or dispenses at every unit can be encoded.
"""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault
from device_drivers.trial_ptp import cobs
from device_drivers.trial_ptp.names import NO_FLAGS, Command, Event, Flag, Status, name_of

VERSION = 1
BROADCAST = 0xFF
MAX_ADDRESS = 0xF7
MAX_PAYLOAD = 200
HEAD_BYTES = 7
CRC_BYTES = 2
MAX_WIRE_BYTES = 260  # between two zeros; more is dropped
FIRST_EVENT_SEQUENCE = 0x8000
FIRST_EVENT = 0x80  # numbers of events; below it are commands
SEQUENCES = 0x8000  # of the host: 0000 to 7FFF
_TO_ALL = (Command.HELLO, Command.ABORT)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, either way. `status` is 0 in requests and events."""

    address: int
    sequence: int
    command: int
    payload: bytes = b""
    status: int = 0
    flags: Flag = NO_FLAGS
    version: int = VERSION

    def to_bytes(self) -> bytes:
        """The frame before stuffing. Raises ProtocolError(local) for what must not be said."""
        problem = self._version_problem() or self._problem()
        if problem:
            raise ProtocolError(problem, side="local")
        head = bytes((self.version << 4 | self.flags, self.address))
        head += self.sequence.to_bytes(2, "big") + bytes((self.command, self.status, len(self.payload)))
        return head + self.payload + crc16(head + self.payload).to_bytes(2, "big")

    def to_wire(self) -> bytes:
        """The frame between its two zeros. Raises as `to_bytes`."""
        return b"\0" + cobs.encode(self.to_bytes()) + b"\0"

    @classmethod
    def from_bytes(cls, data: bytes) -> Frame:
        """Reads a frame before stuffing, also one of another version. Raises ProtocolError(remote)."""
        if len(data) < HEAD_BYTES + CRC_BYTES:
            raise ProtocolError("too short for a frame")
        if crc16(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:], "big"):
            raise CrcError("wrong check sum")
        if data[6] != len(data) - HEAD_BYTES - CRC_BYTES:
            raise ProtocolError("the length is not the payload's")
        frame = cls(
            version=data[0] >> 4,
            flags=Flag(data[0] & 0x0F),
            address=data[1],
            sequence=int.from_bytes(data[2:4], "big"),
            command=data[4],
            status=data[5],
            payload=data[HEAD_BYTES:-CRC_BYTES],
        )
        problem = frame._problem() if frame.version == VERSION else ""
        if problem:
            raise ProtocolError(problem)
        return frame

    @classmethod
    def from_wire(cls, data: bytes) -> Frame:
        """Reads a frame with or without its zeros. Raises ProtocolError(remote)."""
        return cls.from_bytes(cobs.decode(data.strip(b"\0")))

    @property
    def is_reply(self) -> bool:
        """Sent by a device as the answer to a request."""
        return bool(self.flags & Flag.RESP)

    @property
    def is_event(self) -> bool:
        """Sent by a device on its own."""
        return bool(self.flags & Flag.EVENT)

    def _version_problem(self) -> str:
        return "" if self.version == VERSION else f"version {self.version} is not spoken here"

    def _problem(self) -> str:
        """What is wrong, in words; "" for a frame that may be."""
        if not 1 <= self.address <= MAX_ADDRESS and self.address != BROADCAST:
            return f"address {self.address:#04x} does not exist"
        if self.address == BROADCAST and (self.command not in _TO_ALL or self.is_reply or self.is_event):
            return "only HELLO and ABORT go to all"
        if not (0 <= self.command <= 0xFF and 0 <= self.status <= 0xFF and 0 <= self.sequence <= 0xFFFF):
            return "a number does not fit its field"
        if len(self.payload) > MAX_PAYLOAD:
            return f"a payload of {len(self.payload)} bytes, {MAX_PAYLOAD} at most"
        if self.is_event and self.is_reply:
            return "an event is no reply"
        if self.is_event != (self.sequence >= FIRST_EVENT_SEQUENCE):
            return "a sequence of the other side"
        if self.is_event != (self.command >= FIRST_EVENT):
            return "an event by its flag or by its number only"
        if self.status and not self.is_reply:
            return "a status that no reply carries"
        return ""


class CrcError(ProtocolError):
    """The check sum does not match: dropped in silence and counted."""


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 1021, begun with FFFF; of "123456789" it is 29B1."""
    return crc_hqx(data, 0xFFFF)


def request(address: int, sequence: int, command: Command, payload: bytes = b"") -> Frame:
    """A question of the host."""
    return Frame(address, sequence, command, payload)


class FrameDecoder:
    """Finds frames between zeros. Never holds more than 260 bytes between two calls."""

    def __init__(self, on_fault: OnFault) -> None:
        self._buffer = bytearray()
        self._too_long = False
        self._on_fault = on_fault

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now. What is none is dropped and reported."""
        *whole, rest = data.split(b"\0")
        frames: list[Frame] = []
        for piece in whole:
            self._add(piece)
            if self._buffer and not self._too_long:
                frames += self._read(bytes(self._buffer))
            self._buffer.clear()
            self._too_long = False
        self._add(rest)
        return frames

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)

    def _add(self, piece: bytes) -> None:
        if self._too_long:
            return
        if len(self._buffer) + len(piece) > MAX_WIRE_BYTES:
            self._too_long = True
            self._buffer.clear()
            self._on_fault("framing", f"more than {MAX_WIRE_BYTES} bytes without an end")
            return
        self._buffer += piece

    def _read(self, stuffed: bytes) -> list[Frame]:
        try:
            return [Frame.from_bytes(cobs.decode(stuffed))]
        except CrcError as error:
            self._on_fault("crc", str(error))
        except ProtocolError as error:
            self._on_fault("framing", str(error))
        return []


def describe(frame: Frame) -> str:
    """One frame in words: never its payload, which may name staff."""
    place = "all units" if frame.address == BROADCAST else f"unit {frame.address}"
    if frame.version != VERSION:
        return f"{place}: a frame of version {frame.version}"
    if frame.is_event:
        return f"{place} tells {name_of(Event, frame.command)}, event {frame.sequence:04X}"
    name = name_of(Command, frame.command)
    if frame.is_reply:
        return f"{place} answers {name} {frame.sequence:04X}: {name_of(Status, frame.status)}"
    again = " once more" if frame.flags & Flag.RETRY else ""
    return f"{name} to {place}{again}, {frame.sequence:04X}"
