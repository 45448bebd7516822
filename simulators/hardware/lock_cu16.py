"""The KERONG CU16: `02 ADDR CMD 03 SUM`, board and lock in one byte, sixteen hooks and as many infrared sensors.

Nothing answers an unlock. Behind it the board is busy and loses the next frame, as some do in the field.
"""

from __future__ import annotations

from simulators.hardware.bench import BenchDoors
from simulators.hardware.lock_line import Board, LockLine, packed, total

LOCKS = 16
STATUS, UNLOCK, UNLOCK_ALL, STATUS_REPLY = 0x30, 0x31, 0x33, 0x35
BROADCAST = 0xF
LENGTHS = {0x30: 5, 0x31: 5, 0x32: 5, 0x33: 5, 0x37: 5, 0x38: 5}  # 37 and 38 ask for the pulse time


class LineCU16(LockLine):
    """Boards by address, 0 to 9, on one line. Status of all boards, pulse time and delay are not played."""

    def _measure(self, front: bytes) -> int:
        if front[0] != 0x02:
            return -1
        if len(front) < 3:
            return 0
        length = LENGTHS.get(front[2], -1)
        if length > len(front):
            return 0
        if length > 0 and (front[length - 2] != 0x03 or total(front[: length - 1]) != front[length - 1 : length]):
            self.counters["bad_sum"] += 1
            return -1
        return length

    def answer(self, frame: bytes, real_s: float) -> bytes:
        """See `Device.answer`."""
        number, lock, command = frame[1] >> 4, frame[1] & 0x0F, frame[2]
        board = self.boards.get(number)
        if number == BROADCAST or board is None:
            self.counters["foreign_address"] += 1
            return b""
        if board.busy:
            board.busy = False
            self.counters["swallowed"] += 1
            return b""
        if command == STATUS:
            hooks = self._packed(board, 2, usual="first_lsb")
            infrared = packed(sorted(board.goods), 2, board.bit_order or "first_lsb")
            body = bytes([0x02, number << 4, STATUS_REPLY]) + hooks + infrared + b"\x03"
            return body + total(body)
        if command in (UNLOCK, UNLOCK_ALL):
            self._fire(board, range(lock + 1, lock + 2) if command == UNLOCK else range(1, LOCKS + 1), real_s)
            board.busy = board.busy_after_unlock
        else:
            self.counters["not_played"] += 1
        return b""

    def disguise(self, reply: bytes) -> bytes:
        """See `Device.disguise`."""
        body = bytes([reply[0], (reply[1] + 0x10) % 0xA0]) + reply[2:-1]
        return body + total(body)


def on_bench() -> LineCU16:
    """Board 1 with its own doors."""
    return LineCU16({1: Board("bench", "locked_short")}, BenchDoors())
