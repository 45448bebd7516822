"""The generic five-byte lock board: `HEAD BOARD LOCK FUNC BCC`, head 8A opens, head 80 asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from typing import Literal, Protocol

from simulators.hardware.bench import BenchDoors
from simulators.hardware.device import FrameBuffer

OPEN, QUERY = 0x8A, 0x80
DO_OPEN, DO_QUERY = 0x11, 0x33
SHORT, BROKEN = 0x11, 0x00  # what a status byte says of the feedback contact
FRAME_BYTES = 5
CHANNELS = 24
# Real; the coil has to cool and its capacitor to charge. A host keeps 0.5 s between its writes, and a busy machine may
# deliver the first of them later than the second.
HOLD_OFF_S = 0.45

Polarity = Literal["locked_short", "open_short"]


class Doors(Protocol):
    """The physical doors behind the boards."""

    def pulse(self, lock: str, channel: int) -> bool:
        """Fire a solenoid; False if nothing is wired to the channel."""

    def door_is_open(self, lock: str, channel: int) -> bool | None:
        """What stands behind a channel; None if nothing does."""


def sealed(body: bytes) -> bytes:
    """`body` with its XOR appended."""
    return body + bytes([reduce(xor, body, 0)])


@dataclass(slots=True)
class Board:
    """One board: its name in the description, its wiring, its sensors that hang."""

    name: str
    polarity: Polarity
    stuck: dict[int, bool] = field(default_factory=dict)  # channel -> the sensor says open
    last_pulse_s: float | None = None


class LockBus:
    """Boards by address on one line.

    The reply to an opening tells whether the solenoid fired; a status tells of the door. Both go through the same
    contact, so the wiring inverts both: with one wiring a refusal is the command itself, byte for byte.
    """

    def __init__(
        self,
        boards: Mapping[int, Board],
        doors: Doors,
        *,
        on_refused: Callable[[str, int], None] = lambda _lock, _channel: None,
    ) -> None:
        self.boards = dict(boards)
        self.counters: Counter[str] = Counter()
        self._doors = doors
        self._on_refused = on_refused
        self._buffer = FrameBuffer(self.counters)

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        self._buffer.add(data, real_s)
        frames = []
        while self._buffer.bytes:
            if self._buffer.bytes[0] not in (OPEN, QUERY):
                self._buffer.skip()
            elif len(self._buffer.bytes) < FRAME_BYTES:
                break
            elif sealed(bytes(self._buffer.bytes[:4]))[4] != self._buffer.bytes[4]:
                self.counters["bad_bcc"] += 1
                self._buffer.skip()
            else:
                frames.append(self._buffer.cut(FRAME_BYTES))
        return frames

    def answer(self, frame: bytes, real_s: float) -> bytes:
        head, address, channel, function = frame[:4]
        board = self.boards.get(address)
        if board is None:
            self.counters["foreign_address"] += 1
            return b""
        if channel > CHANNELS or function != (DO_OPEN if head == OPEN else DO_QUERY):
            self.counters["bad_request"] += 1
            return b""
        if head == OPEN:
            fired = self._fire(board, channel, real_s)
            return sealed(bytes([OPEN, address, channel, self._contact(board, locked=not fired)]))
        if channel:
            return sealed(bytes([QUERY, address, channel, self._status(board, channel)]))
        return sealed(bytes([QUERY, address, *self._all(board), DO_QUERY]))

    def disguise(self, reply: bytes) -> bytes:
        return sealed(bytes([reply[0], reply[1] % 32 + 1, *reply[2:-1]]))

    def reboot(self, board: Board) -> None:
        """The board starts again; it forgets its hold-off."""
        board.last_pulse_s = None
        self.counters["reboots"] += 1

    def _fire(self, board: Board, channel: int, real_s: float) -> bool:
        if board.last_pulse_s is not None and real_s - board.last_pulse_s < HOLD_OFF_S:
            self.counters["held_off"] += 1
            self._on_refused(board.name, channel)
            return False
        channels = [channel] if channel else range(1, CHANNELS + 1)
        fired = [self._doors.pulse(board.name, one) for one in channels]
        if not any(fired):
            self.counters["not_wired"] += 1
            return False
        board.last_pulse_s = real_s
        self.counters["pulses"] += sum(fired)
        return True

    def _contact(self, board: Board, *, locked: bool) -> int:
        return SHORT if locked == (board.polarity == "locked_short") else BROKEN

    def _status(self, board: Board, channel: int) -> int:
        is_open = self._doors.door_is_open(board.name, channel)
        if is_open is None:
            return BROKEN  # an empty clamp is a broken contact in either wiring
        return self._contact(board, locked=not board.stuck.get(channel, is_open))

    def _all(self, board: Board) -> bytes:
        bits = sum(1 << (one - 1) for one in range(1, CHANNELS + 1) if self._status(board, one) == SHORT)
        return bits.to_bytes(3, "big")


def on_bench() -> LockBus:
    """Board 1 with its own doors."""
    return LockBus({1: Board("bench", "locked_short")}, BenchDoors())
