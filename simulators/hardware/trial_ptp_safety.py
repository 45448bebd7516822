"""What a trial unit guards by itself, with no host: when heat must end, and why. Times are passed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulators.hardware.trial_ptp_body import AMBIENT_C, Body

BOOT, IDLE, AUTHORIZED, ARMED, HEATING, READY, PUFFING, COOLDOWN, PURGE, FAULT, LOCKED = range(11)
HOT_STATES = (HEATING, READY, PUFFING)
OVER_TEMP, AIRFLOW, DOOR_OPEN, HEATER_OPEN, SENSOR = 0x40, 0x41, 0x42, 0x43, 0x44
PUFFS_USED, ABORTED, DISARMED, TIMED_OUT, SESSION_LIMIT, HOST_LOST, BY_FAULT, DISPENSED = range(8)

TICK_S = 0.05  # how often a unit looks at itself while anything is warm; half of what the safety rules allow
OVER_SET_C = 25.0
HOTTEST_C = 280.0
AIRFLOW_S = 1.0
SILENCE_S = 2.0
SESSION_S = 180.0
WARM_ENOUGH_C = 5.0
COOL_C = 60.0
HAS_EXHAUST = 16


@dataclass(slots=True, kw_only=True)
class Guard:
    """The rules, each by itself; a rule answers the fault or the end that it demands, or nothing.

    `body` is looked at, never trusted to be well. `air_lost_s`, `heard_s`, `authorized_s` and `entered_s` are moments.
    """

    body: Body
    capabilities: int
    setpoint_c: float = 240.0
    air_lost_s: float | None = None
    heard_s: float = 0.0
    authorized_s: float = 0.0
    entered_s: float = 0.0
    limits: dict[int, float] = field(default_factory=lambda: {BOOT: 1.0, AUTHORIZED: 60.0, ARMED: 30.0, HEATING: 45.0})
    session_s: float = SESSION_S

    def fault(self, now_s: float) -> int:
        """The fault that ends heat at once; 0 for none."""
        for rule in (self.door, self.too_hot, self.sensor):
            if found := rule():
                return found
        return self.airflow(now_s)

    def door(self) -> int:
        """No heat with an open lid."""
        return DOOR_OPEN if self.body.door_open else 0

    def too_hot(self) -> int:
        """Above the setpoint by more than 25 °C, or above 280 °C."""
        return OVER_TEMP if self._above_setpoint() or self._above_all() else 0

    def sensor(self) -> int:
        """No heat without a thermometer."""
        return SENSOR if self.body.sensor_broken else 0

    def airflow(self, now_s: float) -> int:
        """No heat without air for more than a second."""
        if not self.capabilities & HAS_EXHAUST or self.air_lost_s is None:
            return 0
        return AIRFLOW if now_s - self.air_lost_s > AIRFLOW_S else 0

    def exhaust_ok(self) -> bool:
        """Air flows, or there is no fan to move it."""
        return self.body.air_flows or not self.capabilities & HAS_EXHAUST

    def host_lost(self, now_s: float) -> bool:
        """Nothing was heard from the host for more than 2 s."""
        return now_s - self.heard_s > SILENCE_S

    def session_over(self, now_s: float) -> bool:
        """The whole session has its limit, counted from its token."""
        return now_s - self.authorized_s > self.session_s

    def state_over(self, state: int, now_s: float) -> bool:
        """Some states have limits of their own."""
        return now_s - self.entered_s > self.limits.get(state, float("inf"))

    def seconds_left(self, state: int, now_s: float) -> int:
        """Until the next of these limits."""
        left = self.limits.get(state, float("inf")) - (now_s - self.entered_s)
        if state in (AUTHORIZED, ARMED, *HOT_STATES):
            left = min(left, self.session_s - (now_s - self.authorized_s))
        return 0 if left == float("inf") else max(0, int(left))

    def watch_air(self, now_s: float) -> None:
        """Note the moment in which air stopped."""
        if self.body.air_flows:
            self.air_lost_s = None
        elif self.air_lost_s is None:
            self.air_lost_s = now_s

    def shown_c(self) -> float:
        """What the thermometer shows."""
        return AMBIENT_C if self.body.sensor_broken else self.body.temperature_c

    def _above_setpoint(self) -> bool:
        return self.body.temperature_c > self.setpoint_c + OVER_SET_C

    def _above_all(self) -> bool:
        return self.body.temperature_c > HOTTEST_C
