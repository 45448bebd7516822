"""The host's side of PTP/1 without any port or clock: sequences, repeats, which reply is whose, which event is new.

A question keeps its sequence in every repeat, and a unit acts on a sequence once: asking again cannot act again. A
reply counts only for the question of its sequence, its command and its unit, so a late one answers nothing else.
"""

from __future__ import annotations

from collections import Counter, deque

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault
from device_drivers.trial_ptp.codec import FIRST_EVENT_SEQUENCE, SEQUENCES, Frame, FrameDecoder
from device_drivers.trial_ptp.heat import ACTS, HeatWatch
from device_drivers.trial_ptp.names import NO_FLAGS, Command, Flag
from device_drivers.trial_ptp.payloads import PollAsk, PollEnd, TrialEvent, event_of

RETRIES = 3
MAX_EVENTS = 64  # that nobody has fetched; the oldest goes
_REMEMBERED = 64  # sequences of events


class Call:
    """One question under one sequence, until it is answered or given up."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.attempts = 0  # written so far
        self.acts_written = 0  # to this unit before the first try
        self.withdrawn = False
        self.reply: Frame | None = None
        self.told: dict[int, Frame] = {}  # events of this question's slot, by sequence

    def next_bytes(self) -> bytes | None:
        """The question, then up to three repeats; None when there is nothing more to say. `HostMachine.write` asks."""
        if self.withdrawn or self.attempts > RETRIES:
            return None
        flags = self.frame.flags | (Flag.RETRY if self.attempts else NO_FLAGS)
        frame = Frame(self.frame.address, self.frame.sequence, self.frame.command, self.frame.payload, flags=flags)
        data = frame.to_wire()
        self.attempts += 1
        return data


def _in_order(told: dict[int, Frame]) -> list[int]:
    """Events as the unit counted them, whichever copy of the slot brought each; the count begins again at 8000."""
    first = next((s for s in told if FIRST_EVENT_SEQUENCE + (s - 1) % SEQUENCES not in told), 0)
    return sorted(told, key=lambda sequence: (sequence - first) % SEQUENCES)


class HostMachine:
    """One unit as its host sees it. `at_once` is true where the unit may speak unasked (USB).

    `heat` says whose the heat is, and so what may be written. `events` holds what the unit told and nobody fetched;
    `counters` every frame that was good for nothing, by name.
    """

    def __init__(self, *, address: int, first_sequence: int, at_once: bool, on_fault: OnFault) -> None:
        self.greeted = False
        self.heat = HeatWatch()
        self.events: deque[TrialEvent] = deque(maxlen=MAX_EVENTS)
        self.counters: Counter[str] = Counter()
        self._address = address
        self._next = first_sequence % SEQUENCES
        self._at_once = at_once
        self._on_fault = on_fault
        self._decoder = FrameDecoder(on_fault)
        self._open: dict[int, Call] = {}
        self._heard = 0  # last event of the last whole slot
        self._in_slots: deque[int] = deque(maxlen=_REMEMBERED)  # the unit is told to forget these; a copy is a late one
        self._told_at_once: deque[int] = deque(maxlen=_REMEMBERED)  # a slot brings these once more

    @property
    def needs_greeting(self) -> bool:
        """HELLO is due. Not while an act is on its way: its repeat must find the reply that the unit kept."""
        return not self.greeted and not any(c.attempts and c.frame.command in ACTS for c in self._open.values())

    def begin(self, command: Command, payload: bytes = b"") -> Call:
        """A new question. ABORT takes back what acts and is not answered yet: a repeat must not come behind it.

        Raises ProtocolError(local) for one that no frame can hold: at the head of the queue it would be too late.
        """
        call = Call(Frame(self._address, self._take_sequence(), command, payload))
        call.frame.to_bytes()
        if command is Command.ABORT:
            for other in self._open.values():
                other.withdrawn |= other.frame.command in ACTS
        self._open[call.frame.sequence] = call
        return call

    def begin_poll(self) -> Call:
        """The question for events; it tells which were heard, so that the unit can forget them."""
        return self.begin(Command.POLL_EVT, PollAsk(self._heard).to_bytes())

    def write(self, call: Call, now_s: float) -> bytes | None:
        """What to write now; None for what may not be said now, or no more. The only way to the line."""
        frame, first = call.frame, not call.attempts
        if not self._may_write(frame.command, now_s) or (data := call.next_bytes()) is None:
            return None
        if first:
            call.acts_written = self.heat.acts_written
        self.heat.wrote(frame.command, frame.payload, now_s)
        return data

    def end(self, call: Call) -> None:
        """Nobody waits for this question any more. A unit that was silent may be another one now: greet it again."""
        self._open.pop(call.frame.sequence, None)
        if call.reply is None:
            self.greeted &= not call.attempts
            if call.attempts:
                self.heat.unanswered(call.frame.command)
        elif call.frame.command == Command.HELLO:
            self.greeted = True
            self._heard = 0
            self._in_slots.clear()
            self._told_at_once.clear()

    def hear(self, data: bytes) -> None:
        """Take in bytes of the line, in any pieces."""
        for frame in self._decoder.feed(data):
            if frame.address != self._address:
                self.counters["other_unit"] += 1
            elif frame.is_event:
                self._take_event(frame)
            elif frame.is_reply:
                self._take_reply(frame)
            else:
                self.counters["echo"] += 1  # our own question, from an adapter that repeats it

    def _may_write(self, command: int, now_s: float) -> bool:
        """HELLO makes a unit forget its replies: it goes where it is due, or where no session could miss them."""
        if command == Command.HELLO and not self.needs_greeting:
            at_rest = self.greeted and self.heat.is_settled and not self.heat.session_on
            return at_rest and self.heat.allows(command, now_s)
        return self.heat.allows(command, now_s)

    def _take_sequence(self) -> int:
        sequence, self._next = self._next, (self._next + 1) % SEQUENCES
        return sequence

    def _take_reply(self, frame: Frame) -> None:
        call = self._open.get(frame.sequence)
        if call is None or call.reply is not None:
            self.counters["late_reply"] += 1
            return
        if frame.command != call.frame.command:
            self.counters["other_command"] += 1
            self._on_fault("unexpected", "a reply with our sequence to another command")
            return
        if frame.command == Command.POLL_EVT and not frame.status and not self._slot_is_whole(call, frame):
            return
        call.reply = frame
        self._learn(call, frame)

    def _learn(self, call: Call, frame: Frame) -> None:
        """What a reply says of the heat."""
        if frame.command == Command.STATUS:
            if frame.status or not self.heat.reported(frame.payload, call.acts_written):
                self.heat.unanswered(call.frame.command)
        elif frame.command == Command.ABORT:
            if frame.status:
                self.heat.unanswered(call.frame.command)
            else:
                self.heat.aborted()

    def _slot_is_whole(self, call: Call, frame: Frame) -> bool:
        """Hand the events of a slot over, once all have arrived; a repeat brings the same slot again."""
        try:
            end = PollEnd.from_bytes(frame.payload)
        except ProtocolError as error:
            self._on_fault("unexpected", str(error))
            return False
        if len(call.told) != end.told:
            self.counters["slot_cut"] += 1
            return False
        for sequence in (order := _in_order(call.told)):
            if sequence not in self._told_at_once:
                self._hand_over(call.told[sequence])
            self._heard = sequence
        self._in_slots.extend(order)
        return True

    def _take_event(self, frame: Frame) -> None:
        if frame.sequence in self._in_slots:
            self.counters["late_event"] += 1
            return
        poll = next((c for c in self._open.values() if c.frame.command == Command.POLL_EVT and c.attempts), None)
        if poll is not None:
            poll.told.setdefault(frame.sequence, frame)
        if self._at_once and frame.sequence not in self._told_at_once:
            self._told_at_once.append(frame.sequence)
            self._hand_over(frame)
        elif poll is None:
            self.counters["late_event"] += 1

    def _hand_over(self, frame: Frame) -> None:
        try:
            event = event_of(frame.command, frame.payload)
        except ProtocolError as error:
            self.counters["unknown_event"] += 1
            self._on_fault("unexpected", str(error))
            return
        if len(self.events) == MAX_EVENTS:
            self.counters["events_dropped"] += 1
        self.events.append(event)
