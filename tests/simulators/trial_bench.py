"""A trial unit on a bench: a host that says anything, a world that breaks, and a witness that believes neither.

The witness keeps books of its own on what was proven, when the host was last heard and since when the lid is open; it
looks at the heater twenty times a second, and says in one sentence what should not have been.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random

from device_drivers.trial_ptp import payloads as p
from device_drivers.trial_ptp.codec import Frame, FrameDecoder
from device_drivers.trial_ptp.names import NO_FLAGS, Capability, Command, Flag, State, Status
from device_drivers.trial_ptp.token import Method, Proof, mac, mint
from simulators.hardware.trial_ptp import TrialUnit

KEY = bytes(range(32))
UNIX_S = 1_767_225_600
STEP_S = 0.05
SLACK_S = 0.1  # what the rules give a unit to switch its heater off
ACTS = (Command.AUTHORIZE, Command.ARM, Command.START, Command.DISPENSE)

Action = tuple[object, ...]


class ViolationError(AssertionError):
    """The witness saw what must not be."""


class Bench:
    """One unit, from 100 s on; `core` is its inside, which only the witness and the world look at."""

    def __init__(self, unit: type[TrialUnit] = TrialUnit, *, capabilities: int = 0x3F) -> None:
        self.now_s = 100.0
        self.unit = unit(capabilities=capabilities, rng=Random(1))
        self.core = self.unit.core
        self.capabilities = capabilities
        self.last: Frame | None = None  # the last question
        self.last_reply = b""
        self.nonce = b""
        self.session = 41
        self.witness = Witness(self)
        self._sequence = 0
        self.wait(0.0)
        self.sync_time()

    def write(self, data: bytes) -> bytes:
        """Bytes on the line, and what comes back."""
        return b"".join(self.unit.answer(frame, self.now_s) for frame in self.unit.split(data, self.now_s))

    def ask(self, command: int, payload: bytes = b"", **other: int) -> Frame:
        """A new question and the reply to it."""
        self._sequence = (self._sequence + 1) % 0x8000
        question = replace(Frame(5, self._sequence, command, payload), **other)
        return self.put(question)

    def put(self, question: Frame) -> Frame:
        """This very question, also once more."""
        self.witness.asked(question)
        self.last = replace(question, flags=NO_FLAGS)
        self.last_reply = self.write(question.to_wire())
        reply = next(f for f in FrameDecoder(_deaf).feed(self.last_reply) if f.is_reply)
        self.witness.answered(question, reply)
        self.witness.look()
        return reply

    def again(self) -> Frame:
        """The last question as a host repeats it whose reply was lost."""
        assert self.last is not None
        return self.put(replace(self.last, flags=Flag.RETRY))

    def wait(self, duration_s: float) -> None:
        """Let time pass in silence; the witness looks all the while."""
        until_s = self.now_s + duration_s
        while True:
            self.core.advance(self.now_s)
            self.witness.look()
            if self.now_s >= until_s:
                return
            warm = self.core.heater_enabled or self.core.hot_state
            self.now_s = min(until_s, self.now_s + (STEP_S if warm else 1.0))

    def keep(self, duration_s: float) -> None:
        """Let time pass with a host that is there."""
        until_s = self.now_s + duration_s
        while self.now_s < until_s:
            self.ask(Command.PING)
            self.wait(min(0.5, until_s - self.now_s))

    def world(self, **what: float) -> None:
        """Something happens to the unit's body."""
        self.witness.changed(what)
        self.core.change(self.now_s, **what)
        self.witness.look()

    def sync_time(self) -> None:
        self.ask(Command.TIME_SYNC, p.Moment(UNIX_S + int(self.now_s)).to_bytes())

    def challenge(self) -> Frame:
        reply = self.ask(Command.CHALLENGE)
        if not reply.status:
            self.nonce = reply.payload
        return reply

    def token(self, kind: str = "good", *, puffs: int = 6) -> bytes:
        """A token over the last nonce, good or bad in one respect."""
        issued_s = UNIX_S + int(self.now_s) - (90 if kind == "late" else 0)
        proof = Proof(
            session=self.session,
            method=Method.ID_CARD,
            staff_id=1007,
            issued_at_s=issued_s,
            life_s=60,
            max_puffs=puffs,
        )
        if kind == "staff":
            proof = replace(proof, session=0, max_puffs=0)
        nonce = bytes(8) if kind == "foreign" else self.nonce or bytes(8)
        key = bytes(32) if kind == "forged" else KEY
        made = mint(proof, nonce=nonce, address=6 if kind == "neighbour" else 5, key=key)
        if kind == "minor":  # no minting makes it: signed by hand, with the right key
            body = made[:14] + b"\x11" + made[15:26]
            return body + mac(body, address=5, key=KEY)
        return made[:-1] + bytes([made[-1] ^ 1]) if kind == "bit" else made

    def authorize(self, kind: str = "good", *, puffs: int = 6) -> Frame:
        return self.ask(Command.AUTHORIZE, self.token(kind, puffs=puffs))

    def arm(self, session: int | None = None, slot: int = 1, puffs: int = 6) -> Frame:
        return self.ask(Command.ARM, p.Arm(session or self.session, slot, puffs).to_bytes())

    def start(self, session: int | None = None) -> Frame:
        return self.ask(Command.START, p.OfSession(session or self.session).to_bytes())

    def abort(self, session: int | None = None) -> Frame:
        return self.ask(Command.ABORT, p.Abort(session or self.session, 1).to_bytes())

    def begin(self, state: State, *, puffs: int = 6) -> Bench:
        """Go to a state on the straight way."""
        if state is State.BOOT:
            self.unit.reboot(self.now_s)
            self.witness.rebooted()
            return self
        if state is State.LOCKED:
            for _ in range(3):
                self.challenge()
                self.authorize("forged")
            return self
        for at, step in self._road(puffs):
            if state is at:
                break
            step()
        if state is State.FAULT:
            self.world(door_open=True)
            self.world(door_open=False)
        assert self.core.state == state, (self.core.state, state)
        return self

    def _road(self, puffs: int) -> Iterable[tuple[State, object]]:
        def authorize() -> None:
            self.session += 1
            self.challenge()
            self.authorize(puffs=puffs)

        yield State.IDLE, authorize
        yield State.AUTHORIZED, lambda: self.arm(puffs=puffs)
        yield State.ARMED, self.start
        yield State.HEATING, lambda: self.keep(20.0)
        yield State.FAULT, lambda: None
        if self.core.state != State.READY:
            return
        yield State.READY, lambda: self.core.draw(self.now_s, 2.0)
        yield State.PUFFING, self.abort
        yield State.COOLDOWN, self._cool
        yield State.PURGE, lambda: None

    def _cool(self) -> None:
        while self.core.state == State.COOLDOWN:
            self.wait(0.5)


class Witness:
    """Books kept without the unit's help."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._heard_s = self._door_s = self._hot_s = float("inf")
        self._air_s = float("inf")
        self._nonces: dict[bytes, float] = {}  # unused ones, and when they were given
        self._permits: dict[int, tuple[float, int]] = {}  # session: when, how many puffs
        self._armed: tuple[int, float, int] | None = None  # session, when, puffs
        self._started: int | None = None
        self._started_s = 0.0
        self._was_hot = False
        self._bad_in_row = 0
        self._shut_until_s = float("-inf")
        self._lawful = False  # the token that is just handed over
        self._replies: dict[int, tuple[Frame, bytes]] = {}
        self._effects: tuple[int, ...] = ()
        self._body: dict[str, float] = {}

    def asked(self, question: Frame) -> None:
        """Before a question is put."""
        now_s = self._bench.now_s
        self._heard_s = now_s
        self._effects = self._counted()
        if question.command == Command.AUTHORIZE and len(question.payload) == 42:
            nonce = question.payload[1:9]
            puffs = question.payload[25]
            genuine = puffs > 0 and question.payload == self._bench.token(puffs=puffs)
            self._lawful = (
                genuine and now_s - self._nonces.get(nonce, float("-inf")) <= 60.0 and now_s >= self._shut_until_s
            )

    def answered(self, question: Frame, reply: Frame) -> None:
        """After it was answered."""
        now_s, ok = self._bench.now_s, not reply.status
        if self._is_repeat(question):
            return
        session = int.from_bytes(question.payload[:4], "big")
        if question.command == Command.HELLO:
            self._replies.clear()
        elif question.command == Command.CHALLENGE and ok:
            self._must(now_s >= self._shut_until_s, "a nonce from a locked unit")
            self._nonces = {reply.payload: now_s}
        elif question.command == Command.AUTHORIZE:
            self._judge_authorize(question, reply)
        elif question.command == Command.ARM and ok:
            self._must(session in self._permits, "armed without a token of this session")
            self._must(now_s - self._permits[session][0] <= 60.0 + SLACK_S, "armed more than 60 s after the token")
            self._must(question.payload[5] <= self._permits[session][1], "armed for more puffs than the token allows")
            self._armed = (session, now_s, question.payload[5])
        elif question.command == Command.START and ok:
            self._judge_start(session)
        elif question.command in (Command.ABORT, Command.DISARM) and ok:
            self._stop()
        elif question.command == Command.DISPENSE and ok:
            self._must(self._armed is not None and self._armed[0] == session, "dispensed without an armed session")
            self._stop()
        self._replies[question.sequence] = (replace(question, flags=NO_FLAGS), self._bench.last_reply)

    def changed(self, what: dict[str, float]) -> None:
        """Before something happens to the body."""
        now_s = self._bench.now_s
        self._body |= what
        if "door_open" in what:
            self._door_s = min(self._door_s, now_s) if what["door_open"] else float("inf")
        if "air_flows" in what:
            self._air_s = float("inf") if what["air_flows"] else min(self._air_s, now_s)

    def rebooted(self) -> None:
        """The power was cut."""
        self._stop()
        self._nonces.clear()
        self._replies.clear()

    def look(self) -> None:
        """What may be, now?"""
        bench, core, now_s = self._bench, self._bench.core, self._bench.now_s
        setpoint_c = core.guard.setpoint_c
        too_hot = core.body.temperature_c > min(setpoint_c + 25.0, 280.0)
        self._hot_s = min(self._hot_s, now_s) if too_hot else float("inf")
        if not (core.heater_on or core.heater_enabled):
            if self._was_hot:
                self._stop()  # what has ended needs another token
            self._was_hot = False
            return
        self._was_hot = True
        self._must(self._started is not None, "heat without a started session")
        assert self._started is not None
        permit_s, puffs = self._permits[self._started]
        self._must(core.state in (State.HEATING, State.READY, State.PUFFING), f"heat in state {core.state}")
        self._must(now_s - self._heard_s <= 2.0 + SLACK_S, "heat with a host that is silent")
        self._must(now_s - self._door_s <= SLACK_S, "heat with an open lid")
        self._must(now_s - self._hot_s <= SLACK_S, "heat above the limit")
        if bench.capabilities & Capability.EXHAUST:
            self._must(now_s - self._air_s <= 1.0 + SLACK_S, "heat without air")
        self._must(now_s - permit_s <= 180.0 + SLACK_S, "heat beyond the session's limit")
        if core.state == State.HEATING:
            self._must(now_s - self._started_s <= 45.0 + SLACK_S, "warming up without end")
        self._must(core.puffs <= puffs, "more puffs than the token allows")
        self._must(not self._body.get("sensor_broken"), "heat without a thermometer")

    def _judge_authorize(self, question: Frame, reply: Frame) -> None:
        now_s = self._bench.now_s
        if reply.status == Status.OK:
            self._must(self._lawful, "a token was taken that nobody may take")
            self._permits[self._bench.session] = (now_s, question.payload[25])
            self._nonces.clear()
            self._armed = self._started = None
            self._bad_in_row = 0
        elif reply.status == Status.TOKEN_BAD:
            self._bad_in_row += 1
            if self._bad_in_row == 3:
                self._bad_in_row, self._shut_until_s = 0, now_s + 300.0
        elif reply.status in (Status.TOKEN_EXPIRED, Status.NONCE_USED, Status.BAD_PARAM, Status.QUOTA):
            self._bad_in_row = 0
            if question.payload[1:9] in self._nonces:
                self._nonces.clear()

    def _judge_start(self, session: int) -> None:
        now_s = self._bench.now_s
        self._must(self._armed is not None and self._armed[0] == session, "started without an armed session")
        assert self._armed is not None
        self._must(session in self._permits, "started without a token of this session")
        self._must(now_s - self._armed[1] <= 30.0 + SLACK_S, "started more than 30 s after it was armed")
        self._must(self._door_s > now_s, "started with an open lid")
        if self._bench.capabilities & Capability.EXHAUST:
            self._must(self._air_s > now_s, "started without exhaust")
        self._started, self._started_s = session, now_s

    def _stop(self) -> None:
        if self._started is not None:
            self._permits.pop(self._started, None)
        self._armed = self._started = None

    def _is_repeat(self, question: Frame) -> bool:
        """A repeat gets the old reply, byte for byte, and changes nothing."""
        known = self._replies.get(question.sequence)
        if not question.flags & Flag.RETRY or known is None or question.command in (Command.HELLO, Command.ABORT):
            return False
        if known[0] == replace(question, flags=NO_FLAGS):
            self._must(self._bench.last_reply == known[1], "a repeat was answered otherwise than the question")
            self._must(self._counted() == self._effects, "a repeat acted once more")
        return True

    def _counted(self) -> tuple[int, ...]:
        core = self._bench.core
        left = sum(slot.remaining for slot in core.slots.values())
        return core.counters["sessions"], core.counters["dispensed"], core.desk.bad_ever, left

    def _must(self, holds: bool, sentence: str) -> None:
        if not holds:
            raise ViolationError(f"{self._bench.now_s:.2f} s: {sentence}")


def run(actions: Iterable[Action], unit: type[TrialUnit] = TrialUnit, *, capabilities: int = 0x3F) -> str:
    """Carry the actions out; "" or what the witness saw."""
    try:
        bench = Bench(unit, capabilities=capabilities)
        for action in actions:
            _do(bench, *action)
        bench.wait(3.0)
    except ViolationError as error:
        return str(error)
    return ""


def _do(bench: Bench, name: object, *rest: object) -> None:
    value = rest[0] if rest else None
    match name:
        case "wait":
            bench.wait(float(str(value)))
        case "keep":
            bench.keep(float(str(value)))
        case "to armed" | "to heat" | "to ready":
            _straight(bench, str(name))
        case "authorize":
            bench.authorize(str(value))
        case "new session":
            bench.session += 1
            bench.challenge()
        case "ask":
            bench.ask(*rest)  # type: ignore[arg-type]
        case "world":
            bench.world(**rest[0])  # type: ignore[arg-type]
        case "draw":
            bench.core.draw(bench.now_s, float(str(value)))
        case "reboot":
            bench.unit.reboot(bench.now_s)
            bench.witness.rebooted()
        case "noise":
            bench.write(bytes(rest[0]))  # type: ignore[call-overload]
        case "again":
            bench.again()
        case "time":
            bench.sync_time()
        case "challenge" | "arm" | "start" | "abort":
            getattr(bench, str(name))(*rest)
        case _:
            raise ValueError(f"no action is called {name}")


def _straight(bench: Bench, target: str) -> None:
    bench.session += 1
    bench.challenge()
    bench.authorize()
    bench.arm()
    if target != "to armed":
        bench.start()
    if target == "to ready":
        bench.keep(18.0)


def _deaf(kind: str, detail: str) -> None:
    pass
