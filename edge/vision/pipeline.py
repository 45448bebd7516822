"""From a picture to crossings: people, tracks, the line. No I/O and no clock; the caller says which second it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.line import Crossing, LineCounter
from models.person import Detection
from models.tracking import Tracker

Image = NDArray[np.uint8]


class Detector(Protocol):
    """What finds people (models.person.PersonDetector)."""

    def detect(self, image: Image) -> Sequence[Detection]:
        """People in a BGR picture, best first."""


class Pipeline:
    """Counts at one line. Pictures come in the order of their time and all in one size."""

    def __init__(self, detector: Detector, line: tuple[float, float, float, float]) -> None:
        """`line` is x1, y1, x2, y2 in 0..1 of the picture. Raises ValueError when its ends are the same place."""
        LineCounter(line, aspect=1.0)  # refuse a wrong line before the first picture
        self._detector = detector
        self._line = line
        self._tracker = Tracker()
        self._counter: LineCounter | None = None
        self._shape = (0, 0)

    def step(self, image: Image, at_s: float) -> list[Crossing]:
        """Crossings that became certain with the picture of second `at_s`."""
        height, width = image.shape[:2]
        crossings: list[Crossing] = []
        if self._counter is None or self._shape != (height, width):
            crossings += self.flush()
            self._counter = LineCounter(self._line, aspect=width / height)
            self._tracker = Tracker()
            self._shape = (height, width)
        tracked = self._tracker.update(self._detector.detect(image), at_s)
        self._counter.end(tracked.ended)
        points = [(box.id, box.centre[0] / width, box.centre[1] / height) for box in tracked.seen]
        return crossings + self._counter.update(points, at_s)

    def flush(self) -> list[Crossing]:
        """The crossings of all tracks, which end here."""
        return self._counter.flush() if self._counter else []
