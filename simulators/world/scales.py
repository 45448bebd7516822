"""What a load cell under a shelf reads: noise, settling after a change, a leaning hand, zeroing at power-up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

SETTLE_TAU_S = 0.1  # the residue of half a kilogram is under a gram after 0.65 s
LEAN_SIGMA_G = 8.0
CAPACITY_G = 30_000.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What the transmitter would say now. `gross_g` counts from its own zero."""

    gross_g: float
    stable: bool
    power_on: bool
    overload: bool


class Platform:
    """One load cell. `load_g` is the true weight on it; the caller keeps it up to date."""

    def __init__(self, *, sigma_g: float, rng: Random, load_g: float = 0.0) -> None:
        self._sigma_g = sigma_g
        self._rng = rng
        self.load_g = load_g
        self.lean_g = 0.0
        self.zero_g = 0.0
        self.power_on = False
        self.stuck: Reading | None = None
        self._residue_g = 0.0  # distance of the needle from its rest at `_changed_s`
        self._changed_s = 0.0

    @property
    def _rest_g(self) -> float:
        return self.load_g + self.lean_g - self.zero_g

    def _residue(self, now_s: float) -> float:
        return self._residue_g * math.exp(-max(0.0, now_s - self._changed_s) / SETTLE_TAU_S)

    def change(self, now_s: float, *, load_g: float | None = None, lean_g: float | None = None) -> None:
        """The load or the force of a hand is another one from now on; the needle follows."""
        needle_g = self._rest_g + self._residue(now_s)
        self.load_g = self.load_g if load_g is None else load_g
        self.lean_g = self.lean_g if lean_g is None else lean_g
        self._residue_g, self._changed_s = needle_g - self._rest_g, now_s

    def restart(self, now_s: float) -> None:
        """Power-up: what lies on it now is zero, and the flag stays until it is acknowledged."""
        self.zero_g, self.power_on = self.load_g + self.lean_g, True
        self._residue_g, self._changed_s = 0.0, now_s

    def acknowledge(self) -> None:
        """The host has noticed the power-up."""
        self.power_on = False

    def stick(self, now_s: float, stuck: bool) -> None:
        """The cell hangs at what it shows now, or lets go."""
        self.stuck = None
        if stuck:
            self.stuck = self.read(now_s)

    def read(self, now_s: float) -> Reading:
        """One conversion of the converter, with its noise."""
        if self.stuck is not None:
            return self.stuck
        residue_g = self._residue(now_s)
        leaning = self.lean_g != 0.0
        noise_g = self._rng.gauss(0.0, self._sigma_g + (LEAN_SIGMA_G if leaning else 0.0))
        return Reading(
            gross_g=self._rest_g + residue_g + noise_g,
            stable=abs(residue_g) <= self._sigma_g and not leaning,
            power_on=self.power_on,
            overload=self.load_g + self.lean_g > CAPACITY_G,
        )
