"""The air in a refrigerated cabinet: heat through the walls and the open door, a compressor, a defrost, an alarm."""

from __future__ import annotations

import math
from collections.abc import Callable

WALL_S = 10_800.0  # how slowly a closed cabinet follows the room
DOOR_S = 600.0  # and an open one
COOL_S = 2_400.0  # how slowly the compressor pulls it down
EVAPORATOR_C = -10.0
HEATER_C = 12.0
HEAT_S = 3_600.0
STEP_S = 10.0
MOST_STEPS = 20_000  # a longer time is cut into coarser pieces
DEFROST_AFTER_S = 6 * 3600.0  # of the compressor's work
DEFROST_S = 1_200.0
DRIP_S = 120.0
WARM_C, WARM_FOR_S = 10.0, 900.0  # with the door closed
COLD_BELOW_C = 3.0  # under the set point
DOOR_FOR_S = 120.0
TOO_WARM, TOO_COLD, DOOR_LONG, PROBE_BROKEN = 1, 2, 4, 8
NONE, DEFROSTING, DRIPPING = 0, 1, 2


class Fridge:
    """One cabinet, moved on to `now_s()` whenever it is looked at or touched. Degrees Celsius."""

    def __init__(
        self,
        now_s: Callable[[], float],
        *,
        air_c: float = 5.0,
        room_c: float = 25.0,
        set_point_c: float = 4.0,
        hysteresis_c: float = 2.0,
    ) -> None:
        self._now_s = now_s
        self._at_s = now_s()
        self._air_c = air_c
        self.room_c = room_c
        self.set_point_c = set_point_c
        self.hysteresis_c = hysteresis_c
        self.door_open = False
        self.probe_broken = False
        self.compressor_on = False
        self.defrost = NONE
        self._door_s = self._at_s  # when the door was opened
        self._warm_s: float | None = None  # since when it is too warm with the door closed
        self._worked_s = 0.0
        self._defrost_s = 0.0

    @property
    def air_c(self) -> float:
        """The air now."""
        self._advance()
        return self._air_c

    @property
    def alarms(self) -> int:
        """The alarm bits now."""
        self._advance()
        warm = self._warm_s is not None and self._at_s - self._warm_s >= WARM_FOR_S
        long_open = self.door_open and self._at_s - self._door_s >= DOOR_FOR_S
        return (
            TOO_WARM * warm
            | TOO_COLD * (self._air_c < self.set_point_c - COLD_BELOW_C)
            | DOOR_LONG * long_open
            | PROBE_BROKEN * self.probe_broken
        )

    def move_door(self, is_open: bool) -> None:
        """Somebody opens or closes it."""
        self._advance()
        if is_open and not self.door_open:
            self._door_s = self._at_s
        self.door_open = is_open

    def set(self, *, set_point_c: float | None = None, hysteresis_c: float | None = None) -> None:
        """The controller is told something else."""
        self._advance()
        self.set_point_c = self.set_point_c if set_point_c is None else set_point_c
        self.hysteresis_c = self.hysteresis_c if hysteresis_c is None else hysteresis_c

    def _advance(self) -> None:
        left_s = self._now_s() - self._at_s
        step_s = max(STEP_S, left_s / MOST_STEPS)
        while left_s > 0:
            self._step(min(step_s, left_s))
            left_s -= step_s
        self._at_s = max(self._at_s, self._now_s())

    def _step(self, dt_s: float) -> None:
        self._control(dt_s)
        pulls = [(1.0 / (DOOR_S if self.door_open else WALL_S), self.room_c)]
        if self.compressor_on:
            pulls.append((1.0 / COOL_S, EVAPORATOR_C))
        if self.defrost == DEFROSTING:
            pulls.append((1.0 / HEAT_S, HEATER_C))
        rate = sum(one for one, _ in pulls)
        rest_c = sum(one * where_c for one, where_c in pulls) / rate
        self._air_c = rest_c + (self._air_c - rest_c) * math.exp(-rate * dt_s)
        self._at_s += dt_s
        if self.door_open or self._air_c <= WARM_C:
            self._warm_s = None
        elif self._warm_s is None:
            self._warm_s = self._at_s

    def _control(self, dt_s: float) -> None:
        """What the controller does with what it sees."""
        if self.defrost != NONE:
            self._defrost_s += dt_s
            if self._defrost_s >= DEFROST_S + DRIP_S:
                self.defrost, self._worked_s = NONE, 0.0
            elif self._defrost_s >= DEFROST_S:
                self.defrost = DRIPPING
            return
        if self.compressor_on:
            self._worked_s += dt_s
        if self._worked_s >= DEFROST_AFTER_S:
            self.defrost, self._defrost_s, self.compressor_on = DEFROSTING, 0.0, False
        elif self._air_c >= self.set_point_c + self.hysteresis_c:
            self.compressor_on = True
        elif self._air_c <= self.set_point_c:
            self.compressor_on = False
