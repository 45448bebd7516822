"""Simulated lock boards as the other end of a line in memory. They share no code with the drivers' codecs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from simulators.conformance.lines import Delivery
from simulators.hardware.bench import BenchDoors
from simulators.hardware.lock_8a import LockBus
from simulators.hardware.lock_cu16 import LineCU16
from simulators.hardware.lock_cu48 import LineCU48
from simulators.hardware.lock_line import Board, LockLine
from simulators.hardware.lock_winnsen import LineWinnsen

LINES: dict[str, type[LockLine]] = {
    "lock_8a": LockBus,
    "lock_cu16": LineCU16,
    "lock_cu48": LineCU48,
    "lock_winnsen": LineWinnsen,
}


class Wall(BenchDoors):
    """Doors that spring open, and tell when; a `jammed` one does not move."""

    def __init__(self) -> None:
        super().__init__()
        self.jammed: set[int] = set()
        self.pulses: list[tuple[float, int]] = []

    def pulse(self, lock: str, channel: int) -> bool:
        self.pulses.append((asyncio.get_running_loop().time(), channel))
        return channel not in self.jammed and super().pulse(lock, channel)


class LockPeer:
    """One board at one address. `silent`: it acts and says nothing; `deaf`: it does not even act."""

    def __init__(self, family: str, *, address: int = 1, polarity: str = "locked_short", **board: object) -> None:
        self.wall = Wall()
        self.board = Board("one", polarity, **board)
        self.line = LINES[family]({address: self.board}, self.wall)
        self.silent = False
        self.deaf = False

    def receive(self, data: bytes) -> bytes:
        if self.deaf:
            return b""
        now_s = asyncio.get_running_loop().time()
        reply = b"".join(self.line.answer(frame, now_s) for frame in self.line.split(data, now_s))
        return b"" if self.silent else reply


def flipped(reply: bytes, sent: bytes, rng: Random) -> Sequence[Delivery]:
    """One bit of every reply is turned. Not among the lines of the shared suite: who has no check sum cannot stand it."""
    del sent
    spoilt = bytearray(reply)
    spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return [(0.002, bytes(spoilt))]
