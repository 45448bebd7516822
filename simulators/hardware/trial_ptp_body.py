"""The body of a trial unit: a heater in a block of metal, a lid, a fan, a person who draws at it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

AMBIENT_C = 22.0
FULL_POWER_C = 620.0  # where the block would end with the heater always on
SLUGGISH_S = 30.0
DRAW_C_PER_S = 6.0  # air that is drawn cools the block
ML_PER_S = 2.3


@dataclass(slots=True)
class Body:
    """What is so, whatever the unit believes. Faults are set from outside.

    `relay_stuck`: the thermostat no longer switches off, only the safety relay does. `extra_c_per_s`: heat from
    anywhere else. `heater_broken`: current flows nowhere. `sensor_broken`: the thermometer reads nothing.
    """

    temperature_c: float = AMBIENT_C
    door_open: bool = False
    air_flows: bool = True
    heater_broken: bool = False
    sensor_broken: bool = False
    relay_stuck: bool = False
    extra_c_per_s: float = 0.0
    hottest_c: float = field(default=AMBIENT_C, init=False)

    def step(self, duration_s: float, *, power: bool, drawn: bool) -> None:
        """Let time pass."""
        target = FULL_POWER_C if power and not self.heater_broken else AMBIENT_C
        self.temperature_c = target + (self.temperature_c - target) * math.exp(-duration_s / SLUGGISH_S)
        self.temperature_c += self.extra_c_per_s * duration_s
        if drawn:
            self.temperature_c = max(AMBIENT_C, self.temperature_c - DRAW_C_PER_S * duration_s)
        self.hottest_c = max(self.hottest_c, self.temperature_c)

    @property
    def resting(self) -> bool:
        """Nothing will change by itself."""
        return self.temperature_c - AMBIENT_C < 0.5 and not self.extra_c_per_s
