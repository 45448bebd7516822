"""The Winnsen board: `90 06 05 ST LOCK 03` opens, `90 06 12 ST LOCK 03` asks, and nothing seals a frame.

It keeps its duty cycle itself and says so: an opening too soon is answered with state 02.
"""

from __future__ import annotations

from simulators.hardware.bench import BenchDoors
from simulators.hardware.lock_line import Board, LockLine

LOCKS = 16
HEAD, END = 0x90, 0x03
UNLOCK, STATUS = 0x05, 0x12
COOLDOWN = 0x02


class LineWinnsen(LockLine):
    """Stations by number on one line. A turned bit makes it open another door: it has no way to notice."""

    def _measure(self, front: bytes) -> int:
        if front[0] != HEAD:
            return -1
        if len(front) < 3:
            return 0
        if front[1] != 6 or front[2] not in (UNLOCK, STATUS):
            return -1
        if len(front) < 6:
            return 0
        return 6 if front[5] == END else -1

    def answer(self, frame: bytes, real_s: float) -> bytes:
        """See `Device.answer`."""
        function, station, lock = frame[2:5]
        board = self.boards.get(station)
        if board is None:
            self.counters["foreign_address"] += 1
            return b""
        if not 1 <= lock <= LOCKS:
            self.counters["bad_request"] += 1
            return b""
        if function == UNLOCK:
            hot = self._is_hot(board, real_s)
            fired = self._fire(board, range(lock, lock + 1), real_s)
            state = COOLDOWN if hot else int(not self._bit(board, locked=not fired))
            return bytes([HEAD, 7, 0x85, station, lock, state, END])
        state = int(not self._says_locked(board, lock))
        told = (state, lock) if board.dialect == "status_first" else (lock, state)
        return bytes([HEAD, 7, 0x92, station, *told, END])

    def disguise(self, reply: bytes) -> bytes:
        """See `Device.disguise`."""
        return reply[:3] + bytes([(reply[3] + 1) % 32]) + reply[4:]


def on_bench() -> LineWinnsen:
    """Station 1 with its own doors."""
    return LineWinnsen({1: Board("bench", "locked_short")}, BenchDoors())
