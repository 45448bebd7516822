"""The bytes of UHF modules M100, R200 and YRM100: BB TYPE CMD LEN-high LEN-low PARAMETERS SUM 7E.

SUM is the low byte of the sum from TYPE to the last parameter. BB and 7E may stand inside the parameters: a frame is
cut by its length alone. Frames after the makers' command lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault

HEAD, END = 0xBB, 0x7E
MAX_PARAMETERS = 255  # the longest real one is a memory bank of a tag; more is noise that looks like a head
OVERHEAD_BYTES = 7
MAX_FRAME_BYTES = OVERHEAD_BYTES + MAX_PARAMETERS


class Kind(IntEnum):
    """TYPE: who speaks, and whether it was asked."""

    COMMAND = 0x00
    REPLY = 0x01
    NOTIFICATION = 0x02


class Code(IntEnum):
    """CMD."""

    MODULE_INFO = 0x03
    SET_REGION = 0x07
    GET_REGION = 0x08
    INVENTORY_ONCE = 0x22
    INVENTORY_MANY = 0x27
    STOP = 0x28
    READ_BANK = 0x39
    SET_POWER = 0xB6
    GET_POWER = 0xB7
    FAILED = 0xFF


class Region(IntEnum):
    """The bands that may be used in China."""

    CHINA_900 = 0x01  # 920 to 925 MHz
    CHINA_800 = 0x04  # 840 to 845 MHz


class Bank(IntEnum):
    """Memory of a tag."""

    RESERVED = 0
    EPC = 1
    TID = 2
    USER = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, either way."""

    kind: int
    code: int
    parameters: bytes = b""

    def to_bytes(self) -> bytes:
        """Raises ProtocolError(local) for a kind that does not exist or too many parameters."""
        if self.kind not in tuple(Kind):
            raise ProtocolError(f"kind {self.kind:#04x} does not exist", side="local")
        if not 0 <= self.code <= 0xFF:
            raise ProtocolError(f"code {self.code} is no byte", side="local")
        if len(self.parameters) > MAX_PARAMETERS:
            raise ProtocolError(f"more than {MAX_PARAMETERS} bytes of parameters", side="local")
        body = bytes((self.kind, self.code)) + len(self.parameters).to_bytes(2, "big") + self.parameters
        return bytes((HEAD,)) + body + bytes((checksum(body), END))

    @classmethod
    def from_bytes(cls, data: bytes) -> Frame:
        """Raises ProtocolError(remote) for anything but one whole frame."""
        if not OVERHEAD_BYTES <= len(data) <= MAX_FRAME_BYTES or data[0] != HEAD or data[1] not in tuple(Kind):
            raise ProtocolError("no frame of this family")
        if len(data) != OVERHEAD_BYTES + int.from_bytes(data[3:5], "big"):
            raise ProtocolError("a frame of another length than it says")
        if data[-1] != END:
            raise ProtocolError("no end where the length puts it")
        if data[-2] != checksum(data[1:-2]):
            raise ProtocolError("wrong check sum")
        return cls(data[1], data[2], bytes(data[5:-2]))


@dataclass(frozen=True, slots=True)
class TagRead:
    """One sight of a tag. `epc` names the thing it hangs on; `pc` and `crc` are as the tag sent them."""

    rssi_dbm: int
    pc: int
    epc: bytes
    crc: int

    @classmethod
    def from_frame(cls, frame: Frame) -> TagRead:
        """Raises ProtocolError(remote) for a frame that shows no tag, or whose PC tells of another length of EPC."""
        if frame.kind != Kind.NOTIFICATION or frame.code != Code.INVENTORY_ONCE or len(frame.parameters) < 5:
            raise ProtocolError("no sight of a tag")
        body = frame.parameters
        pc = int.from_bytes(body[1:3], "big")
        if epc_bytes(pc) != len(body) - 5:
            raise ProtocolError("the PC of the tag tells of another length of EPC")
        rssi_dbm = int.from_bytes(body[:1], "big", signed=True)
        return cls(rssi_dbm, pc, body[3:-2], int.from_bytes(body[-2:], "big"))

    @property
    def sound(self) -> bool:
        """Whether the tag's own CRC fits; a module that forwards broken sights is found by it."""
        return tag_crc(self.pc.to_bytes(2, "big") + self.epc) == self.crc


def checksum(body: bytes) -> int:
    """Low byte of the sum."""
    return sum(body) & 0xFF


def epc_bytes(pc: int) -> int:
    """How long the EPC is: the upper five bits of the PC count words."""
    return (pc >> 11) * 2


def tag_crc(data: bytes) -> int:
    """CRC-16 of EPC Gen2 over PC and EPC: polynomial 1021, preset FFFF, complemented."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc ^ 0xFFFF


def module_info(what: Literal["hardware", "software", "maker"]) -> Frame:
    """Ask for a text about the module."""
    return Frame(Kind.COMMAND, Code.MODULE_INFO, bytes((("hardware", "software", "maker").index(what),)))


def inventory_once() -> Frame:
    """One round; each tag that is heard gives a notification, an empty field gives failure 15."""
    return Frame(Kind.COMMAND, Code.INVENTORY_ONCE)


def inventory_many(rounds: int) -> Frame:
    """So many rounds, until `stop`. Raises ProtocolError(local) for none or more than 65535."""
    if not 1 <= rounds <= 0xFFFF:
        raise ProtocolError(f"{rounds} rounds are not 1..65535", side="local")
    return Frame(Kind.COMMAND, Code.INVENTORY_MANY, b"\x22" + rounds.to_bytes(2, "big"))


def stop() -> Frame:
    """End the rounds."""
    return Frame(Kind.COMMAND, Code.STOP)


def get_power() -> Frame:
    """Ask for the transmit power."""
    return Frame(Kind.COMMAND, Code.GET_POWER)


def set_power(power_dbm: float) -> Frame:
    """Raises ProtocolError(local) for a power that no module of the family has."""
    if not 0 <= power_dbm <= 33:
        raise ProtocolError(f"power {power_dbm:g} dBm is not in 0..33", side="local")
    return Frame(Kind.COMMAND, Code.SET_POWER, round(power_dbm * 100).to_bytes(2, "big"))


def power_dbm(frame: Frame) -> float:
    """What a reply to `get_power` says. Raises ProtocolError(remote)."""
    if len(frame.parameters) != 2:
        raise ProtocolError("a power of a wrong length")
    return int.from_bytes(frame.parameters, "big", signed=True) / 100


def get_region() -> Frame:
    """Ask for the band."""
    return Frame(Kind.COMMAND, Code.GET_REGION)


def set_region(region: Region) -> Frame:
    """Choose the band."""
    return Frame(Kind.COMMAND, Code.SET_REGION, bytes((region,)))


def read_bank(bank: Bank, *, start_word: int, words: int, password: int = 0) -> Frame:
    """Read the memory of the tag that answers first. Raises ProtocolError(local) for what fits no frame."""
    if not 1 <= words <= MAX_WORDS or not 0 <= start_word <= 0xFFFF or not 0 <= password <= 0xFFFFFFFF:
        raise ProtocolError(f"words {start_word}+{words}: at most {MAX_WORDS} can be read at once", side="local")
    place = start_word.to_bytes(2, "big") + words.to_bytes(2, "big")
    return Frame(Kind.COMMAND, Code.READ_BANK, password.to_bytes(4, "big") + bytes((bank,)) + place)


MAX_WORDS = 32


def bank_content(frame: Frame) -> tuple[bytes, bytes]:
    """EPC of the tag that answered, and the memory. Raises ProtocolError(remote)."""
    body = frame.parameters
    if not body or body[0] < 2 or len(body) < 1 + body[0] or epc_bytes(int.from_bytes(body[1:3], "big")) != body[0] - 2:
        raise ProtocolError("a memory bank without the PC and EPC of its tag")
    return body[3 : 1 + body[0]], body[1 + body[0] :]


NO_TAG_HEARD = 0x15
NO_TAG_TO_READ = 0x09
_FAILURES = {
    0x09: "no tag to read",
    0x0E: "invalid parameter",
    0x10: "no tag to write",
    0x12: "no tag to kill",
    0x13: "no tag to lock",
    0x15: "no tag heard",
    0x16: "wrong access password",
    0x17: "invalid command",
    0x20: "no free channel",
}
_TAG_SAYS = {0x0: "other", 0x3: "no such memory", 0x4: "memory locked", 0xB: "too little power", 0xF: "unknown"}
_TAG_WAS_ASKED = {0xA: "reading", 0xB: "writing", 0xC: "locking", 0xD: "killing"}


def failure(frame: Frame) -> int | None:
    """The code of a reply FF; None for any other frame."""
    if frame.kind != Kind.REPLY or frame.code != Code.FAILED or not frame.parameters:
        return None
    return frame.parameters[0]


def failure_text(code: int) -> str:
    """A failure in words."""
    if code in _FAILURES:
        return _FAILURES[code]
    if code >> 4 in _TAG_WAS_ASKED:
        return f"{_TAG_WAS_ASKED[code >> 4]}: the tag said {_TAG_SAYS.get(code & 0xF, 'something unknown')}"
    return "unknown failure"


class FrameDecoder:
    """Finds frames by their length in a stream with noise in it. Never holds a whole frame of the longest kind."""

    def __init__(self, on_fault: OnFault) -> None:
        self._buffer = bytearray()
        self._on_fault = on_fault

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now. Bytes of no frame are dropped and reported, once a call."""
        frames: list[Frame] = []
        self._buffer += data
        buffer, at, noise, broken = self._buffer, 0, 0, 0
        while (at_head := buffer.find(HEAD, at)) >= 0:
            noise += at_head - at
            at = at_head
            size = self._size(at)
            if size is None:
                break
            if size:
                try:
                    frames.append(Frame.from_bytes(bytes(buffer[at : at + size])))
                except ProtocolError:
                    broken += 1
                else:
                    at += size
                    continue
            noise += 1
            at += 1
        else:
            noise += len(buffer) - at
            at = len(buffer)
        del buffer[:at]
        if broken:
            self._on_fault("crc", "wrong check sum or no end where the length puts it")
        elif noise:
            self._on_fault("framing", f"{noise} bytes of no frame")
        return frames

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)

    def _size(self, at: int) -> int | None:
        """Length of the frame whose head stands at `at`; 0 if it is none, None if it is not all here."""
        buffer, here = self._buffer, len(self._buffer) - at
        if here > 1 and buffer[at + 1] not in tuple(Kind):
            return 0
        if here < 5:
            return None
        size = OVERHEAD_BYTES + int.from_bytes(buffer[at + 3 : at + 5], "big")
        if size > MAX_FRAME_BYTES:
            return 0
        return size if here >= size else None
