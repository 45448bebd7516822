"""The bytes of the KERONG CU48 boards and of their dialect CU12. Locks count from 0 here.

CU48: 02 ADDR LOCKER CMD 03 SUM; the status comes as 02 ADDR 00 75 D1..D6 SUM, with 03 before the sum or without, and
is told apart by its whole length. Where both are believed, a turned bit can make one of the other: who knows the form
of a board says so. One public source disagrees with itself about a length byte behind 75; that form is a dialect of
its own, because the first eleven bytes of a reply with it can look like a whole reply without it.
CU12: 02 ADDR LOCK CMD ASK LEN 03 SUM and then LEN bytes of status, which the sum does not cover.

SUM is the low byte of the sum of what stands before it. Only a status and the unlock of one lock can be written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault
from device_drivers.finder import Finder, Verdict
from device_drivers.lock_frames import low_sum

STX, ETX = 0x02, 0x03
MAX_ADDRESS = 31
LOCKS_48, LOCKS_12 = 48, 12
LONGEST = 13

STATUS_48, UNLOCK_48, STATUS_REPLY_48 = 0x60, 0x61, 0x75
STATUS_12, UNLOCK_12 = 0x80, 0x81
# ASK of a CU12: 0 in a command, else how it went.
ASKED, DONE = 0x00, 0x10
FAILED = {0x11: "failed", 0x12: "timeout", 0x13: "unknown_command", 0x14: "bad_sum"}


@dataclass(frozen=True, slots=True)
class Command48:
    """What a host says to a CU48."""

    address: int
    locker: int
    cmd: int

    def to_bytes(self) -> bytes:
        """Six bytes. Raises ProtocolError(local) for a board, lock or command that does not exist."""
        _must_be_one(self.address, self.locker, self.cmd, (STATUS_48, UNLOCK_48), LOCKS_48)
        body = bytes((STX, self.address, self.locker, self.cmd, ETX))
        return body + bytes((low_sum(body),))


@dataclass(frozen=True, slots=True)
class Status48:
    """Six bytes of locks, 1 being closed. `has_length`: a length byte stood before them."""

    address: int
    locks: bytes
    has_length: bool = False


@dataclass(frozen=True, slots=True)
class Command12:
    """What a host says to a CU12."""

    address: int
    lock: int
    cmd: int

    def to_bytes(self) -> bytes:
        """Eight bytes. Raises ProtocolError(local) for a board, lock or command that does not exist."""
        _must_be_one(self.address, self.lock, self.cmd, (STATUS_12, UNLOCK_12), LOCKS_12)
        body = bytes((STX, self.address, self.lock, self.cmd, ASKED, 0, ETX))
        return body + bytes((low_sum(body),))


@dataclass(frozen=True, slots=True)
class Reply12:
    """What a CU12 answers; `locks` are two bytes of locks, 1 being closed, or none."""

    address: int
    lock: int
    cmd: int
    ask: int
    locks: bytes = b""


Frame = Command48 | Status48 | Command12 | Reply12


def from_bytes(data: bytes) -> Frame:
    """One whole frame, either way. Raises ProtocolError(remote)."""
    found = _cut(data) if data else Verdict.NOISE
    if isinstance(found, Verdict):
        raise ProtocolError(f"{len(data)} bytes: {found.value}")
    frame, length = found
    if length != len(data):
        raise ProtocolError(f"{len(data)} bytes are more than one frame")
    return frame


class Form(NamedTuple):
    """One form of a CU48's status."""

    has_length: bool
    with_etx: bool


BARE, WITH_ETX = Form(has_length=False, with_etx=False), Form(has_length=False, with_etx=True)
LENGTH_BARE, LENGTH_WITH_ETX = Form(has_length=True, with_etx=False), Form(has_length=True, with_etx=True)
ALL_FORMS = (BARE, WITH_ETX, LENGTH_BARE, LENGTH_WITH_ETX)  # the shortest first


def finder(on_fault: OnFault, forms: Sequence[Form] = ALL_FORMS) -> Finder[Frame]:
    """Finds frames of both sides and all dialects; the status of a CU48 in these forms."""
    return Finder(partial(_cut, forms=forms), longest=LONGEST, on_fault=on_fault)


def _must_be_one(address: int, lock: int, cmd: int, cmds: tuple[int, int], locks: int) -> None:
    status, _unlock = cmds
    if cmd not in cmds:
        raise ProtocolError(f"command {cmd:#04x} is never sent", side="local")
    if not 0 <= address <= MAX_ADDRESS:
        raise ProtocolError(f"address {address} is not in 0..{MAX_ADDRESS}", side="local")
    if not 0 <= lock < locks or (cmd == status and lock):
        raise ProtocolError(f"lock {lock} cannot be asked so", side="local")


def _cut(front: bytes, forms: Sequence[Form] = ALL_FORMS) -> tuple[Frame, int] | Verdict:
    if front[0] != STX:
        return Verdict.NOISE
    if len(front) < 4:
        return Verdict.MORE
    match front[3]:
        case 0x60 | 0x61:
            return _command_48(front)
        case 0x75:
            return _status_48(front, forms)
        case 0x80 | 0x81:
            return _frame_12(front)
        case _:
            return Verdict.NOISE


def _command_48(front: bytes) -> tuple[Frame, int] | Verdict:
    if len(front) < 6:
        return Verdict.MORE
    if front[4] != ETX or low_sum(front[:5]) != front[5]:
        return Verdict.BAD_SUM
    return Command48(front[1], front[2], front[3]), 6


def _status_48(front: bytes, forms: Sequence[Form]) -> tuple[Frame, int] | Verdict:
    """Each form is tried as soon as there are bytes enough."""
    if front[2]:
        return Verdict.NOISE
    for form in forms:
        at, end = 4 + form.has_length, bytes((ETX,)) if form.with_etx else b""
        length = at + 6 + len(end) + 1
        if len(front) < length:
            return Verdict.MORE
        right = front[at + 6 : length - 1] == end and low_sum(front[: length - 1]) == front[length - 1]
        if right and (not form.has_length or front[4] == 6):
            return Status48(front[1], front[at : at + 6], form.has_length), length
    return Verdict.BAD_SUM


def _frame_12(front: bytes) -> tuple[Frame, int] | Verdict:
    if len(front) < 8:
        return Verdict.MORE
    _stx, address, lock, cmd, ask, count, etx, total = front[:8]
    if etx != ETX or low_sum(front[:7]) != total or count not in (0, 2):
        return Verdict.BAD_SUM
    if ask == ASKED and not count:
        return Command12(address, lock, cmd), 8
    if len(front) < 8 + count:
        return Verdict.MORE
    return Reply12(address, lock, cmd, ask, front[8 : 8 + count]), 8 + count
