"""The bytes of the 8A/80 lock boards: HEAD BOARD LOCK FUNC BCC, where BCC is the XOR of the four before it.

A whole board is asked as lock 0 and answers HEAD BOARD D1 D2 D3 FUNC BCC, one bit a lock; which bit is lock 1 differs
from maker to maker. There is no way to encode lock 0 ("open all"): a board understands it, this house never says it.
"""

from __future__ import annotations

from dataclasses import dataclass

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault
from device_drivers.finder import Finder, Verdict
from device_drivers.lock_frames import Echo
from device_drivers.lock_profile import FeedbackPolarity

FRAME_BYTES = 5
WHOLE_BYTES = 7
MAX_BOARD = 0x20
MAX_LOCK = 0x18

HEAD_OPEN = 0x8A
HEAD_QUERY = 0x80
HEAD_PUSH = 0x81  # sent by some boards on their own
_HEADS = (HEAD_OPEN, HEAD_QUERY, HEAD_PUSH)

FUNC_OPEN = 0x11  # in a command of HEAD_OPEN
FUNC_QUERY = 0x33  # in a command of HEAD_QUERY
FUNC_QUERY_OLD = 0x99  # seen as the query of a whole board on older boards
SWITCH_SHORT = 0x11  # in replies: the feedback switch is closed
SWITCH_OPEN = 0x00  # in replies: the feedback switch is open


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, either way."""

    head: int
    board: int
    lock: int
    func: int

    def to_bytes(self) -> bytes:
        """Five bytes. Raises ProtocolError(local) for a board or lock that does not exist, above all lock 0."""
        if self.head not in _HEADS:
            raise ProtocolError(f"head {self.head:#04x} is not of this family", side="local")
        if not 1 <= self.board <= MAX_BOARD:
            raise ProtocolError(f"board {self.board} is not in 1..{MAX_BOARD}", side="local")
        if not 1 <= self.lock <= MAX_LOCK:
            raise ProtocolError(f"lock {self.lock} is not in 1..{MAX_LOCK}", side="local")
        body = bytes((self.head, self.board, self.lock, self.func))
        return body + bytes((bcc(body),))

    @classmethod
    def from_bytes(cls, data: bytes) -> Frame:
        """Raises ProtocolError(remote) for a wrong length, head or check byte."""
        if len(data) != FRAME_BYTES:
            raise ProtocolError(f"{len(data)} bytes are not one frame")
        if data[0] not in _HEADS:
            raise ProtocolError("no known head")
        if bcc(data[:-1]) != data[-1]:
            raise ProtocolError("wrong check byte")
        return cls(*data[:-1])


def bcc(data: bytes) -> int:
    """XOR of all bytes."""
    result = 0
    for byte in data:
        result ^= byte
    return result


def open_command(board: int, lock: int) -> Frame:
    """Pulse one lock."""
    return Frame(HEAD_OPEN, board, lock, FUNC_OPEN)


def query_command(board: int, lock: int) -> Frame:
    """Ask for the state of one lock."""
    return Frame(HEAD_QUERY, board, lock, FUNC_QUERY)


@dataclass(frozen=True, slots=True)
class WholeQuery:
    """Ask for all locks of a board. Its head only asks: nothing moves."""

    board: int
    func: int = FUNC_QUERY

    def to_bytes(self) -> bytes:
        """Five bytes. Raises ProtocolError(local) for a board or function that does not exist."""
        if not 1 <= self.board <= MAX_BOARD:
            raise ProtocolError(f"board {self.board} is not in 1..{MAX_BOARD}", side="local")
        if self.func not in (FUNC_QUERY, FUNC_QUERY_OLD):
            raise ProtocolError(f"function {self.func:#04x} asks for nothing", side="local")
        body = bytes((HEAD_QUERY, self.board, 0, self.func))
        return body + bytes((bcc(body),))


@dataclass(frozen=True, slots=True)
class WholeReply:
    """Three bytes of contacts, 1 being a closed contact."""

    board: int
    contacts: bytes
    func: int

    @classmethod
    def from_bytes(cls, data: bytes) -> WholeReply:
        """Raises ProtocolError(remote) for a wrong length, head, function or check byte."""
        if len(data) != WHOLE_BYTES:
            raise ProtocolError(f"{len(data)} bytes are not the reply of a whole board")
        if data[0] != HEAD_QUERY or data[5] not in (FUNC_QUERY, FUNC_QUERY_OLD):
            raise ProtocolError("no known head or function")
        if bcc(data[:-1]) != data[-1]:
            raise ProtocolError("wrong check byte")
        return cls(data[1], data[2:5], data[5])


def is_locked(func: int, polarity: FeedbackPolarity) -> bool:
    """What the feedback switch says of the latch. Raises ProtocolError(remote) for a byte that is no state."""
    if func not in (SWITCH_SHORT, SWITCH_OPEN):
        raise ProtocolError("a state that is neither open nor closed")
    return (func == SWITCH_SHORT) == (polarity == "locked_short")


class FrameDecoder:
    """Finds frames in a stream with noise in it. Never holds more than four bytes between two calls."""

    def __init__(self, on_fault: OnFault) -> None:
        self._buffer = bytearray()
        self._on_fault = on_fault

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now. Bytes of no frame are dropped and reported, once a call."""
        frames: list[Frame] = []
        noise = bad_check = 0
        self._buffer += data
        buffer, at = self._buffer, 0
        while len(buffer) - at >= FRAME_BYTES:
            window = bytes(buffer[at : at + FRAME_BYTES])
            if window[0] in _HEADS and bcc(window[:-1]) == window[-1]:
                frames.append(Frame.from_bytes(window))
                at += FRAME_BYTES
                continue
            if window[0] in _HEADS:
                bad_check += 1
            else:
                noise += 1
            at += 1
        del buffer[:at]
        if bad_check:
            self._on_fault("crc", "wrong check byte")
        elif noise:
            self._on_fault("framing", f"{noise} bytes of no frame")
        return frames

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)


def whole_finder(on_fault: OnFault) -> Finder[WholeReply]:
    """Finds replies of whole boards and nothing else."""
    return Finder(_cut_whole, longest=WHOLE_BYTES, on_fault=on_fault)


def reply_finder(on_fault: OnFault) -> Finder[Frame | WholeReply]:
    """Finds everything that a board says."""
    return Finder(_cut_reply, longest=WHOLE_BYTES, on_fault=on_fault)


def _cut_whole(front: bytes) -> tuple[WholeReply, int] | Verdict:
    if front[0] != HEAD_QUERY:
        return Verdict.NOISE
    if len(front) < WHOLE_BYTES:
        return Verdict.MORE
    try:
        return WholeReply.from_bytes(front), WHOLE_BYTES
    except ProtocolError:
        return Verdict.BAD_SUM


def _cut_reply(front: bytes) -> tuple[Frame | WholeReply, int] | Verdict:
    if front[0] not in _HEADS:
        return Verdict.NOISE
    if len(front) < FRAME_BYTES:
        return Verdict.MORE
    five = front[:FRAME_BYTES]
    # The first five bytes of a whole board may have a right check byte by chance: they must also make sense.
    makes_sense = five[2] <= MAX_LOCK and five[3] in (SWITCH_SHORT, SWITCH_OPEN, FUNC_QUERY, FUNC_QUERY_OLD)
    if bcc(five[:-1]) == five[-1] and (five[0] != HEAD_QUERY or makes_sense):
        return Frame.from_bytes(five), FRAME_BYTES
    return _cut_whole(front) if five[0] == HEAD_QUERY else Verdict.BAD_SUM


class ReplyParser:
    """Listens for the reply to one command.

    A board answers "failed" with the very bytes of the command. On a line with echo, our own bytes come back first,
    so they are removed by position: the first five bytes are the echo whatever they mean, the sixth begins the reply.
    If those five are not what we sent, position says nothing any more and nothing is believed.
    """

    def __init__(self, sent: Frame, *, echo: bool, on_fault: OnFault) -> None:
        self._sent = sent
        self._echo = Echo(sent.to_bytes() if echo else b"", on_fault)
        self._on_fault = on_fault
        self._decoder = FrameDecoder(on_fault)
        self.pushed: list[Frame] = []

    def feed(self, data: bytes) -> int | None:
        """The state byte of the reply, once it is whole. Frames that a board pushed meanwhile go to `pushed`."""
        answer: int | None = None
        for frame in self._decoder.feed(self._echo.strip(data)):
            if frame.head == HEAD_PUSH:
                self.pushed.append(frame)
            elif answer is None and self._answers(frame):
                answer = frame.func
        return answer

    def _answers(self, frame: Frame) -> bool:
        if (frame.head, frame.board, frame.lock) != (self._sent.head, self._sent.board, self._sent.lock):
            self._on_fault("unexpected", "a reply to another question")
            return False
        if frame.head == HEAD_QUERY and frame.func == FUNC_QUERY:
            self._on_fault("unexpected", "our own query came back: this adapter echoes, set echo = true")
            return False
        if frame.func not in (SWITCH_SHORT, SWITCH_OPEN):
            self._on_fault("unexpected", "a state that is neither open nor closed")
            return False
        return True
