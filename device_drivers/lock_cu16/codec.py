"""The bytes of the KERONG CU16 boards: 02 ADDR CMD data 03 SUM, where SUM is the low byte of the sum before it.

ADDR holds the board in its high half and the lock, counted from 0, in its low half. Source: the command table that
public drivers of this board agree on. "Unlock all" (33), the delayed unlock (39), the pulse time (37) and the broadcast
address F0 can be read and never written: a board understands them, this house never says them.
"""

from __future__ import annotations

from dataclasses import dataclass

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault
from device_drivers.finder import Finder, Verdict, one_frame
from device_drivers.lock_frames import low_sum

STX, ETX = 0x02, 0x03
MAX_BOARD = 9
LOCKS = 16
LONGEST = 9

STATUS = 0x30
UNLOCK = 0x31
STATUS_BUS = 0x32
UNLOCK_ALL = 0x33
STATUS_REPLY = 0x35
PULSE_TIME = 0x37
PULSE_TIME_REPLY = 0x38  # some hosts send it too: a frame that does no harm
DELAYED_UNLOCK = 0x39
_SENT = (STATUS, UNLOCK)
_DATA_BYTES = {  # of commands
    STATUS: (0,),
    UNLOCK: (0,),
    STATUS_BUS: (0,),
    UNLOCK_ALL: (0,),
    PULSE_TIME: (0, 2),
    PULSE_TIME_REPLY: (0,),
    DELAYED_UNLOCK: (0, 1),
}
ACTS = (UNLOCK, UNLOCK_ALL, PULSE_TIME, DELAYED_UNLOCK)


@dataclass(frozen=True, slots=True)
class Command:
    """What a host says. `lock` counts from 0."""

    board: int
    lock: int
    cmd: int
    data: bytes = b""

    def to_bytes(self) -> bytes:
        """Five bytes. Raises ProtocolError(local) for what does not exist, and for all but a status and one unlock."""
        if self.cmd not in _SENT or self.data:
            raise ProtocolError(f"command {self.cmd:#04x} is never sent", side="local")
        if not 0 <= self.board <= MAX_BOARD:
            raise ProtocolError(f"board {self.board} is not in 0..{MAX_BOARD}", side="local")
        if not 0 <= self.lock < LOCKS or (self.cmd == STATUS and self.lock):
            raise ProtocolError(f"lock {self.lock} cannot be asked so", side="local")
        body = bytes((STX, self.board << 4 | self.lock, self.cmd, ETX))
        return body + bytes((low_sum(body),))


@dataclass(frozen=True, slots=True)
class StatusReply:
    """Hook bits (1: locked) and infrared bits (1: goods before the sensor), lock 1 in the lowest bit of the first."""

    address: int
    hooks: bytes
    infrared: bytes

    def to_bytes(self) -> bytes:
        """Nine bytes, as a board writes them. Raises ProtocolError(local) for fields of another size."""
        if len(self.hooks) != 2 or len(self.infrared) != 2 or not 0 <= self.address <= 0xFF:
            raise ProtocolError("a status holds two bytes of hooks and two of infrared", side="local")
        body = bytes((STX, self.address, STATUS_REPLY)) + self.hooks + self.infrared + bytes((ETX,))
        return body + bytes((low_sum(body),))


Frame = Command | StatusReply


def from_bytes(data: bytes) -> Frame:
    """One whole frame, either way. Raises ProtocolError(remote)."""
    return one_frame(_cut, data)


def finder(on_fault: OnFault) -> Finder[Frame]:
    """Finds frames of both sides."""
    return Finder(_cut, longest=LONGEST, on_fault=on_fault)


def _cut(front: bytes) -> tuple[Frame, int] | Verdict:
    if front[0] != STX:
        return Verdict.NOISE
    if len(front) < 3:
        return Verdict.MORE
    address, cmd = front[1], front[2]
    if cmd == STATUS_REPLY:
        reached, data = _sealed(front, 4)
        return (StatusReply(address, data[:2], data[2:]), LONGEST) if data is not None else reached
    for count in _DATA_BYTES.get(cmd, ()):
        reached, data = _sealed(front, count)
        if data is not None:
            return Command(address >> 4, address & 0x0F, cmd, data), 5 + count
        if reached is Verdict.MORE:
            return reached
    return Verdict.BAD_SUM if cmd in _DATA_BYTES else Verdict.NOISE


def _sealed(front: bytes, count: int) -> tuple[Verdict, bytes | None]:
    """The data bytes of a frame with so many, if its end is right."""
    if len(front) < 5 + count:
        return Verdict.MORE, None
    if front[3 + count] != ETX or low_sum(front[: 4 + count]) != front[4 + count]:
        return Verdict.BAD_SUM, None
    return Verdict.MORE, front[3 : 3 + count]
