"""One conversation of a reader that speaks LLRP 1.0.1: messages in, messages out, no network.

A message is `000 VERSION(3) TYPE(10) LENGTH(32) ID(32)` and parameters; a parameter is `000000 TYPE(10) LENGTH(16)` or,
for the short ones of tag reports, `1 TYPE(7)` and a value of fixed size. Written from the standard of EPCglobal.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping

from simulators.hardware.rfid_field import Field, Heard

GET_CAPABILITIES, GET_CONFIG, SET_CONFIG, CLOSE = 1, 2, 3, 14
ADD_ROSPEC, DELETE_ROSPEC, START_ROSPEC, STOP_ROSPEC, ENABLE_ROSPEC, DISABLE_ROSPEC = 20, 21, 22, 23, 24, 25
DELETE_ACCESSSPEC, ENABLE_REPORTS, KEEPALIVE_ACK = 41, 64, 72
CLOSE_RESPONSE, REPORT, KEEPALIVE, EVENT, ERROR = 4, 61, 62, 63, 100
OK, BAD_PARAMETER, BAD_FIELD, UNSUPPORTED = 0, 100, 101, 109
CONNECTED, TAKEN = 0, 2  # of a connection attempt
MOST_BYTES = 65536  # of one message
ROUND_S = 0.1
UNANSWERED_KEEPALIVES = 3


def message(kind: int, number: int, body: bytes = b"") -> bytes:
    """A whole message of version 1."""
    return struct.pack("!HII", 1 << 10 | kind, 10 + len(body), number) + body


def parameter(kind: int, body: bytes) -> bytes:
    """A parameter with its length."""
    return struct.pack("!HH", kind, 4 + len(body)) + body


def parameters(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The long parameters one after the other; stops at what is none."""
    while len(body) >= 4:
        kind, length = struct.unpack("!HH", body[:4])
        if not 4 <= length <= len(body):
            return
        yield kind & 0x3FF, body[4:length]
        body = body[length:]


def status(code: int = OK) -> bytes:
    """LLRPStatus without a text."""
    return parameter(287, struct.pack("!HH", code, 0))


class LlrpConversation:
    """What one reader says to one client. `closed` once either side has ended it."""

    def __init__(self, fields: Mapping[int, Field], now_s: float) -> None:
        self.counters: Counter[str] = Counter()
        self.fields = dict(fields)
        self.closed = False
        self.rospecs: dict[int, str] = {}  # id -> disabled, inactive, active
        self.keepalive_s = 0.0
        self._immediate: dict[int, bool] = {}
        self._buffer = bytearray()
        self._number = 0
        self._next_round_s = now_s
        self._next_keepalive_s = now_s
        self._unanswered = 0

    def greeting(self, attempt: int = CONNECTED) -> bytes:
        """What a reader says first: whether this client may stay."""
        self.closed = attempt != CONNECTED
        when = parameter(128, struct.pack("!Q", 0))
        return self._own(EVENT, parameter(246, when + parameter(256, struct.pack("!H", attempt))))

    def receive(self, data: bytes, now_s: float) -> bytes:
        """The answers to what is whole now. A message that cannot be one ends the conversation."""
        self._buffer += data
        said = b""
        while len(self._buffer) >= 10 and not self.closed:
            head, length, number = struct.unpack("!HII", self._buffer[:10])
            if head >> 10 & 7 != 1 or not 10 <= length <= MOST_BYTES:
                self.counters["no_message"] += 1
                self.closed = True
                break
            if len(self._buffer) < length:
                break
            body = bytes(self._buffer[10:length])
            del self._buffer[:length]
            said += self._answer(head & 0x3FF, number, body, now_s)
        return said

    def tick(self, now_s: float) -> bytes:
        """What the reader says by itself until now: sights of active specs, and whether the client is still there."""
        said = b""
        if self.keepalive_s and now_s >= self._next_keepalive_s and not self.closed:
            self._next_keepalive_s = now_s + self.keepalive_s
            self._unanswered += 1
            self.closed = self._unanswered > UNANSWERED_KEEPALIVES
            said += self._own(KEEPALIVE)
        if now_s >= self._next_round_s and "active" in self.rospecs.values() and not self.closed:
            self._next_round_s = now_s + ROUND_S
            sights = [_sight(antenna, one) for antenna, field in self.fields.items() for one in field.round()]
            if sights:
                said += self._own(REPORT, b"".join(sights))
        return said

    def _own(self, kind: int, body: bytes = b"") -> bytes:
        self._number += 1
        return message(kind, self._number, body)

    def _answer(self, kind: int, number: int, body: bytes, now_s: float) -> bytes:
        self.counters["messages"] += 1
        match kind:
            case 1:
                return message(GET_CAPABILITIES + 10, number, status() + self._capabilities())
            case 2:
                return message(GET_CONFIG + 10, number, status())
            case 3:
                return message(SET_CONFIG + 10, number, status(self._configure(body, now_s)))
            case 14:
                self.closed = True
                return message(CLOSE_RESPONSE, number, status())
            case 20:
                return message(kind + 10, number, status(self._add(body)))
            case 21 | 22 | 23 | 24 | 25:
                return message(kind + 10, number, status(self._change(kind, body)))
            case 41:
                return message(DELETE_ACCESSSPEC + 10, number, status())
            case 64:
                return b""
            case 72:
                self._unanswered = 0
                return b""
        self.counters["unsupported"] += 1
        return message(ERROR, number, status(UNSUPPORTED))

    def _configure(self, body: bytes, now_s: float) -> int:
        for kind, content in parameters(body[1:]):
            if kind == 220 and len(content) == 5:
                self.keepalive_s = struct.unpack("!I", content[1:])[0] / 1000 if content[0] == 1 else 0.0
                self._next_keepalive_s = now_s + self.keepalive_s
        return OK

    def _add(self, body: bytes) -> int:
        for kind, content in parameters(body):
            if kind != 177 or len(content) < 6:
                continue
            number, _priority, state = struct.unpack("!IBB", content[:6])
            if number == 0 or number in self.rospecs or state != 0:
                return BAD_FIELD
            triggers = [
                trigger for inner, edge in parameters(content[6:]) if inner == 178 for trigger in parameters(edge)
            ]
            self._immediate[number] = any(kind == 179 and value[:1] == b"\x01" for kind, value in triggers)
            self.rospecs[number] = "disabled"
            return OK
        return BAD_PARAMETER

    def _change(self, kind: int, body: bytes) -> int:
        """Delete, start, stop, enable, disable; 0 means all of them, except to start."""
        if len(body) != 4:
            return BAD_PARAMETER
        number = struct.unpack("!I", body)[0]
        chosen = list(self.rospecs) if number == 0 else [number]
        if any(one not in self.rospecs for one in chosen) or (kind == START_ROSPEC and number == 0):
            return BAD_FIELD
        for one in chosen:
            if kind in (START_ROSPEC, STOP_ROSPEC) and self.rospecs[one] == "disabled":
                return BAD_FIELD
            match kind:
                case 21:
                    del self.rospecs[one]
                case 22:
                    self.rospecs[one] = "active"
                case 23:
                    self.rospecs[one] = "inactive"
                case 24:
                    self.rospecs[one] = "active" if self._immediate[one] else "inactive"
                case 25:
                    self.rospecs[one] = "disabled"
        return OK

    def _capabilities(self) -> bytes:
        version = b"simulated"
        general = struct.pack("!HHIIH", max(self.fields), 0x4000, 0, 0, len(version)) + version
        general += parameter(139, struct.pack("!HH", 1, 0)) + parameter(141, struct.pack("!HH", 0, 0))
        general += b"".join(parameter(140, struct.pack("!HHB", one, 1, 1)) for one in self.fields)
        powers = b"".join(parameter(145, struct.pack("!Hh", index, 1000 + 100 * index)) for index in range(1, 21))
        channel = parameter(146, b"\x00" + parameter(148, struct.pack("!HI", 1, 922_625)))
        mode = parameter(
            328, parameter(329, struct.pack("!IBBBBIIIII", 2, 0x80, 2, 0, 2, 64_000, 2000, 6250, 25_000, 0))
        )
        regulatory = struct.pack("!HH", 156, 0) + parameter(144, powers + channel + mode)
        can = struct.pack("!BBHIIIII", 0x08, 0, 0, 4, 4, 4, 4, 4)
        tags = parameter(327, struct.pack("!BH", 0, 0))
        return parameter(137, general) + parameter(142, can) + parameter(143, regulatory) + tags


def _sight(antenna: int, heard: Heard) -> bytes:
    """TagReportData. EPCs of 96 bits have a short form of their own."""
    epc = heard.tag.epc
    name = b"\x8d" + epc if len(epc) == 12 else parameter(241, struct.pack("!H", 8 * len(epc)) + epc)
    return parameter(240, name + struct.pack("!BH", 0x81, antenna) + struct.pack("!Bb", 0x86, heard.rssi_dbm))
