"""A UHF module that wakes up in its boot loader: `FF LEN OPCODE DATA CRC` in, `FF LEN OPCODE STATUS DATA CRC` out."""

from __future__ import annotations

from collections import Counter
from random import Random

from simulators.hardware.device import FrameBuffer
from simulators.hardware.rfid_field import Field, Tag

VERSION, BOOT, HARDWARE, READ, PROTOCOL, REGION = 0x03, 0x04, 0x10, 0x21, 0x93, 0x97
OK, BAD_LENGTH, BAD_OPCODE, BAD_REGION, BAD_PROTOCOL, NO_TAG = 0x0000, 0x0100, 0x0101, 0x010B, 0x0301, 0x0400
VERSIONS = bytes.fromhex("14120800 30000002 20190611 01090427 00000010")  # loader, hardware, date, firmware, protocols
LENGTHS = {VERSION: 0, BOOT: 0, HARDWARE: 2, READ: 2, PROTOCOL: 2, REGION: 1}
REGIONS = (0x01, 0x02, 0x06)
MOST_DATA = 16  # of a command


def divided(message: bytes) -> bytes:
    """FFFF and the message as one long number, modulo x^16 + x^12 + x^5 + 1."""
    number = int.from_bytes(b"\xff\xff" + message, "big")
    for bit in range(number.bit_length() - 17, -1, -1):
        if number >> (bit + 16) & 1:
            number ^= 0x11021 << bit
    return number.to_bytes(2, "big")


def said(opcode: int, status: int, data: bytes = b"") -> bytes:
    """A reply."""
    inner = bytes([len(data), opcode, status >> 8, status & 0xFF]) + data
    return b"\xff" + inner + divided(inner)


class ThingMagic:
    """One module before one field. It reads only after firmware, region and protocol were chosen."""

    def __init__(self, field: Field) -> None:
        self.counters: Counter[str] = Counter()
        self.field = field
        self.booted = False
        self.region: int | None = None
        self.protocol: bytes | None = None
        self._buffer = FrameBuffer(self.counters)

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        self._buffer.add(data, real_s)
        held, frames = self._buffer.bytes, []
        while held:
            if held[0] != 0xFF or (len(held) > 1 and held[1] > MOST_DATA):
                self._buffer.skip()
            elif len(held) < 2 or len(held) < held[1] + 5:
                break
            elif divided(bytes(held[1 : held[1] + 3])) != held[held[1] + 3 : held[1] + 5]:
                self.counters["bad_crc"] += 1
                self._buffer.skip()
            else:
                frames.append(self._buffer.cut(held[1] + 5))
        return frames

    def answer(self, frame: bytes, real_s: float) -> bytes:  # noqa: ARG002  # its times are the host's
        opcode, data = frame[2], frame[3:-2]
        known = opcode in LENGTHS and (self.booted != (opcode == BOOT) or opcode == VERSION)
        if not known:
            self.counters["unknown"] += 1
            return said(opcode, BAD_OPCODE)
        if len(data) != LENGTHS[opcode]:
            return said(opcode, BAD_LENGTH)
        match opcode:
            case 0x03:
                return said(opcode, OK, VERSIONS)
            case 0x04:
                self.booted = True
                return said(opcode, OK)
            case 0x10:
                return said(opcode, OK, VERSIONS[4:8])
            case 0x97:
                return self._choose_region(data[0])
            case 0x93:
                return self._choose_protocol(data)
        return self._read()

    def disguise(self, reply: bytes) -> bytes:
        """The module has no address; another's reply is one to another command."""
        inner = bytes([reply[1], reply[2] ^ 0x40]) + reply[3:-2]
        return b"\xff" + inner + divided(inner)

    def reboot(self) -> None:
        """Back to the boot loader; all choices are forgotten."""
        self.counters["reboots"] += 1
        self.booted, self.region, self.protocol = False, None, None

    def _choose_region(self, region: int) -> bytes:
        if region not in REGIONS:
            return said(REGION, BAD_REGION)
        self.region = region
        return said(REGION, OK)

    def _choose_protocol(self, protocol: bytes) -> bytes:
        if protocol != b"\x00\x05":
            return said(PROTOCOL, BAD_PROTOCOL)
        self.protocol = protocol
        return said(PROTOCOL, OK)

    def _read(self) -> bytes:
        if self.region is None:
            return said(READ, BAD_REGION)
        if self.protocol is None:
            return said(READ, BAD_PROTOCOL)
        heard = self.field.round()
        if not heard:
            return said(READ, NO_TAG)
        return said(READ, OK, heard[0].tag.epc + heard[0].tag.crc)


def on_bench() -> ThingMagic:
    """A module with one tag before it, just powered up."""
    return ThingMagic(Field((Tag(bytes.fromhex("E20000000000000000000001")),), rng=Random(1)))
