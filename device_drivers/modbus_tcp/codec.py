"""Modbus TCP: TRANSACTION (2), 0 0, LENGTH (2, of all that follows), UNIT, then function and data (`pdu`).

Layout from the Modbus Messaging on TCP/IP guide. There is no check sum; the transaction's number comes back in the
reply, so that a late reply never answers a later question.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault
from device_drivers.modbus_rtu import pdu
from device_drivers.modbus_rtu.shapes import ShapeFinder

HEADER_BYTES = 7  # with the unit
MAX_FRAME = HEADER_BYTES + pdu.MAX_PDU
MAX_UNIT = 247
DIRECT_UNIT = 255  # the device at the other end itself, not one behind it


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, either way."""

    transaction: int
    unit: int
    pdu: pdu.Request | pdu.Reply

    def to_bytes(self) -> bytes:
        """Raises ProtocolError(local) for a unit or transaction that does not exist, above all unit 0 (everybody)."""
        if not (1 <= self.unit <= MAX_UNIT or self.unit == DIRECT_UNIT):
            raise ProtocolError(f"unit {self.unit} is not in 1..{MAX_UNIT} and not {DIRECT_UNIT}", side="local")
        if not 0 <= self.transaction <= 0xFFFF:
            raise ProtocolError("a transaction has a number of 0..65535", side="local")
        body = self.pdu.to_bytes()
        return header(self.transaction, self.unit, len(body)) + body

    @classmethod
    def request_from_bytes(cls, data: bytes) -> Frame:
        """What a host sent. Raises ProtocolError(remote)."""
        return cls(*_head(data), pdu.request_from_bytes(data[HEADER_BYTES:]))

    @classmethod
    def reply_from_bytes(cls, data: bytes) -> Frame:
        """What a device sent. Raises ProtocolError(remote)."""
        return cls(*_head(data), pdu.reply_from_bytes(data[HEADER_BYTES:]))


def header(transaction: int, unit: int, pdu_bytes: int) -> bytes:
    """The seven bytes before function and data."""
    return struct.pack(">HHHB", transaction, 0, 1 + pdu_bytes, unit)


def _head(data: bytes) -> tuple[int, int]:
    if not HEADER_BYTES < len(data) <= MAX_FRAME:
        raise ProtocolError(f"{len(data)} bytes are not one frame")
    transaction, protocol, length, unit = struct.unpack_from(">HHHB", data)
    if protocol or length != len(data) - HEADER_BYTES + 1:
        raise ProtocolError("no header of this protocol")
    return transaction, unit


class FrameDecoder:
    """Cuts frames of one side out of a stream by their length. Never holds a whole longest frame."""

    def __init__(self, on_fault: OnFault, *, from_host: bool) -> None:
        self._buffer = bytearray()
        self._on_fault = on_fault
        self._read = Frame.request_from_bytes if from_host else Frame.reply_from_bytes

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now. Bytes of no frame are dropped and reported, once a call."""
        frames: list[Frame] = []
        noise = 0
        self._buffer += data
        buffer, at = self._buffer, 0
        while len(buffer) - at > HEADER_BYTES:
            length = HEADER_BYTES - 1 + int.from_bytes(buffer[at + 4 : at + 6], "big")
            possible = not any(buffer[at + 2 : at + 4]) and HEADER_BYTES + 1 < length <= MAX_FRAME
            if possible and len(buffer) - at < length:
                break
            try:
                frames.append(self._read(bytes(buffer[at : at + length]) if possible else b""))
                at += length
            except ProtocolError:
                noise += 1
                at += 1
        del buffer[:at]
        if noise:
            self._on_fault("framing", f"{noise} bytes of no frame")
        return frames

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)


class ReplyParser:
    """Finds the reply to one question by its transaction, unit and exact shape."""

    def __init__(self, question: Frame, on_fault: OnFault) -> None:
        request = question.pdu
        assert not isinstance(request, pdu.Values | pdu.Written | pdu.Refusal)
        length = request.reply_bytes()
        refused = bytes((request.function | pdu.EXCEPTION_BIT,))
        shapes = (
            (header(question.transaction, question.unit, length) + request.reply_head(), HEADER_BYTES + length),
            (header(question.transaction, question.unit, 2) + refused, HEADER_BYTES + 2),
        )
        self._finder = ShapeFinder(shapes, lambda _frame: True, on_fault)

    def feed(self, data: bytes) -> pdu.Reply | None:
        """The reply, once whole."""
        frame = self._finder.feed(data)
        return None if frame is None else pdu.reply_from_bytes(frame[HEADER_BYTES:])

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return self._finder.buffered
