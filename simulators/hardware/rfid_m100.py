"""A UHF module of the BB family: `BB TYPE CMD LEN LEN PARAMETERS SUM 7E`. It speaks by itself while it takes rounds."""

from __future__ import annotations

from collections import Counter
from random import Random

from simulators.hardware.device import FrameBuffer
from simulators.hardware.rfid_field import Field, Heard, Tag

INFO, SET_REGION, GET_REGION, ONCE, MANY, STOP, READ = 0x03, 0x07, 0x08, 0x22, 0x27, 0x28, 0x39
SET_POWER, GET_POWER, FAILED = 0xB6, 0xB7, 0xFF
NO_TAG, NO_TAG_TO_READ, BAD_PARAMETER, BAD_PASSWORD, BAD_COMMAND, NO_MEMORY = 0x15, 0x09, 0x0E, 0x16, 0x17, 0xA3
TEXTS = (b"M100 26dBm V1.0", b"V2.3.5", b"MagicRF")
POWERS = range(1500, 2601)  # hundredths of a dBm
REGIONS = (0x01, 0x02, 0x03, 0x04, 0x06)
MOST_PARAMETERS = 16  # of a command
ROUND_S = 0.05  # real
MOST_ROUNDS_A_TICK = 200


def framed(kind: int, command: int, parameters: bytes) -> bytes:
    """A frame, its sum taken as the makers' tables say."""
    inner = bytes([kind, command, len(parameters) >> 8, len(parameters) & 0xFF, *parameters])
    total = 0
    for byte in inner:
        total = (total + byte) % 256
    return b"\xbb" + inner + bytes([total, 0x7E])


class RfidM100:
    """One module before one field. Commands other than stop are not heard while it takes rounds."""

    def __init__(self, field: Field) -> None:
        self.counters: Counter[str] = Counter()
        self.field = field
        self.power = 2600
        self.region = 0x01
        self._rounds_left = 0
        self._next_round_s = 0.0
        self._buffer = FrameBuffer(self.counters)

    @property
    def taking_rounds(self) -> bool:
        """Whether it transmits now."""
        return self._rounds_left > 0

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        self._buffer.add(data, real_s)
        held, frames = self._buffer.bytes, []
        while held:
            if held[0] != 0xBB or (len(held) > 1 and held[1] != 0x00):
                self._buffer.skip()
            elif len(held) < 5:
                break
            elif (length := held[3] << 8 | held[4]) > MOST_PARAMETERS:
                self.counters["too_long"] += 1
                self._buffer.skip()
            elif len(held) < length + 7:
                break
            elif framed(held[1], held[2], bytes(held[5 : 5 + length])) != held[: length + 7]:
                self.counters["bad_sum"] += 1
                self._buffer.skip()
            else:
                frames.append(self._buffer.cut(length + 7))
        return frames

    def answer(self, frame: bytes, real_s: float) -> bytes:
        command, parameters = frame[2], frame[5:-2]
        if self.taking_rounds and command != STOP:
            self.counters["not_heard_in_rounds"] += 1
            return b""
        match command:
            case 0x03 if len(parameters) == 1 and parameters[0] < len(TEXTS):
                return framed(1, INFO, parameters + TEXTS[parameters[0]])
            case 0x07 if len(parameters) == 1 and parameters[0] in REGIONS:
                self.region = parameters[0]
                return framed(1, SET_REGION, b"\x00")
            case 0x08 if not parameters:
                return framed(1, GET_REGION, bytes([self.region]))
            case 0x22 if not parameters:
                return self._round()
            case 0x27 if len(parameters) == 3 and parameters[0] == 0x22:
                self._rounds_left = int.from_bytes(parameters[1:], "big")
                self._next_round_s = real_s
                return self.tick(real_s)
            case 0x28 if not parameters:
                self._rounds_left = 0
                return framed(1, STOP, b"\x00")
            case 0x39 if len(parameters) == 9:
                return self._read(parameters)
            case 0xB6 if len(parameters) == 2 and int.from_bytes(parameters, "big") in POWERS:
                self.power = int.from_bytes(parameters, "big")
                return framed(1, SET_POWER, b"\x00")
            case 0xB7 if not parameters:
                return framed(1, GET_POWER, self.power.to_bytes(2, "big"))
            case 0x03 | 0x07 | 0x08 | 0x22 | 0x27 | 0x28 | 0x39 | 0xB6 | 0xB7:
                return self._failed(BAD_PARAMETER)
        return self._failed(BAD_COMMAND)

    def tick(self, real_s: float) -> bytes:
        """What the module says by itself until now: the rounds that are due."""
        said = b""
        for _ in range(MOST_ROUNDS_A_TICK):
            if not self._rounds_left or self._next_round_s > real_s:
                break
            self._rounds_left -= 1
            self._next_round_s += ROUND_S
            said += self._round()
        return said

    def disguise(self, reply: bytes) -> bytes:
        """The module has no address; another's reply is one to another command."""
        return framed(reply[1], reply[2] ^ 0x40, reply[5:-2])

    def reboot(self) -> None:
        """It forgets its rounds and settings."""
        self.counters["reboots"] += 1
        self._rounds_left, self.power, self.region = 0, 2600, 0x01

    def _round(self) -> bytes:
        self.counters["rounds"] += 1
        heard = self.field.round(power_loss_db=(POWERS[-1] - self.power) / 100)
        if not heard:
            return self._failed(NO_TAG)
        return b"".join(framed(2, ONCE, _sight(one)) for one in heard)

    def _read(self, parameters: bytes) -> bytes:
        password, bank = int.from_bytes(parameters[:4], "big"), parameters[4]
        start, words = int.from_bytes(parameters[5:7], "big"), int.from_bytes(parameters[7:], "big")
        heard = self.field.round(power_loss_db=(POWERS[-1] - self.power) / 100)
        if not heard:
            return self._failed(NO_TAG_TO_READ)
        tag = heard[0].tag
        if password != tag.password:
            return self._failed(BAD_PASSWORD)
        memory = tag.crc + tag.pc + tag.epc if bank == 1 else tag.memory.get(bank, b"")
        content = memory[2 * start : 2 * (start + words)]
        if not words or len(content) != 2 * words:
            return self._failed(NO_MEMORY)
        named = tag.pc + tag.epc
        return framed(1, READ, bytes([len(named)]) + named + content)

    def _failed(self, code: int) -> bytes:
        self.counters[f"failed_{code:02x}"] += 1
        return framed(1, FAILED, bytes([code]))


def on_bench() -> RfidM100:
    """A module with two tags before it."""
    tags = (
        Tag(bytes.fromhex("30751FEB705C5904E3D50D70"), pc_low=0x400),
        Tag(bytes.fromhex("E20000000000000000000001")),
    )
    return RfidM100(Field(tags, rng=Random(1)))


def _sight(heard: Heard) -> bytes:
    return bytes([heard.rssi_dbm % 256]) + heard.tag.pc + heard.tag.epc + heard.tag.crc
