"""A trial unit on its line: frames in, one reply a sequence, events in a slot or at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from random import Random
from struct import unpack

from simulators.hardware.device import FrameBuffer
from simulators.hardware.trial_ptp_commands import ABORT, BAD_LENGTH, HELLO, POLL, Commands
from simulators.hardware.trial_ptp_core import SampleSlot, TrialCore, two_samples
from simulators.hardware.trial_ptp_wire import (
    EVENT,
    LONGEST,
    RESP,
    RETRY,
    TO_ALL,
    Request,
    frame_of,
    renumbered,
    sound,
    unstuffed,
)

DEMO_KEY = bytes(range(32))  # of the test vectors; a real unit gets its own at the counter
ALL_PARTS = 0x3F
REPLIES_KEPT = 16
EVENTS_KEPT = 64
SLOT_EVENTS = 8
BAD_VERSION = 0x02
PERIOD_S = 0.02


class TrialUnit:
    """One unit by itself on its line, a `Device`. `core` holds its states, its body and its rules.

    `at_once` is called with the bytes of each event on a USB line; on RS-485 events wait for their slot. Times are
    seconds of any one clock; the unit lives on when it is asked, or while `live` runs.
    """

    def __init__(
        self,
        *,
        address: int = 5,
        key: bytes = DEMO_KEY,
        capabilities: int = ALL_PARTS,
        slots: dict[int, SampleSlot] | None = None,
        rng: Random | None = None,
        at_once: Callable[[bytes], object] | None = None,
    ) -> None:
        self.address = address
        self._rng = rng if rng is not None else Random()
        self._at_once = at_once
        self._kept: OrderedDict[int, tuple[int, bytes, bytes]] = OrderedDict()
        self._events: deque[tuple[int, bytes]] = deque(maxlen=EVENTS_KEPT)
        self._event_number = self._rng.randrange(0x7000)
        self.core = TrialCore(
            address=address,
            key=key,
            capabilities=capabilities,
            slots=slots if slots is not None else two_samples(),
            rng=self._rng,
            tell=self._tell,
        )
        self.counters = self.core.counters
        self._commands = Commands(self.core)
        self._buffer = FrameBuffer(self.counters)

    async def live(self) -> None:
        """Live by the loop's own clock until cancelled: without it a unit only lives when bytes come."""
        loop = asyncio.get_running_loop()
        while True:
            self.core.advance(loop.time())
            await asyncio.sleep(PERIOD_S)

    def reboot(self, now_s: float) -> None:
        """The power is cut and comes back: replies, events, session, nonce and clock are gone."""
        self._kept.clear()
        self._events.clear()
        self._event_number = self._rng.randrange(0x7000)
        self.core.reboot(now_s)

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        """Frames with a right check sum; all else is dropped in silence and counted."""
        self.core.advance(real_s)
        self._buffer.add(data, real_s)
        frames = []
        while (end := self._buffer.bytes.find(0)) >= 0:
            piece = self._buffer.cut(end + 1)[:-1]
            if piece and (frame := self._checked(piece)):
                frames.append(frame)
        return frames

    def answer(self, frame: bytes, real_s: float) -> bytes:
        self.core.advance(real_s)
        request = Request.of(frame)
        if request.address not in (self.address, TO_ALL) or request.flags & (RESP | EVENT):
            self.counters["not_for_us"] += 1
            return b""
        if request.version != 1:
            return self._reply(request, BAD_VERSION, b"")
        if request.address == TO_ALL and request.command not in (HELLO, ABORT):
            self.counters["not_for_all"] += 1
            return b""
        self._heard()
        kept = self._replayed(request)
        if kept is not None:
            self.counters["replayed"] += 1
            return kept
        reply = self._carry_out(request)
        self._keep(request, reply)
        return b"" if request.address == TO_ALL and request.command == ABORT else reply

    def disguise(self, reply: bytes) -> bytes:
        return renumbered(reply)

    def _checked(self, piece: bytes) -> bytes:
        if len(piece) > LONGEST:
            self.counters["too_long"] += 1
            return b""
        frame = unstuffed(piece)
        if not sound(frame):
            self.counters["bad_crc"] += 1
            return b""
        return frame

    def _heard(self) -> None:
        self.core.guard.heard_s = self.core.now_s

    def _replayed(self, request: Request) -> bytes | None:
        """The kept reply to a repeat of this very request. HELLO and ABORT are always carried out."""
        if not request.flags & RETRY or request.command in (HELLO, ABORT):
            return None
        command, payload, reply = self._kept.get(request.sequence, (-1, b"", b""))
        return reply if (command, payload) == (request.command, request.payload) else None

    def _keep(self, request: Request, reply: bytes) -> None:
        if request.command == HELLO:
            self._kept.clear()
        self._kept[request.sequence] = (request.command, request.payload, reply)
        self._kept.move_to_end(request.sequence)
        while len(self._kept) > REPLIES_KEPT:
            self._kept.popitem(last=False)

    def _carry_out(self, request: Request) -> bytes:
        if not request.whole:
            return self._reply(request, BAD_LENGTH, b"")
        if request.command == POLL:
            return self._slot(request)
        return self._reply(request, *self._commands.run(request.command, request.payload))

    def _slot(self, request: Request) -> bytes:
        """Events, then the reply that counts them: who misses one asks again and gets all."""
        if len(request.payload) not in (0, 2):
            return self._reply(request, BAD_LENGTH, b"")
        heard = unpack(">H", request.payload)[0] if request.payload else 0
        if any(number == heard for number, _ in self._events):
            while self._events.popleft()[0] != heard:
                pass
        told = [frame for _, frame in self._events][:SLOT_EVENTS]
        end = bytes([len(told), len(self._events) - len(told)])
        return b"".join(told) + self._reply(request, 0, end)

    def _reply(self, request: Request, status: int, payload: bytes) -> bytes:
        return frame_of(
            flags=RESP,
            address=self.address,
            sequence=request.sequence & 0x7FFF,
            command=request.command,
            status=status,
            payload=payload,
        )

    def _tell(self, event: int, payload: bytes) -> None:
        self._event_number = (self._event_number + 1) % 0x8000
        number = 0x8000 + self._event_number
        frame = frame_of(flags=EVENT, address=self.address, sequence=number, command=event, status=0, payload=payload)
        if len(self._events) == EVENTS_KEPT:
            self.counters["events_lost"] += 1
        self._events.append((number, frame))
        if self._at_once is not None:
            self._at_once(frame)


def on_bench() -> TrialUnit:
    """Unit 1 with all parts and two samples."""
    return TrialUnit(address=1)
