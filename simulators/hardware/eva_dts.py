"""A vending machine's audit plug: called, it checks who asks, calls back, and hands its file over block by block.

Written from the tables with a check sum of its own. It keeps the rules by itself: no header before a call, no data
before its own header was acknowledged, acknowledgements by turns, a spoilt header is refused, and an operation that
it does not know is answered with another response than 00. It has no clock: whoever loses a byte calls again.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from simulators.hardware.device import FrameBuffer

ENQ, EOT, NAK, DLE = b"\x05", b"\x04", b"\x15", 0x10
SOH, STX, ETB, ETX = 0x01, 0x02, 0x17, 0x03
BLOCK_BYTES = 245
RESENDS = 5
HEADER_CHARS = 17

State = Literal["rest", "called", "headed", "calling", "answered", "offering", "sending"]


def check(data: bytes) -> bytes:
    """CRC-16/ARC, low byte first, bit by bit."""
    register = 0
    for byte in data:
        for bit in range(8):
            odd = (register ^ (byte >> bit)) & 1
            register = (register >> 1) ^ (0xA001 if odd else 0)
    return bytes([register & 0xFF, register >> 8])


def framed(kind: int, text: bytes, end: int) -> bytes:
    """A whole block."""
    return bytes([DLE, kind]) + text + bytes([DLE, end]) + check(text + bytes([end]))


class AuditPlug:
    """One machine with one file. `response` is what its own header says: 00 is yes. `asked` holds the headers."""

    def __init__(self, file: bytes, *, comm_id: bytes = b"SIM0000001", response: bytes = b"00") -> None:
        self.counters: Counter[str] = Counter()
        self.asked: list[bytes] = []
        self.state: State = "rest"
        self._comm_id = comm_id
        self._response = response
        starts = range(0, max(len(file), 1), BLOCK_BYTES)
        self._blocks = [
            framed(STX, file[at : at + BLOCK_BYTES], ETX if at + BLOCK_BYTES >= len(file) else ETB) for at in starts
        ]
        self._at = 0
        self._resent = 0
        self._buffer = FrameBuffer(self.counters)

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        self._buffer.add(data, real_s)
        frames = []
        while self._buffer.bytes:
            length = self._length()
            if length == 0:
                break
            if length < 0:
                self._buffer.skip()
            else:
                frames.append(self._buffer.cut(length))
        return frames

    def answer(self, frame: bytes, real_s: float) -> bytes:
        del real_s
        if frame == ENQ:
            return self._called()
        if frame == EOT:
            return self._turn()
        if frame[0] == DLE and frame[1] in b"01":
            return self._acknowledged(frame[1] - 0x30)
        if frame == NAK:
            return self._again()
        return self._header(frame)

    def disguise(self, reply: bytes) -> bytes:
        return reply  # there are no addresses on a plug

    def _length(self) -> int:
        """Bytes of the frame that begins the buffer; 0: more are needed, -1: none begins here."""
        data = self._buffer.bytes
        if data[:1] in (ENQ, EOT, NAK):
            return 1
        if data[0] != DLE:
            return -1
        if len(data) == 1:
            return 0
        if data[1] in b"01":
            return 2
        if data[1] not in (SOH, STX):
            return -1
        end = min((at for at in (data.find(bytes([DLE, one]), 2) for one in (ETX, ETB)) if at >= 0), default=-1)
        if end < 0:
            return 0 if len(data) < 600 else -1
        return end + 4 if len(data) >= end + 4 else 0

    def _called(self) -> bytes:
        if self.state == "headed":
            return b"\x101"  # asks again what the header's acknowledgement was
        if self.state not in ("rest", "called"):
            self.counters["begun_again"] += 1
        self.state = "called"
        return b"\x100"

    def _header(self, frame: bytes) -> bytes:
        if self.state not in ("called", "headed") or frame[1] != SOH:
            self.counters["out_of_turn"] += 1
            return b""
        if check(frame[2:-4] + frame[-3:-2]) != frame[-2:]:
            self.counters["bad_crc"] += 1
            return NAK
        self.asked.append(frame[2:-4])
        self.state = "headed"
        return b"\x101"

    def _turn(self) -> bytes:
        if self.state != "headed":
            self.counters["ended"] += 1
            self.state = "rest"
            return b""
        self.state = "calling"
        return ENQ

    def _own_header(self) -> bytes:
        asked = self.asked[-1]
        known = len(asked) == HEADER_CHARS and asked[10:11] == b"R"
        response = self._response if known else b"01"
        return framed(SOH, response + self._comm_id + b"R01L01", ETX)

    def _acknowledged(self, number: int) -> bytes:
        match self.state, number:
            case "calling", 0:
                self.state = "answered"
                return self._own_header()
            case "answered", 1:
                self.state = "offering"
                self._at = self._resent = 0
                return EOT + ENQ if self._agreed() else self._rest()
            case "offering", 0:
                self.state = "sending"
                return self._blocks[0]
            case "sending", _ if number == (self._at + 1) % 2:
                self._at += 1
                self._resent = 0
                return self._blocks[self._at] if self._at < len(self._blocks) else self._rest()
        self.counters["wrong_acknowledgement"] += 1
        return b""

    def _agreed(self) -> bool:
        return self._own_header()[2:4] == b"00"

    def _rest(self) -> bytes:
        self.state = "rest"
        self.counters["talks"] += 1
        return EOT

    def _again(self) -> bytes:
        self._resent += 1
        if self._resent > RESENDS:
            self.counters["given_up"] += 1
            return self._rest()
        if self.state == "answered":
            return self._own_header()
        return self._blocks[self._at] if self.state == "sending" else b""


def on_bench() -> AuditPlug:
    """A machine that sold two things."""
    body = b"ST*001*0001\r\nID1*SIM000001*BENCH*0100\r\nID4*2*1156*CNY\r\nVA1*1000*2*1000*2\r\n"
    body += b"PA1*1*500\r\nPA2*2*1000*2*1000\r\n"
    seal = int.from_bytes(check(body), "little")
    return AuditPlug(b"DXS*SIM0000001*VA*V0/6*1\r\n" + body + f"G85*{seal:04X}\r\nSE*8*0001\r\nDXE*1*1\r\n".encode())
