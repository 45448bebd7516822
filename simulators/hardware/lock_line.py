"""What all simulated lock boards are made of: solenoids that need rest, feedback contacts, one line for several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from simulators.hardware.device import FrameBuffer

# A host keeps so much more than the board needs: a busy machine may deliver the first of two frames late.
MARGIN_S = 0.05
HOLD_OFF_S = 0.5 - MARGIN_S  # real; the coil has to cool and its capacitor to charge

Polarity = Literal["locked_short", "open_short"]


class Doors(Protocol):
    """The physical doors behind the boards."""

    def pulse(self, lock: str, channel: int) -> bool:
        """Fire a solenoid; False if nothing is wired to the channel."""

    def door_is_open(self, lock: str, channel: int) -> bool | None:
        """What stands behind a channel; None if nothing does."""


@dataclass(slots=True)
class Board:
    """One board: its name in the description, its wiring, its sensors that hang.

    `dialect` and `bit_order` are what its maker burnt in; empty is the family's usual one. `with_etx`: a CU48 writes 03
    before the sum of a status. `busy_after_unlock`: a CU16 loses the frame behind an unlock; `goods` is where its
    infrared sensors see something.
    """

    name: str
    polarity: Polarity
    stuck: dict[int, bool] = field(default_factory=dict)  # channel -> the sensor says open
    last_pulse_s: float | None = None
    dialect: str = ""
    bit_order: str = ""
    hold_off_s: float = HOLD_OFF_S
    with_etx: bool = True
    busy_after_unlock: bool = True
    busy: bool = False
    goods: set[int] = field(default_factory=set)


class LockLine(ABC):
    """Boards by address on one line. A family adds how it cuts frames and what it answers."""

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
        """See `Device.split`."""
        self._buffer.add(data, real_s)
        frames = []
        while self._buffer.bytes:
            length = self._measure(bytes(self._buffer.bytes))
            if length < 0:
                self._buffer.skip()
            elif length == 0:
                break
            else:
                frames.append(self._buffer.cut(length))
        return frames

    @abstractmethod
    def answer(self, frame: bytes, real_s: float) -> bytes:
        """See `Device.answer`."""

    @abstractmethod
    def disguise(self, reply: bytes) -> bytes:
        """See `Device.disguise`."""

    def reboot(self, board: Board) -> None:
        """The board starts again; it forgets its hold-off."""
        board.last_pulse_s = None
        board.busy = False
        self.counters["reboots"] += 1

    @abstractmethod
    def _measure(self, front: bytes) -> int:
        """How long the frame at the front is; 0 if bytes are missing, negative if none begins there."""

    def _fire(self, board: Board, channels: range, real_s: float) -> bool:
        """Fire solenoids if the board is rested; True if one fired."""
        if self._is_hot(board, real_s):
            self.counters["held_off"] += 1
            self._on_refused(board.name, channels[0])
            return False
        fired = [self._doors.pulse(board.name, channel) for channel in channels]
        if not any(fired):
            self.counters["not_wired"] += 1
            return False
        board.last_pulse_s = real_s
        self.counters["pulses"] += sum(fired)
        return True

    def _is_hot(self, board: Board, real_s: float) -> bool:
        return board.last_pulse_s is not None and real_s - board.last_pulse_s < board.hold_off_s

    def _bit(self, board: Board, *, locked: bool) -> bool:
        """What the wiring makes of a latch: true is what the maker calls locked."""
        return locked == (board.polarity == "locked_short")

    def _says_locked(self, board: Board, channel: int) -> bool:
        """What the board says of a channel, as its maker reads the contact. An empty clamp is a broken contact."""
        is_open = self._doors.door_is_open(board.name, channel)
        return is_open is not None and self._bit(board, locked=not board.stuck.get(channel, is_open))

    def _packed(self, board: Board, count: int, *, usual: str) -> bytes:
        """One bit a channel in `count` bytes, as `_says_locked`."""
        wanted = [channel for channel in range(1, 8 * count + 1) if self._says_locked(board, channel)]
        return packed(wanted, count, board.bit_order or usual)


def packed(channels: list[int], count: int, order: str) -> bytes:
    """A bit for each of these channels; `order` says where the bit of channel 1 stands."""
    data = bytearray(count)
    for channel in channels:
        index, place = divmod(channel - 1, 8)
        if order.startswith("last"):
            index = count - 1 - index
        data[index] |= 0x80 >> place if order.endswith("msb") else 1 << place
    return bytes(data)


def total(data: bytes) -> bytes:
    """The low byte of the sum, as the KERONG boards seal their frames."""
    result = 0
    for byte in data:
        result = (result + byte) % 256
    return bytes([result])
