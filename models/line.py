"""Count who crosses a line: a directed line, a band of indecision around it, and one count a path.

A person is on a side only outside the band, so that someone who stands on the line, or a box that trembles there,
changes nothing. After a change of side the new side must last; who turns back before that has made a U-turn and is
not counted. A path that begins where another broke off a moment ago goes on as that path: an id that changes on the
line loses no one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class LineSettings:
    """Distances are parts of the picture's height."""

    band: float = 0.04
    """Half of the width of the band of indecision."""
    ends: float = 0.05
    """How far beyond its ends the line still counts."""
    least_points: int = 3
    """A path of fewer points is not counted."""
    least_way: float = 0.10
    """A path that leads less far across the line is not counted."""
    settle_s: float = 0.5
    """How long the new side must last; the end of the path settles it too."""
    handover_s: float = 1.5
    """How long a broken path can be taken up by a new id."""
    handover_way: float = 0.20
    """How far from its last place."""
    forget_s: float = 5.0
    """A path unseen for so long has ended, should nobody say so."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """One person crossed the line; `t_s` is the time of the first point on the new side."""

    direction: Direction
    t_s: float
    track: int


@dataclass(slots=True)
class _Path:
    """What is known of one person: the settled side, and a change that is not settled yet."""

    track: int
    side: int = 0
    turned_s: float | None = None
    points: int = 0
    seen_s: float = 0.0
    place: tuple[float, float] = (0.0, 0.0)
    farthest: dict[int, float] = field(default_factory=lambda: {-1: 0.0, 1: 0.0})


class LineCounter:
    """Points of tracks in, crossings out. `in` is from left to right of the line as drawn from its start to its end
    with y downwards: for a line drawn from left to right, downwards in the picture."""

    def __init__(
        self,
        line: tuple[float, float, float, float],
        *,
        aspect: float,
        settings: LineSettings = LineSettings(),
    ) -> None:
        """`line` is x1, y1, x2, y2 in 0..1 of the picture; `aspect` its width over its height. Raises ValueError."""
        x1, y1, x2, y2 = line
        self._origin = (x1 * aspect, y1)
        along = ((x2 - x1) * aspect, y2 - y1)
        self._length = math.hypot(*along)
        if self._length < 1e-3:
            raise ValueError(f"line {line}: its ends are the same place")
        self._along = (along[0] / self._length, along[1] / self._length)
        self._aspect = aspect
        self._settings = settings
        self._paths: dict[int, _Path] = {}
        self._broken: list[_Path] = []

    def update(self, points: Iterable[tuple[int, float, float]], t_s: float) -> list[Crossing]:
        """Crossings that became certain. `points` are (track, x, y) with x and y in 0..1; a track below 0 is nobody."""
        crossings: list[Crossing] = []
        people = [(track not in self._paths, track, (x * self._aspect, y)) for track, x, y in points if track >= 0]
        for _, track, place in sorted(people):  # known tracks first: what they still follow is not to be taken up
            self._step(track, place, t_s, crossings)
        self.end([p.track for p in self._paths.values() if t_s - p.seen_s > self._settings.forget_s])
        for path in [p for p in self._broken if t_s - p.seen_s > self._settings.handover_s]:
            self._broken.remove(path)
            self._settle(path, crossings)
        return crossings

    def end(self, tracks: Iterable[int]) -> None:
        """These tracks have ended; `update` gives their last crossings once nobody has taken them up."""
        for track in tracks:
            path = self._paths.pop(track, None)
            if path is not None:
                self._broken.append(path)

    def flush(self) -> list[Crossing]:
        """The crossings of all paths, which end here."""
        crossings: list[Crossing] = []
        for path in [*self._broken, *self._paths.values()]:
            self._settle(path, crossings)
        self._broken.clear()
        self._paths.clear()
        return crossings

    def _step(self, track: int, place: tuple[float, float], t_s: float, crossings: list[Crossing]) -> None:
        settings = self._settings
        path = self._paths.get(track)
        if path is None:
            path = self._paths[track] = self._taken_up(track, place, t_s) or _Path(track)
        path.points += 1
        path.seen_s, path.place = t_s, place
        across, along = self._coordinates(place)
        if not -settings.ends <= along <= self._length + settings.ends:  # who walks around the line does not cross it
            self._settle(path, crossings)
            path.side, path.turned_s = 0, None
            return
        if abs(across) < settings.band:
            return
        side = 1 if across > 0 else -1
        path.farthest[side] = max(path.farthest[side], abs(across))
        if path.side == 0:
            path.side = side
        elif side == path.side:
            if path.turned_s is not None:  # back before it was settled: a U-turn
                path.turned_s = None
                path.farthest[-side] = 0.0
        elif path.turned_s is None:
            path.turned_s = t_s
        if path.turned_s is not None and t_s - path.turned_s >= settings.settle_s:
            self._settle(path, crossings)

    def _settle(self, path: _Path, crossings: list[Crossing]) -> None:
        """Count the change of side, if there is one and the path is long enough; the path goes on from there."""
        if path.turned_s is None:
            return
        if path.points < self._settings.least_points or sum(path.farthest.values()) < self._settings.least_way:
            return
        crossings.append(Crossing("out" if path.side > 0 else "in", path.turned_s, path.track))
        path.farthest[path.side] = 0.0
        path.side = -path.side
        path.turned_s = None

    def _taken_up(self, track: int, place: tuple[float, float], t_s: float) -> _Path | None:
        """The path that the new track continues: the nearest within reach that nobody was seen on now."""
        settings = self._settings
        near = [
            (math.dist(path.place, place), path.track)
            for path in [*self._broken, *self._paths.values()]
            if 0 < t_s - path.seen_s <= settings.handover_s and math.dist(path.place, place) <= settings.handover_way
        ]
        if not near:
            return None
        self.end((min(near)[1],))
        path = next(path for path in self._broken if path.track == min(near)[1])
        self._broken.remove(path)
        path.track = track
        return path

    def _coordinates(self, place: tuple[float, float]) -> tuple[float, float]:
        """Signed distance from the line (right of it, as drawn, is positive), and the way along it."""
        x, y = place[0] - self._origin[0], place[1] - self._origin[1]
        return self._along[0] * y - self._along[1] * x, self._along[0] * x + self._along[1] * y
