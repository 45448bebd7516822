"""The KERONG CU48, `02 ADDR LOCKER CMD 03 SUM`, and its little brother CU12, whose status stands behind the sum.

A CU48 says nothing to an unlock; a CU12 says how it went. Whether a CU48 writes a length byte before its locks, and 03
behind them, differs from board to board, because the sources differ.
"""

from __future__ import annotations

from simulators.hardware.bench import BenchDoors
from simulators.hardware.lock_line import Board, LockLine, total

LOCKS_48, LOCKS_12 = 48, 12
STATUS_48, UNLOCK_48, REPLY_48 = 0x60, 0x61, 0x75
STATUS_12, UNLOCK_12 = 0x80, 0x81
DONE, FAILED = 0x10, 0x11  # ASK of a CU12


class LineCU48(LockLine):
    """Boards by address, 0 to 31, on one line; each speaks its own dialect."""

    def _measure(self, front: bytes) -> int:
        if front[0] != 0x02:
            return -1
        if len(front) < 4:
            return 0
        length = {STATUS_48: 6, UNLOCK_48: 6, STATUS_12: 8, UNLOCK_12: 8}.get(front[3], -1)
        if length > len(front):
            return 0
        if length > 0 and (front[length - 2] != 0x03 or total(front[: length - 1]) != front[length - 1 : length]):
            self.counters["bad_sum"] += 1
            return -1
        return length

    def answer(self, frame: bytes, real_s: float) -> bytes:
        """See `Device.answer`."""
        address, lock, command = frame[1:4]
        board = self.boards.get(address)
        if board is None:
            self.counters["foreign_address"] += 1
            return b""
        small = board.dialect == "cu12"
        if small != (command in (STATUS_12, UNLOCK_12)) or lock >= (LOCKS_12 if small else LOCKS_48):
            self.counters["bad_request"] += 1
            return b""
        if command == STATUS_48:
            return self._whole(board, address)
        if command == STATUS_12:
            return self._small(board, address, lock, command, done=True, tells=True)
        fired = self._fire(board, range(lock + 1, lock + 2), real_s)
        return self._small(board, address, lock, command, done=fired, tells=False) if small else b""

    def disguise(self, reply: bytes) -> bytes:
        """See `Device.disguise`."""
        sum_at = 7 if reply[3] in (STATUS_12, UNLOCK_12) else len(reply) - 1
        body = bytes([reply[0], (reply[1] + 1) % 32]) + reply[2:sum_at]
        return body + total(body) + reply[sum_at + 1 :]

    def _whole(self, board: Board, address: int) -> bytes:
        locks = self._packed(board, LOCKS_48 // 8, usual="first_lsb")
        length = bytes([len(locks)]) if board.dialect == "cu48_length" else b""
        body = bytes([0x02, address, 0x00, REPLY_48]) + length + locks + (b"\x03" if board.with_etx else b"")
        return body + total(body)

    def _small(self, board: Board, address: int, lock: int, command: int, *, done: bool, tells: bool) -> bytes:
        locks = self._packed(board, 2, usual="first_lsb") if tells else b""
        head = bytes([0x02, address, lock, command, DONE if done else FAILED, len(locks), 0x03])
        return head + total(head) + locks


def on_bench() -> LineCU48:
    """Board 1 is a CU48, board 2 a CU12; each with its own doors."""
    return LineCU48(
        {1: Board("bench", "locked_short"), 2: Board("little", "locked_short", dialect="cu12")}, BenchDoors()
    )
