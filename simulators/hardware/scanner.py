"""Code scanners: one that hears nothing, and a module of the GM65 family that is told when to look."""

from __future__ import annotations

from collections import Counter

from simulators.hardware.device import FrameBuffer

MAX_CODE_BYTES = 1024


class Scanner:
    """A scanner hears nothing: bytes from the host are counted and dropped."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()

    def split(self, data: bytes, real_s: float) -> list[bytes]:  # noqa: ARG002  # a scanner has no frames to time
        self.counters["ignored_bytes"] += len(data)
        return []

    def answer(self, frame: bytes, real_s: float) -> bytes:  # noqa: ARG002  # never asked: split gives no frame
        return b""

    def disguise(self, reply: bytes) -> bytes:
        return reply

    def printed(self, text: str) -> bytes:
        """The bytes of one reading. Raises ValueError for a text no scanner would print."""
        raw = text.encode()
        if not 0 < len(raw) <= MAX_CODE_BYTES or b"\r" in raw or b"\n" in raw:
            raise ValueError(f"a code has 1 to {MAX_CODE_BYTES} bytes and no line end")
        self.counters["codes"] += 1
        return raw + b"\r"


class TriggeredScanner(Scanner):
    """A scanner that reads what is held before it only while it looks, and once a trigger."""

    def __init__(self) -> None:
        super().__init__()
        self.looking = False
        self._buffer = FrameBuffer(self.counters)

    def printed(self, text: str) -> bytes:
        """See `Scanner`. Nothing while it does not look."""
        raw = super().printed(text)
        if not self.looking:
            self.counters["codes"] -= 1
            self.counters["not_looking"] += 1
            return b""
        self._has_read()
        return raw

    def reboot(self) -> None:
        """It forgets what it does not keep."""
        self.counters["reboots"] += 1
        self.looking = False
        self._buffer.bytes.clear()

    def _has_read(self) -> None:
        self.looking = False


READ, WRITE, SAVE, HEARTBEAT = 7, 8, 9, 10
OK = 0x00
TRIGGER_ZONE, MODE_ZONE, BAUD_ZONE = 0x02, 0x00, 0x2A
CONTINUOUS = 0b10  # of the low two bits of MODE_ZONE
ZONES = 0x100


def crc_xmodem(data: bytes) -> bytes:
    """CRC-16/XMODEM bit by bit, high byte first."""
    crc = 0
    for byte in data:
        for bit in range(7, -1, -1):
            top = (crc >> 15) ^ (byte >> bit & 1)
            crc = (crc << 1 & 0xFFFF) ^ (0x1021 if top else 0)
    return bytes([crc >> 8, crc & 0xFF])


class GM65(TriggeredScanner):
    """`7E 00 TYPE LEN ZONE ZONE DATA CRC`. Settings live in 256 bytes; what is not saved dies with the power.

    A frame with a wrong check sum, an unknown type or a zone that there is not gets no answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.zones = bytearray(ZONES)
        self.zones[BAUD_ZONE : BAUD_ZONE + 2] = b"\x39\x01"  # 9600
        self._kept = bytes(self.zones)

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        self._buffer.add(data, real_s)
        held, frames = self._buffer.bytes, []
        while held:
            if held[0] != 0x7E or (len(held) > 1 and held[1] != 0x00):
                self._buffer.skip()
            elif len(held) < 4:
                break
            elif held[2] not in (READ, WRITE, SAVE, HEARTBEAT) or not held[3]:
                self.counters["bad_request"] += 1
                self._buffer.skip()
            elif len(held) < held[3] + 8:
                break
            elif bytes(held[held[3] + 6 : held[3] + 8]) not in (b"\xab\xcd", crc_xmodem(bytes(held[2 : held[3] + 6]))):
                self.counters["bad_crc"] += 1
                self._buffer.skip()
            else:
                frames.append(self._buffer.cut(held[3] + 8))
        return frames

    def answer(self, frame: bytes, real_s: float) -> bytes:
        del real_s
        kind, zone, data = frame[2], frame[4] << 8 | frame[5], frame[6:-2]
        if kind == HEARTBEAT:
            return b"\x03\x00" + _sealed(OK, b"\x00")
        if kind == SAVE:
            self.zones[TRIGGER_ZONE] = 0
            self._kept = bytes(self.zones)
            return b"\x02\x00" + _sealed(OK, b"\x00")
        size = data[0] if kind == READ else len(data)
        if zone + size > ZONES or not size:
            self.counters["bad_zone"] += 1
            return b""
        if kind == READ:
            return b"\x02\x00" + _sealed(OK, bytes(self.zones[zone : zone + size]))
        self.zones[zone : zone + size] = data
        self.looking = bool(self.zones[TRIGGER_ZONE] & 1) or self._always
        return b"\x02\x00" + _sealed(OK, b"\x00")

    def disguise(self, reply: bytes) -> bytes:
        """A module has no address; another's reply is one of the other kind."""
        return bytes([reply[0] ^ 1]) + reply[1:]

    def reboot(self) -> None:
        super().reboot()
        self.zones[:] = self._kept
        self.looking = self._always

    @property
    def _always(self) -> bool:
        return self.zones[MODE_ZONE] & 0b11 == CONTINUOUS

    def _has_read(self) -> None:
        self.zones[TRIGGER_ZONE] &= 0xFE
        self.looking = self._always


def _sealed(status: int, data: bytes) -> bytes:
    body = bytes([status, len(data)]) + data
    return body + crc_xmodem(body)


def on_bench() -> GM65:
    """A module with nothing before it."""
    return GM65()
