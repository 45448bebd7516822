"""Who walks where and when: visits as a pure function of a seed and store time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Literal

BLOCK_S = 60.0
"""Visits are planned a minute at a time and each lies within its minute, so any second can be asked for alone."""
_LANES_IN = (0.18, 0.38)
_LANES_OUT = (0.62, 0.82)
_ABOVE, _BELOW = -0.22, 1.22  # a figure whose middle is here is out of the picture
_MOST_A_BLOCK = 6
_GAP_S = 1.5  # between two people in one lane
_LONGEST_STAY_S = 600.0

Kind = Literal["in", "out", "u_turn"]


@dataclass(frozen=True, slots=True)
class Look:
    """How a figure differs from the others."""

    height: float
    """Parts of the picture's height."""
    flipped: bool
    gain: float
    tint: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Visit:
    """One person's way through the picture; places are the middle of the figure, in 0..1 of the picture."""

    kind: Kind
    start_s: float
    speed: float
    """Picture heights a second."""
    lane: float
    turn: float
    """For a U-turn, the place where it turns."""
    pause_s: float
    sway: float
    look: Look

    @property
    def end_s(self) -> float:
        """When the person is out of the picture again."""
        way = 2 * (self.turn - _ABOVE) if self.kind == "u_turn" else _BELOW - _ABOVE
        return self.start_s + way / self.speed + (self.pause_s if self.kind == "u_turn" else 0.0)

    def place(self, at_s: float) -> tuple[float, float]:
        """Where the person is; asked for between start and end."""
        gone_s = at_s - self.start_s
        x = self.lane + self.sway * math.sin(2.2 * gone_s)
        if self.kind == "out":
            return x, _BELOW - gone_s * self.speed
        if self.kind == "in":
            return x, _ABOVE + gone_s * self.speed
        down_s = (self.turn - _ABOVE) / self.speed
        back_s = max(0.0, gone_s - down_s - self.pause_s)
        return x, _ABOVE + min(gone_s, down_s) * self.speed - back_s * self.speed

    def crossing_s(self, line_y: float) -> float | None:
        """When the middle of the figure crosses the line at height `line_y`; None for who turns back."""
        if self.kind == "u_turn":
            return None
        way = line_y - _ABOVE if self.kind == "in" else _BELOW - line_y
        return self.start_s + way / self.speed


@dataclass(frozen=True, slots=True)
class Crossing:
    """One true crossing of the line, at a store second."""

    t_s: float
    direction: Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Plan:
    """All visits of one camera. `rate` is parties an hour that come in; those who stay leave within ten minutes."""

    seed: int = 0
    rate: float = 60.0
    line_y: float = 0.55

    def visits(self, at_s: float) -> tuple[Visit, ...]:
        """Who is in the picture now, farthest first."""
        now = [visit for visit in self._block(at_s) if visit.start_s <= at_s < visit.end_s]
        return tuple(sorted(now, key=lambda visit: visit.place(at_s)[1]))

    def truth(self, from_s: float, to_s: float) -> Iterator[Crossing]:
        """Crossings with `from_s` <= t < `to_s`, in order."""
        for index in range(math.floor(from_s / BLOCK_S), math.floor(to_s / BLOCK_S) + 1):
            for t_s, direction in _crossings(self, index):
                if from_s <= t_s < to_s:
                    yield Crossing(t_s, direction)

    def _block(self, at_s: float) -> tuple[Visit, ...]:
        return _visits(self, math.floor(at_s / BLOCK_S))


def _crossings(plan: Plan, index: int) -> list[tuple[float, Literal["in", "out"]]]:
    crossings: list[tuple[float, Literal["in", "out"]]] = []
    for visit in _visits(plan, index):
        t_s = visit.crossing_s(plan.line_y)
        if t_s is not None:
            crossings.append((t_s, "out" if visit.kind == "out" else "in"))
    return sorted(crossings)


@lru_cache(maxsize=256)
def _visits(plan: Plan, index: int) -> tuple[Visit, ...]:
    """Everyone of one minute: who comes in, and who leaves of those that came in the minutes before."""
    entering = [visit for visit, _ in _entering(plan, index)]
    leaving = _Lanes(index, _LANES_OUT)
    rng = Random(f"{plan.seed}:{index}:out")
    start_s, end_s = index * BLOCK_S, (index + 1) * BLOCK_S
    going = [
        leave_s
        for before in range(index - math.ceil(_LONGEST_STAY_S / BLOCK_S) - 1, index)
        for _, leave_s in _entering(plan, before)
        if leave_s is not None and start_s <= leave_s < end_s
    ]
    for leave_s in sorted(going)[:_MOST_A_BLOCK]:
        leaving.place(rng, "out", leave_s)
    return (*entering, *leaving.visits)


@lru_cache(maxsize=256)
def _entering(plan: Plan, index: int) -> tuple[tuple[Visit, float | None], ...]:
    """Who comes in at the door in one minute, and when each will leave (None: a U-turn)."""
    rng = Random(f"{plan.seed}:{index}:in")
    lanes = _Lanes(index, _LANES_IN)
    parties = min(_MOST_A_BLOCK, _poisson(rng, plan.rate * BLOCK_S / 3600))
    people: list[tuple[Visit, float | None]] = []
    for start_s in sorted(index * BLOCK_S + rng.uniform(0, BLOCK_S) for _ in range(parties)):
        if rng.random() < 0.12:
            visit = lanes.place(rng, "u_turn", start_s)
            people += [(visit, None)] if visit else []
            continue
        stays_s = rng.uniform(BLOCK_S, _LONGEST_STAY_S)
        speed = rng.uniform(0.20, 0.30)
        for _ in range(2 if rng.random() < 0.2 else 1):  # two abreast walk at one speed and leave together
            visit = lanes.place(rng, "in", start_s + rng.uniform(0, 0.3), speed)
            people += [(visit, start_s + stays_s)] if visit else []
    return tuple(people)


class _Lanes:
    """Room for one person at a time in each lane of one minute."""

    def __init__(self, index: int, lanes: tuple[float, ...]) -> None:
        self._free_s = dict.fromkeys(lanes, index * BLOCK_S)
        self._end_s = (index + 1) * BLOCK_S
        self.visits: list[Visit] = []

    def place(self, rng: Random, kind: Kind, wanted_s: float, speed: float | None = None) -> Visit | None:
        """A visit in the lane that is free first; None if it would not end within the minute."""
        lane = min(self._free_s, key=lambda place: (max(wanted_s, self._free_s[place]), place))
        visit = Visit(
            kind=kind,
            start_s=max(wanted_s, self._free_s[lane]),
            speed=speed or rng.uniform(0.20, 0.30),
            lane=lane,
            turn=rng.uniform(0.30, 0.46),
            pause_s=rng.uniform(0.5, 3.0),
            sway=rng.uniform(0.0, 0.012),
            look=Look(
                height=rng.uniform(0.31, 0.38),
                flipped=rng.random() < 0.5,
                gain=rng.uniform(0.9, 1.4),
                tint=(rng.uniform(0.85, 1.25), rng.uniform(0.85, 1.2), rng.uniform(0.85, 1.25)),
            ),
        )
        if visit.end_s > self._end_s:
            return None
        self._free_s[lane] = visit.end_s + _GAP_S
        self.visits.append(visit)
        return visit


def _poisson(rng: Random, mean: float) -> int:
    """How many of many unlikely things happened (Knuth's product of uniforms)."""
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
