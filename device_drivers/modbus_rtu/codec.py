"""Modbus RTU: ADDRESS, function and data (`pdu`), CRC-low CRC-high.

The framing has no start mark and no length, only silence between frames, which a serial adapter does not keep. So the
reply to a question is found by the exact shape that the question calls for, and frames in a stream by length and CRC.
"""

from __future__ import annotations

from dataclasses import dataclass

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault
from device_drivers.modbus_rtu import pdu
from device_drivers.modbus_rtu.shapes import ShapeFinder

MAX_ADDRESS = 247
MAX_FRAME = 256  # bytes


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc16(data: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first, as it stands on the wire."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def seal(body: bytes) -> bytes:
    """A body with its CRC."""
    return body + crc16(body)


def is_sealed(frame: bytes) -> bool:
    """True if the last two bytes are the CRC of all before them."""
    return len(frame) >= 4 and crc16(frame[:-2]) == frame[-2:]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, either way. Address 0, which speaks to all devices at once, cannot be encoded."""

    address: int
    pdu: pdu.Request | pdu.Reply

    def to_bytes(self) -> bytes:
        """Raises ProtocolError(local) for an address that does not exist."""
        if not 1 <= self.address <= MAX_ADDRESS:
            raise ProtocolError(f"address {self.address} is not in 1..{MAX_ADDRESS}", side="local")
        return seal(bytes((self.address,)) + self.pdu.to_bytes())

    @classmethod
    def request_from_bytes(cls, data: bytes) -> Frame:
        """What a host sent. Raises ProtocolError(remote)."""
        return cls(_address(data), pdu.request_from_bytes(data[1:-2]))

    @classmethod
    def reply_from_bytes(cls, data: bytes) -> Frame:
        """What a device sent. Raises ProtocolError(remote)."""
        return cls(_address(data), pdu.reply_from_bytes(data[1:-2]))


def _address(data: bytes) -> int:
    if len(data) > MAX_FRAME or not is_sealed(data):
        raise ProtocolError("wrong CRC")
    return data[0]


class FrameDecoder:
    """Finds frames of one side in a stream with noise in it, by length and CRC. Never holds a whole longest frame."""

    def __init__(self, on_fault: OnFault, *, from_host: bool) -> None:
        self._buffer = bytearray()
        self._on_fault = on_fault
        self._from_host = from_host

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now. Bytes of no frame are dropped and reported, once a call."""
        frames: list[Frame] = []
        noise = bad_check = 0
        self._buffer += data
        buffer, at = self._buffer, 0
        while at < len(buffer):
            length = self._length(at)
            if length is None or (length and at + length > len(buffer)):
                break
            frame = self._frame(bytes(buffer[at : at + length])) if length else None
            if frame is not None:
                frames.append(frame)
                at += length
                continue
            if length:
                bad_check += 1
            else:
                noise += 1
            at += 1
        del buffer[:at]
        if bad_check:
            self._on_fault("crc", "wrong CRC")
        elif noise:
            self._on_fault("framing", f"{noise} bytes of no frame")
        return frames

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)

    def _frame(self, data: bytes) -> Frame | None:
        try:
            return Frame.request_from_bytes(data) if self._from_host else Frame.reply_from_bytes(data)
        except ProtocolError:
            return None

    def _length(self, at: int) -> int | None:
        """Length of the frame that may begin at `at`; 0 if none does; None if more bytes must tell."""
        buffer, left = self._buffer, len(self._buffer) - at
        if buffer[at] > MAX_ADDRESS:
            return 0
        if left < 2:
            return None
        function = buffer[at + 1]
        if self._from_host:
            if function not in (pdu.WRITE_COILS, pdu.WRITE_REGISTERS):
                return 8 if function in pdu.FUNCTIONS else 0
            counted, fixed = at + 6, 9
        else:
            if function & pdu.EXCEPTION_BIT:
                return 5 if function & ~pdu.EXCEPTION_BIT in pdu.FUNCTIONS else 0
            if function not in pdu.READS:
                return 8 if function in pdu.WRITES else 0
            counted, fixed = at + 2, 5
        if counted >= len(buffer):
            return None
        length = fixed + buffer[counted]
        return length if fixed < length <= MAX_FRAME else 0


class ReplyParser:
    """Finds the reply to one question in a stream with noise, echo and late replies in it.

    Holds at most the bytes of one reply between two calls. `echo`: the adapter repeats what we send. Only where the
    reply is the question itself, byte for byte, is the echo taken off, and by its position: the first bytes are the
    echo whatever they mean. If they are not what we sent, position says nothing any more and nothing is believed.
    """

    def __init__(self, question: Frame, on_fault: OnFault, *, echo: bool = False) -> None:
        request = question.pdu
        assert not isinstance(request, pdu.Values | pdu.Written | pdu.Refusal)
        address = bytes((question.address,))
        shapes = (
            (address + request.reply_head(), request.reply_bytes() + 3),
            (address + bytes((request.function | pdu.EXCEPTION_BIT,)), 5),
        )
        same = isinstance(request, pdu.WriteCoil | pdu.WriteRegister)
        self._echo = question.to_bytes() if echo and same else b""
        self._deaf = False
        self._finder = ShapeFinder(shapes, is_sealed, on_fault)
        self._on_fault = on_fault

    def feed(self, data: bytes) -> pdu.Reply | None:
        """The reply, once whole."""
        frame = self._finder.feed(self._without_echo(data))
        return None if frame is None else pdu.reply_from_bytes(frame[1:-2])

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return self._finder.buffered

    def _without_echo(self, data: bytes) -> bytes:
        if self._deaf:
            return b""
        heard = data[: len(self._echo)]
        if not self._echo.startswith(heard):
            self._deaf = True
            self._on_fault("framing", "the first bytes are not our own frame; does this adapter echo?")
            return b""
        self._echo = self._echo[len(heard) :]
        return data[len(heard) :]
