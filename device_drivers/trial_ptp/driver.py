"""One trial unit on a bus: asks with repeats that cannot act twice, keeps it company, and lets go by falling silent."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from device_drivers.bus import Bus, Exchange, NoReplyError, Priority
from device_drivers.errors import MisconfiguredError, ProtocolError, RefusedError, UnavailableError
from device_drivers.trial_ptp import payloads as p
from device_drivers.trial_ptp.codec import MAX_ADDRESS, SEQUENCES, Frame
from device_drivers.trial_ptp.heat import Heat
from device_drivers.trial_ptp.machine import RETRIES, Call, HostMachine
from device_drivers.trial_ptp.names import Command, Status, name_of
from device_drivers.trial_ptp.token import NONCE_BYTES, TOKEN_BYTES

REQUEST_TIMEOUT_S = 0.25
QUEUE_TIMEOUT_S = 1.0  # an act that waits longer for its turn is not sent
KEEP_ALIVE_S = 0.25  # a unit that hears nothing for 2 s takes its host for lost
OWNER_GONE = 1  # the reason in an ABORT that nobody asked for

Line = Literal["rs485", "usb"]
Guard = Callable[[], bool]
ActResult = Literal["done", "refused", "no_reply", "not_sent"]


@dataclass(frozen=True, slots=True)
class ActReply:
    """Outcome of one act. `status` is the unit's word for `refused`.

    `not_sent` promises that no byte left. After `no_reply` the unit may have acted: abort, and ask for its status.
    """

    result: ActResult
    status: int = Status.OK


class TrialRefusedError(RefusedError):
    """The unit said no; `status` is its word."""

    def __init__(self, command: Command, status: int) -> None:
        super().__init__(f"the trial unit refuses {command.name}: {name_of(Status, status)}")
        self.status = status


class TrialUnit:
    """A unit that heats or hands out one sample. It acts only for a token, which is made elsewhere.

    One object for one unit: what is known of its heat is known here. `run` keeps it company, and only so is `start`
    sent. Heat whose company is gone hears nothing but ABORT, whoever asks what: that caller waits for it, or gets
    UnavailableError. Asking raises UnavailableError when four times nobody answers, TrialRefusedError for a no,
    ProtocolError(remote) for an answer of a wrong form. `authorize`, `arm`, `start` and `dispense` take a guard that is
    asked in the same step that encodes and writes the frame, and again for each repeat.
    """

    def __init__(self, bus: Bus, *, address: int, line: Line = "rs485", first_sequence: int | None = None) -> None:
        if not 1 <= address <= MAX_ADDRESS:
            raise MisconfiguredError(f"trial unit address {address}: must be in 1..{MAX_ADDRESS}")
        if line not in ("rs485", "usb"):
            raise MisconfiguredError("line: must be rs485 or usb")
        # Anywhere: a reply to the process before this one shall meet no question of ours.
        first = secrets.randbelow(SEQUENCES) if first_sequence is None else first_sequence
        self._bus = bus
        self._host = HostMachine(address=address, first_sequence=first, at_once=line == "usb", on_fault=bus.fault)
        self._poll_turn = asyncio.Lock()
        self._settling = asyncio.Lock()
        self._hello: p.Hello | None = None
        self._told = asyncio.Event()
        bus.overhear(self._overhear)

    @property
    def counters(self) -> Mapping[str, int]:
        """Frames that were good for nothing, by name."""
        return self._host.counters

    async def run(self) -> None:
        """Fetch events, and be heard by the unit, every quarter of a second until cancelled.

        Raises what `poll` raises. Whoever owns a session begins this before `start` and ends with it: from then on the
        unit hears nothing but ABORT, and stops by itself within 2 s.
        """
        self._host.heat.join()
        try:
            while True:
                await self.poll()
                await asyncio.sleep(KEEP_ALIVE_S)
        finally:
            self._host.heat.leave()

    async def poll(self) -> int:
        """Fetch the events of one slot; how many wait for another."""
        async with self._poll_turn:
            await self._settle()
            reply = await self._answered(self._host.begin_poll(), Priority.STATUS)
        return p.PollEnd.from_bytes(reply).waiting

    async def next_event(self) -> p.TrialEvent:
        """The next thing that the unit told. Waits for `run` or `poll` to fetch it."""
        while not self._host.events:
            self._told.clear()
            await self._told.wait()
        return self._host.events.popleft()

    async def hello(self) -> p.Hello:
        """Who is there. The unit forgets the replies that it kept, so this comes first after a start; in a session it
        is what the unit said before."""
        due = self._host.needs_greeting
        await self._settle()
        if self._hello is not None and (due or self._host.heat.session_on):
            return self._hello
        return await self._greet()

    async def status(self) -> p.StatusReport:
        """Where the unit stands."""
        return await self._settle() or await self._look()

    async def challenge(self) -> bytes:
        """A nonce for one token within 60 s."""
        nonce = await self._ask(Command.CHALLENGE)
        if len(nonce) != NONCE_BYTES:
            raise ProtocolError(f"a nonce of {len(nonce)} bytes")
        return nonce

    async def authorize(self, token: bytes, guard: Guard) -> ActReply:
        """Hand over a token."""
        if len(token) != TOKEN_BYTES:
            raise ProtocolError(f"{len(token)} bytes are no token", side="local")
        return await self._act(Command.AUTHORIZE, token, guard)

    async def arm(self, session: int, slot: int, max_puffs: int, guard: Guard) -> ActReply:
        """Choose the sample and the number of puffs."""
        return await self._act(Command.ARM, p.Arm(session, slot, max_puffs).to_bytes(), guard)

    async def start(self, session: int, guard: Guard) -> ActReply:
        """Heat. Not sent unless `run` keeps company."""
        return await self._act(Command.START, p.OfSession(session).to_bytes(), guard)

    async def dispense(self, session: int, slot: int, guard: Guard) -> ActReply:
        """Hand out one stick."""
        return await self._act(Command.DISPENSE, p.Dispense(session, slot).to_bytes(), guard)

    async def abort(self, session: int, reason: int = 0) -> None:
        """Stop, whatever runs. Overtakes all, greets nobody first, and takes back acts that are not answered yet."""
        call = self._host.begin(Command.ABORT, p.Abort(session, reason).to_bytes())
        await self._answered(call, Priority.UNLOCK)

    async def disarm(self, session: int) -> None:
        """Give a session back that was not started."""
        await self._ask(Command.DISARM, p.OfSession(session).to_bytes())

    async def self_test(self, mask: int) -> int:
        """Try the parts of these bits of Capability; the bits that passed."""
        return p.Bits.from_bytes(await self._ask(Command.SELF_TEST, p.Bits(mask).to_bytes())).bits

    async def set_config(self, values: Mapping[int, bytes]) -> None:
        """Change settings, by type."""
        await self._ask(Command.SET_CONFIG, p.encode_config(values))

    async def get_config(self, kinds: bytes = b"") -> dict[int, bytes]:
        """Settings of these types, or all."""
        return p.decode_config(await self._ask(Command.GET_CONFIG, kinds))

    async def sample(self, slot: int) -> p.Sample:
        """What lies in a slot. An empty one is a refusal (NO_SAMPLE)."""
        return p.Sample.from_bytes(await self._ask(Command.SAMPLE_GET, p.Slot(slot).to_bytes()))

    async def set_sample(self, change: p.SampleSet) -> None:
        """Say what staff put into a slot."""
        await self._ask(Command.SAMPLE_SET, change.to_bytes())

    async def counters_of_unit(self) -> p.Counters:
        """What the unit counts since it was made."""
        return p.Counters.from_bytes(await self._ask(Command.COUNTERS))

    async def log(self, cursor: int = 0) -> p.LogPage:
        """A page of the unit's log."""
        return p.LogPage.from_bytes(await self._ask(Command.LOG_READ, p.Moment(cursor).to_bytes()))

    async def sync_time(self, unix_s: int) -> None:
        """Tell the time of day: without it no token can be judged."""
        await self._ask(Command.TIME_SYNC, p.Moment(unix_s).to_bytes())

    async def ping(self, data: bytes = b"") -> bytes:
        """The same bytes back."""
        return await self._ask(Command.PING, data)

    async def _ask(self, command: Command, payload: bytes = b"") -> bytes:
        await self._settle()
        return await self._answered(self._host.begin(command, payload), Priority.STATUS)

    async def _settle(self) -> p.StatusReport | None:
        """Come before every question: end heat that nobody owns, greet where it is due, know whether it is cold.

        Gives the state if it had to be asked. Raises as asking does, also where silence must end the heat.
        """
        heat, report, loop = self._host.heat, None, asyncio.get_running_loop()
        if heat.is_settled and not self._host.needs_greeting:
            return None
        async with self._settling:
            while not heat.is_settled or self._host.needs_greeting:
                if heat.state is Heat.ORPHANED:
                    await self.abort(heat.session, OWNER_GONE)
                elif not heat.allows(Command.STATUS, loop.time()):
                    raise UnavailableError("the trial unit is left in silence, which ends its heat")
                elif self._host.needs_greeting:
                    await self._greet_if_due()
                else:
                    report = await self._look()
        return report

    async def _greet_if_due(self) -> None:
        try:
            await self._greet()
        except UnavailableError:
            if self._host.needs_greeting:  # else an act came first, and was not to be disturbed
                raise

    async def _greet(self) -> p.Hello:
        self._hello = p.Hello.from_bytes(await self._answered(self._host.begin(Command.HELLO), Priority.STATUS))
        return self._hello

    async def _look(self) -> p.StatusReport:
        return p.StatusReport.from_bytes(await self._answered(self._host.begin(Command.STATUS), Priority.STATUS))

    async def _answered(self, call: Call, priority: Priority) -> bytes:
        reply = await self._exchange(call, priority, lambda: True)
        if reply.status == Status.BAD_VERSION:
            raise MisconfiguredError("the trial unit speaks another version than PTP/1")
        if reply.status:
            raise TrialRefusedError(Command(call.frame.command), reply.status)
        return reply.payload

    async def _act(self, command: Command, payload: bytes, guard: Guard) -> ActReply:
        try:
            await self._settle()
        except UnavailableError:
            return ActReply("not_sent")
        call = self._host.begin(command, payload)
        try:
            reply = await self._exchange(call, Priority.STATUS, guard, queue_timeout_s=QUEUE_TIMEOUT_S)
        except UnavailableError:
            return ActReply("no_reply" if call.attempts else "not_sent")
        return ActReply("refused", reply.status) if reply.status else ActReply("done")

    async def _exchange(
        self, call: Call, priority: Priority, guard: Guard, *, queue_timeout_s: float | None = None
    ) -> Frame:
        """Ask until there is a reply, no repeat is left, or the guard or the rule of heat says no."""
        loop = asyncio.get_running_loop()

        def encode() -> bytes | None:
            return self._host.write(call, loop.time()) if guard() else None

        def feed(data: bytes) -> Frame | None:
            self._hear(data)
            return call.reply

        try:
            while True:
                try:
                    return await self._bus.request(
                        Exchange(
                            priority=priority,
                            encode=encode,
                            feed=feed,
                            timeout_s=REQUEST_TIMEOUT_S,
                            queue_timeout_s=queue_timeout_s,
                        )
                    )
                except NoReplyError:
                    if call.attempts > RETRIES:
                        raise
        finally:
            self._host.end(call)

    def _hear(self, data: bytes) -> None:
        self._host.hear(data)
        if self._host.events:
            self._told.set()

    def _overhear(self, data: bytes) -> None:
        self._hear(data)
