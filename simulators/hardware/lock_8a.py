"""The generic five-byte lock board: `HEAD BOARD LOCK FUNC BCC`, head 8A opens, head 80 asks."""

from __future__ import annotations

from functools import reduce
from operator import xor

from simulators.hardware.bench import BenchDoors
from simulators.hardware.lock_line import Board, LockLine

OPEN, QUERY = 0x8A, 0x80
DO_OPEN, DO_QUERY, DO_QUERY_OLD = 0x11, 0x33, 0x99
SHORT, BROKEN = 0x11, 0x00  # what a status byte says of the feedback contact
FRAME_BYTES = 5
CHANNELS = 24


def sealed(body: bytes) -> bytes:
    """`body` with its XOR appended."""
    return body + bytes([reduce(xor, body, 0)])


class LockBus(LockLine):
    """Boards by address on one line.

    The reply to an opening tells whether the solenoid fired; a status tells of the door. Both go through the same
    contact, so the wiring inverts both: with one wiring a refusal is the command itself, byte for byte.
    """

    def _measure(self, front: bytes) -> int:
        if front[0] not in (OPEN, QUERY):
            return -1
        if len(front) < FRAME_BYTES:
            return 0
        if sealed(front[:4])[4] != front[4]:
            self.counters["bad_bcc"] += 1
            return -1
        return FRAME_BYTES

    def answer(self, frame: bytes, real_s: float) -> bytes:
        head, address, channel, function = frame[:4]
        board = self.boards.get(address)
        if board is None:
            self.counters["foreign_address"] += 1
            return b""
        old = board.dialect == "8a_99" and not channel
        if channel > CHANNELS or function != (DO_OPEN if head == OPEN else DO_QUERY_OLD if old else DO_QUERY):
            self.counters["bad_request"] += 1
            return b""
        if head == OPEN:
            fired = self._fire(board, range(channel, channel + 1) if channel else range(1, CHANNELS + 1), real_s)
            return sealed(bytes([OPEN, address, channel, _contact(short=self._bit(board, locked=not fired))]))
        if channel:
            return sealed(bytes([QUERY, address, channel, _contact(short=self._says_locked(board, channel))]))
        return sealed(bytes([QUERY, address, *self._packed(board, CHANNELS // 8, usual="last_lsb"), function]))

    def disguise(self, reply: bytes) -> bytes:
        return sealed(bytes([reply[0], reply[1] % 32 + 1, *reply[2:-1]]))


def _contact(*, short: bool) -> int:
    return SHORT if short else BROKEN


def on_bench() -> LockBus:
    """Board 1 with its own doors."""
    return LockBus({1: Board("bench", "locked_short")}, BenchDoors())
