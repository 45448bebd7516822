"""An MDB adapter and the peripherals behind it: words in, words out, in the coding that the adapter was built with.

Written from the tables: it cuts blocks by what its own peripherals expect, not by the product's codec. A reply that the
host does not acknowledge is said again at the next poll; `acknowledges`: the adapter does that for the host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal, Protocol

from simulators.hardware.device import FrameBuffer
from simulators.hardware.mdb_age import AgeDevice
from simulators.hardware.mdb_reader import Reader

Coding = Literal["words", "hex_lines"]
NINTH = 0x100
ACK, RET, NAK = 0x000, 0x0AA, 0x0FF
POLL = 2


class Peripheral(Protocol):
    """One address. `length` says how many bytes a command has without its check sum, None while that is not known;
    `act` answers b"" for an acknowledgement, None for silence."""

    def length(self, body: bytes) -> int | None:
        """Of the command that begins with these bytes."""

    def act(self, body: bytes, real_s: float) -> bytes | None:
        """Any command but a poll."""

    def poll(self, real_s: float) -> bytes:
        """What there is to say."""


class MdbAdapter:
    """Peripherals by address."""

    def __init__(
        self, peripherals: Mapping[int, Peripheral], *, coding: Coding = "words", acknowledges: bool = False
    ) -> None:
        self.peripherals = dict(peripherals)
        self.counters: Counter[str] = Counter()
        self.coding: Coding = coding
        self.acknowledges = acknowledges
        self._buffer = FrameBuffer(self.counters)
        self._unheard: dict[int, bytes] = {}  # address -> what a poll brought and nobody acknowledged
        self._last = (0, b"")

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        self._buffer.add(data, real_s)
        return self._lines() if self.coding == "hex_lines" else self._blocks()

    def answer(self, frame: bytes, real_s: float) -> bytes:
        words = [frame[at] << 8 | frame[at + 1] for at in range(0, len(frame), 2)]
        if words[0] < NINTH:
            return self._control(words[0])
        body = bytes(word & 0xFF for word in words[:-1])
        address = body[0] & 0xF8
        peripheral = self.peripherals.get(address)
        if peripheral is None:
            self.counters["foreign_address"] += 1
            return b""
        reply = self._polled(address, peripheral, real_s) if body[0] & 7 == POLL else peripheral.act(body, real_s)
        if reply is None:
            self.counters["silent"] += 1
            return b""
        if body[0] & 7 == 0:
            self._unheard.pop(address, None)
        self._last = (address, reply)
        return self._said(reply)

    def disguise(self, reply: bytes) -> bytes:
        return reply  # a reply names nobody

    def _polled(self, address: int, peripheral: Peripheral, real_s: float) -> bytes | None:
        if getattr(peripheral, "silent", False):
            return None
        reply = self._unheard.get(address) or peripheral.poll(real_s)
        if reply and not self.acknowledges:
            self._unheard[address] = reply
        return reply

    def _control(self, word: int) -> bytes:
        address, reply = self._last
        if word == ACK:
            self.counters["acknowledged"] += 1
            self._unheard.pop(address, None)
            return b""
        self.counters["asked_again"] += 1
        return self._said(reply) if word == RET and reply else b""

    def _said(self, reply: bytes) -> bytes:
        """As words: the last one with the ninth bit."""
        words = [*reply, NINTH | sum(reply) & 0xFF] if reply else [NINTH]
        if self.coding == "hex_lines":
            return " ".join(f"{word:03X}" for word in words).encode() + b"\r\n"
        return b"".join(bytes([word >> 8, word & 0xFF]) for word in words)

    def _blocks(self) -> list[bytes]:
        frames = []
        while len(self._buffer.bytes) >= 2:
            size = self._size(bytes(self._buffer.bytes))
            if size == 0:
                break
            if size < 0:
                self._buffer.skip()
            else:
                frames.append(self._buffer.cut(size))
        return frames

    def _size(self, data: bytes) -> int:
        """Bytes of the block at the beginning; 0: more are needed, -1: none."""
        if data[0] > 1:
            return -1
        if data[0] == 0:
            return 2 if data[1] in (ACK, RET, NAK) else -1
        body = data[1::2]
        peripheral = self.peripherals.get(body[0] & 0xF8)
        length = 1 if body[0] & 7 in (0, POLL) or peripheral is None else peripheral.length(body)
        if length is None:
            return 0 if len(body) < 36 else -1
        if len(body) <= length:
            return 0
        right = not any(data[2 : 2 * length + 2 : 2]) and sum(body[:length]) & 0xFF == body[length]
        self.counters["bad_chk"] += not right
        return 2 * length + 2 if right else -1

    def _lines(self) -> list[bytes]:
        frames = []
        while (end := self._buffer.bytes.find(b"\n")) >= 0:
            texts = self._buffer.cut(end + 1).decode("ascii", "replace").split()
            if not texts or not all(len(text) == 3 and set(text) <= set("0123456789ABCDEF") for text in texts):
                self.counters["noise_lines"] += 1
                continue
            block = b"".join(int(text, 16).to_bytes(2, "big") for text in texts)
            if self._size(block + bytes(2) * (len(block) < 4)) in (len(block), 2):
                frames.append(block)
            else:
                self.counters["bad_lines"] += 1
        return frames


def on_bench() -> MdbAdapter:
    """A cashless reader at 10 with a card on it, and an age device at 68."""
    reader = Reader()
    reader.present(10_000)
    return MdbAdapter({0x10: reader, 0x68: AgeDevice()})
