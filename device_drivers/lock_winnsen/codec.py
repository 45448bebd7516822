"""The bytes of the Winnsen boards: 90 LEN FUNC ST LOCK 03, and in a reply STATUS behind LOCK or, in one dialect of the
status reply, before it. Source: the table that public drivers of this board agree on.

There is no check sum. All that can be asked of a frame is that every byte with one right value has it and that the
others are values which exist; a turned bit in STATUS cannot be noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault
from device_drivers.finder import Finder, Verdict, one_frame

HEAD, END = 0x90, 0x03
MAX_STATION = 31
LOCKS = 16
COMMAND_BYTES, REPLY_BYTES = 6, 7

UNLOCK, STATUS = 0x05, 0x12
UNLOCK_REPLY, STATUS_REPLY = 0x85, 0x92

CLOSED, OPEN, COOLDOWN = 0x00, 0x01, 0x02  # of a reply to an unlock: failed, opened, the solenoid must cool down
_STATES = (CLOSED, OPEN, COOLDOWN)

Dialect = Literal["status_last", "status_first"]


@dataclass(frozen=True, slots=True)
class Command:
    """What a host says about one lock, which counts from 1."""

    station: int
    lock: int
    func: int

    def to_bytes(self) -> bytes:
        """Six bytes. Raises ProtocolError(local) for a station, lock or function that does not exist."""
        if self.func not in (UNLOCK, STATUS):
            raise ProtocolError(f"function {self.func:#04x} is never sent", side="local")
        if not 0 <= self.station <= MAX_STATION:
            raise ProtocolError(f"station {self.station} is not in 0..{MAX_STATION}", side="local")
        if not 1 <= self.lock <= LOCKS:
            raise ProtocolError(f"lock {self.lock} is not in 1..{LOCKS}", side="local")
        return bytes((HEAD, COMMAND_BYTES, self.func, self.station, self.lock, END))


@dataclass(frozen=True, slots=True)
class Reply:
    """What a board answers; which of the two bytes is the lock depends on the dialect."""

    station: int
    first: int
    second: int
    func: int

    def parts(self, dialect: Dialect) -> tuple[int, int]:
        """Lock and status."""
        swapped = self.func == STATUS_REPLY and dialect == "status_first"
        return (self.second, self.first) if swapped else (self.first, self.second)


Frame = Command | Reply


def from_bytes(data: bytes) -> Frame:
    """One whole frame, either way. Raises ProtocolError(remote)."""
    return one_frame(_cut, data)


def finder(on_fault: OnFault) -> Finder[Frame]:
    """Finds frames of both sides."""
    return Finder(_cut, longest=REPLY_BYTES, on_fault=on_fault)


def _cut(front: bytes) -> tuple[Frame, int] | Verdict:
    if front[0] != HEAD:
        return Verdict.NOISE
    if len(front) < 3:
        return Verdict.MORE
    length, func = front[1], front[2]
    right = {COMMAND_BYTES: (UNLOCK, STATUS), REPLY_BYTES: (UNLOCK_REPLY, STATUS_REPLY)}
    if func not in right.get(length, ()):
        return Verdict.NOISE
    if len(front) < length:
        return Verdict.MORE
    station, first, second = front[3], front[4], front[5]
    if front[length - 1] != END or station > MAX_STATION:
        return Verdict.NOISE
    if length == COMMAND_BYTES:
        return (Command(station, first, func), length) if 1 <= first <= LOCKS else Verdict.NOISE
    straight = 1 <= first <= LOCKS and second in _STATES
    swapped = func == STATUS_REPLY and 1 <= second <= LOCKS and first in _STATES
    return (Reply(station, first, second, func), length) if straight or swapped else Verdict.NOISE
