"""What a simulated trial unit does: its states, its session, its samples.

Time is passed in; nothing here knows the bytes of a frame. Every rule of safety is looked at on the unit's own clock,
whether or not a host speaks.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from struct import pack

from simulators.hardware import trial_ptp_safety as s
from simulators.hardware.trial_ptp_body import ML_PER_S, Body
from simulators.hardware.trial_ptp_locks import TokenDesk

HEAT, PUFF_SENSOR = 1, 2
EVT_PUFF, EVT_STATE, EVT_FAULT, EVT_END, EVT_SAMPLE = 0x81, 0x82, 0x83, 0x84, 0x85
PURGE_S = 3.0
LONGEST_PUFF_S = 5.0
MOST_LOGGED = 4096  # lines; a full log keeps its beginning
COLD = (s.AUTHORIZED, s.ARMED)


@dataclass(slots=True)
class SampleSlot:
    """What lies in a slot; `remaining` servings, `expires_s` unix seconds."""

    sample_id: bytes
    ean: bytes
    remaining: int
    expires_s: int


def two_samples() -> dict[int, SampleSlot]:
    """Slots 1 and 2 of a unit that was filled for a demonstration."""
    ean = b"2000000000015"  # a number for use inside a shop: no maker has it
    return {n: SampleSlot(b"SAMPLE-%05d" % n, ean, 20, 4_000_000_000) for n in (1, 2)}


class TrialCore:
    """The unit behind its wire. `heater_on` says whether current flows; `history` when each state began and why.

    `tell(event, payload)` hears all that the unit has to say.
    """

    def __init__(
        self,
        *,
        address: int,
        key: bytes,
        capabilities: int,
        slots: dict[int, SampleSlot],
        rng: Random,
        tell: Callable[[int, bytes], None],
    ) -> None:
        self.body = Body()
        self.guard = s.Guard(body=self.body, capabilities=capabilities)
        self.desk = TokenDesk(key=key, address=address, rng=rng)
        self.slots = slots
        self.counters: Counter[str] = Counter()
        self.history: deque[tuple[float, int, str]] = deque(maxlen=256)
        self.log: list[tuple[float, int, int]] = []
        self.now_s = 0.0
        self.unit_max_puffs = 6
        self._tell = tell
        self._power_up()

    def _power_up(self) -> None:
        self.counters["power_ups"] += 1
        self.heater_enabled = False
        self.authorized = False
        self.session = self.slot = self.fault = self.puffs = 0
        self.max_puffs = self.token_puffs = 0
        self.heated_s = 0.0
        self._puff_s = self._puff_until_s = 0.0
        self.up_since_s = self.now_s
        self.desk.power_up()
        self.enter(s.BOOT, "power")

    @property
    def heater_on(self) -> bool:
        """Current flows: the safety relay is closed, and so is the thermostat's."""
        return self.heater_enabled and (self.body.relay_stuck or self.guard.shown_c() < self.guard.setpoint_c)

    @property
    def hot_state(self) -> bool:
        """In one of the three states in which heat is possible."""
        return self.state in s.HOT_STATES

    def reboot(self, now_s: float) -> None:
        """The power is cut and comes back."""
        self.advance(now_s)
        self._power_up()

    def change(self, now_s: float, **what: float) -> None:
        """Something happens to the body (its own field names): a lid is opened, a fan stops, a part breaks."""
        self.advance(now_s)
        for name, value in what.items():
            if not hasattr(self.body, name):
                raise ValueError(f"a body has no {name}")
            setattr(self.body, name, value)
        self.look()

    def draw(self, now_s: float, duration_s: float) -> bool:
        """A person draws at the mouthpiece; False if that is no puff now."""
        self.advance(now_s)
        if self.state != s.READY or not self.guard.capabilities & PUFF_SENSOR:
            return False
        self._puff_s = min(duration_s, LONGEST_PUFF_S)
        self._puff_until_s = self.now_s + self._puff_s
        self.enter(s.PUFFING, "puff")
        return True

    def advance(self, now_s: float) -> None:
        """Let the unit live until now: warm, cool, look at itself. Going back in time does nothing."""
        while self.now_s < now_s:
            awake = self.heater_enabled or not self.body.resting or self.state in (*s.HOT_STATES, s.COOLDOWN, s.PURGE)
            until_s = min(now_s, self.now_s + s.TICK_S if awake else self._wakes_s())
            passed_s = until_s - self.now_s
            if self.heater_enabled:
                self.heated_s += passed_s
            self.body.step(passed_s, power=self.heater_on, drawn=self.state == s.PUFFING)
            self.now_s = until_s
            self.look()

    def look(self) -> None:
        """One round of the unit's own watch."""
        self.guard.watch_air(self.now_s)
        if self.hot_state:
            self._look_at_heat()
        elif self.state in COLD:
            if self.guard.state_over(self.state, self.now_s) or self.guard.session_over(self.now_s):
                self.end(s.TIMED_OUT, s.IDLE)
        elif self.state == s.COOLDOWN:
            if self.guard.shown_c() <= s.COOL_C:
                self.enter(s.PURGE, "cool")
        elif (
            (self.state == s.BOOT and self.guard.state_over(s.BOOT, self.now_s))
            or (self.state == s.PURGE and self.now_s - self.guard.entered_s >= PURGE_S)
            or (self.state == s.LOCKED and not self.desk.locked(self.now_s))
        ):
            self.enter(s.IDLE, "time")
        if self.state == s.IDLE and self.desk.locked(self.now_s):
            self.enter(s.LOCKED, "bad tokens")

    def enter(self, state: int, why: str) -> None:
        """Be in another state from now on."""
        self.state = state
        self.guard.entered_s = self.now_s
        self.history.append((self.now_s, state, why))
        self._note(EVT_STATE, state)
        self._tell(EVT_STATE, pack(">BI", state, self.session))

    def admit(self, session: int, puffs: int) -> None:
        """A token was good."""
        self.session, self.token_puffs, self.max_puffs = session, puffs, puffs
        self.puffs, self.fault, self.heated_s = 0, 0, 0.0
        self.authorized = True
        self.guard.authorized_s = self.now_s
        self.counters["sessions"] += 1
        self.enter(s.AUTHORIZED, "token")

    def heat(self) -> None:
        """The one place where the heater is let on."""
        self.use_sample()
        self.heater_enabled = True
        self.enter(s.HEATING, "start")

    def use_sample(self) -> None:
        """One serving less in the armed slot."""
        slot = self.slots[self.slot]
        slot.remaining -= 1
        self._tell(EVT_SAMPLE, bytes([self.slot, slot.remaining]))

    def abort(self) -> None:
        """Stop whatever runs; acknowledge a fault whose cause is gone."""
        if self.hot_state:
            self.end(s.ABORTED, s.COOLDOWN)
        elif self.state in COLD:
            self.end(s.ABORTED, s.IDLE)
        elif self.state == s.FAULT and not self.guard.fault(self.now_s):
            self.fault = 0
            self.enter(s.COOLDOWN, "fault acknowledged")

    def end(self, reason: int, state: int) -> None:
        """The session is over: no heat, no permission. Its numbers stay until the next token."""
        self.heater_enabled = False
        self.authorized = False
        self.counters["heated_s"] += round(self.heated_s)
        self._tell(EVT_END, pack(">IBBI", self.session, reason, self.puffs, round(self.heated_s * 1000)))
        self.enter(state, f"end {reason}")

    def _note(self, code: int, detail: int) -> None:
        if len(self.log) < MOST_LOGGED:
            self.log.append((self.now_s - self.up_since_s, code, detail))

    def _look_at_heat(self) -> None:
        now_s, guard = self.now_s, self.guard
        if fault := guard.fault(now_s):
            self._fail(fault)
        elif guard.host_lost(now_s):
            self.end(s.HOST_LOST, s.COOLDOWN)
        elif guard.session_over(now_s):
            self.end(s.SESSION_LIMIT, s.COOLDOWN)
        elif self.state == s.HEATING:
            if guard.shown_c() >= guard.setpoint_c - s.WARM_ENOUGH_C:
                self.enter(s.READY, "warm")
            elif guard.state_over(s.HEATING, now_s):
                self._fail(s.HEATER_OPEN)
        elif self.state == s.PUFFING and now_s >= self._puff_until_s:
            self._puff_ends()

    def _puff_ends(self) -> None:
        self.puffs += 1
        self.counters["puffs"] += 1
        volume_dml = round(self._puff_s * ML_PER_S * 10)
        numbers = (self.session, self.puffs, round(self._puff_s * 1000), volume_dml, round(self.guard.shown_c() * 10))
        self._tell(EVT_PUFF, pack(">IBHHh", *numbers))
        if self.puffs >= self.max_puffs:
            self.end(s.PUFFS_USED, s.COOLDOWN)
        else:
            self.enter(s.READY, "puff over")

    def _fail(self, fault: int) -> None:
        self.fault = fault
        self.counters["faults"] += 1
        self._note(EVT_FAULT, fault)
        self._tell(EVT_FAULT, pack(">BI", fault, self.session))
        self.end(s.BY_FAULT, s.FAULT)

    def _wakes_s(self) -> float:
        """The next moment in which a unit at rest has something to do."""
        if self.state == s.LOCKED:
            return max(self.desk.locked_until_s, self.now_s) + s.TICK_S
        return max(self.guard.entered_s + self.guard.limits.get(self.state, float("inf")), self.now_s) + s.TICK_S
