"""Follow people from frame to frame: motion by a Kalman filter, two rounds of matching by overlap (ByteTrack's idea).

Sure detections are matched first; tracks left over may then take an unsure one, which carries them through a moment
half hidden, but an unsure detection never starts a track. A track has no id until it is confirmed, so that a flicker
uses none up and no two tracks ever share one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.assignment import FORBIDDEN, assign

Floats = NDArray[np.float64]
NO_ID = -1


class Box(Protocol):
    """A detection: corners in pixels and a score (models.person.Detection)."""

    @property
    def x1(self) -> float: ...
    @property
    def y1(self) -> float: ...
    @property
    def x2(self) -> float: ...
    @property
    def y2(self) -> float: ...
    @property
    def score(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """How to follow. The defaults are for people at 5 to 15 frames a second."""

    sure: float = 0.35
    """Score from which a detection may start a track and is matched in the first round."""
    start: float = 0.40
    """Score from which an unmatched detection starts a track."""
    overlap: float = 0.15
    """Least overlap (IoU) of a prediction and a sure detection of the same person."""
    overlap_unsure: float = 0.35
    """The same for an unsure detection."""
    confirm_hits: int = 2
    """Detections in a row that make a track."""
    forget_s: float = 1.2
    """A confirmed track unseen for so long has ended."""
    max_tracks: int = 64


@dataclass(frozen=True, slots=True)
class TrackedBox:
    """One person in one frame; `id` is NO_ID until the track is confirmed, and is never used twice."""

    id: int
    x1: float
    y1: float
    x2: float
    y2: float
    score: float
    hits: int

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box, pixels."""
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2


@dataclass(frozen=True, slots=True)
class Tracked:
    """What one frame gave: everyone seen in it, and the ids whose tracks ended with it."""

    seen: tuple[TrackedBox, ...]
    ended: tuple[int, ...]


class _Track:
    """Constant velocity for centre, width and height; the four share one 2x2 covariance, since they share all noise.

    `state` is (2, 4): values and their speeds, by centre x, centre y, width, height; pixels and pixels a second.
    Noise grows with the box: a near person moves more pixels.
    """

    __slots__ = ("covariance", "hits", "id", "score", "seen_s", "state", "t_s")

    def __init__(self, measured: Floats, score: float, t_s: float) -> None:
        self.id = NO_ID
        self.hits = 1
        self.score = score
        self.t_s = self.seen_s = t_s
        self.state = np.stack([measured, np.zeros(4)])
        scale = float(measured[3])
        self.covariance = np.diag([(_MEASURE * scale) ** 2, (_FIRST_SPEED * scale) ** 2])

    def predict(self, t_s: float) -> None:
        """Move the track to `t_s`."""
        passed_s = max(0.0, t_s - self.t_s)
        self.t_s = max(self.t_s, t_s)
        move = np.array([[1.0, passed_s], [0.0, 1.0]])
        self.state = move @ self.state
        self.state[0, 2:] = np.maximum(self.state[0, 2:], 1.0)
        drift = (_ACCELERATION * self.state[0, 3]) ** 2
        noise = drift * np.array([[passed_s**4 / 4, passed_s**3 / 2], [passed_s**3 / 2, passed_s**2]])
        self.covariance = move @ self.covariance @ move.T + noise

    def correct(self, measured: Floats, score: float) -> None:
        """Take a measurement at the time of the prediction."""
        gain = self.covariance[:, 0] / (self.covariance[0, 0] + (_MEASURE * measured[3]) ** 2)
        self.state = self.state + np.outer(gain, measured - self.state[0])
        self.covariance = self.covariance - np.outer(gain, self.covariance[0])
        self.state[1, 2:] *= _SIZE_SPEED_KEPT
        self.hits += 1
        self.score = score
        self.seen_s = self.t_s


_MEASURE = 0.05  # standard deviation of a detection, parts of its height
_FIRST_SPEED = 0.6  # of the unknown first speed, heights a second
_ACCELERATION = 0.8  # heights a second, squared
_SIZE_SPEED_KEPT = 0.5  # people grow slowly; a box that breathes must not be extrapolated


def overlaps(first: Floats, second: Floats) -> Floats:
    """IoU of every pair of boxes given as centre, width, height: (n, 4) and (m, 4) to (n, m)."""
    a, b = _corners(first)[:, None], _corners(second)[None]
    shared = np.prod(np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None), axis=2)
    areas = np.prod(first[:, 2:], axis=1)[:, None] + np.prod(second[:, 2:], axis=1)[None]
    return np.asarray(shared / np.maximum(areas - shared, 1e-9))


def _corners(boxes: Floats) -> Floats:
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


class Tracker:
    """Detections in, tracks out, one call a frame; time may jump forward (dropped frames), never back."""

    def __init__(self, settings: Settings = Settings()) -> None:
        self._settings = settings
        self._tracks: list[_Track] = []
        self._ids = itertools.count(1)
        self.dropped = 0
        """Detections that would have started a track above `max_tracks`."""

    def update(self, detections: Sequence[Box], t_s: float) -> Tracked:
        """Everyone in the frame of time `t_s` (seconds)."""
        settings = self._settings
        for track in self._tracks:
            track.predict(t_s)
        sure = [d for d in detections if d.score >= settings.sure]
        unsure = [d for d in detections if d.score < settings.sure]
        waiting, left = self._match(self._tracks, sure, settings.overlap)
        confirmed = [track for track in waiting if track.id != NO_ID]
        self._match(confirmed, unsure, settings.overlap_unsure)
        for detection in left:
            if detection.score < settings.start:
                continue
            if len(self._tracks) >= settings.max_tracks:
                self.dropped += 1
                continue
            self._tracks.append(_Track(_measured(detection), detection.score, t_s))
        return self._report(t_s)

    def _match(self, tracks: list[_Track], found: list[Box], least: float) -> tuple[list[_Track], list[Box]]:
        """Correct the tracks that find their detection; the tracks and the detections that are left over."""
        if not tracks or not found:
            return tracks, found
        measured = np.stack([_measured(d) for d in found])
        shared = overlaps(np.stack([t.state[0] for t in tracks]), measured)
        pairs = assign(np.where(shared >= least, 1.0 - shared, FORBIDDEN))
        for row, column in pairs:
            tracks[row].correct(measured[column], found[column].score)
        rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
        return (
            [track for i, track in enumerate(tracks) if i not in rows],
            [detection for i, detection in enumerate(found) if i not in columns],
        )

    def _report(self, t_s: float) -> Tracked:
        seen: list[TrackedBox] = []
        ended: list[int] = []
        kept: list[_Track] = []
        for track in self._tracks:
            if track.seen_s == t_s:
                if track.id == NO_ID and track.hits >= self._settings.confirm_hits:
                    track.id = next(self._ids)
                x1, y1, x2, y2 = _corners(track.state[:1])[0].tolist()
                seen.append(TrackedBox(track.id, x1, y1, x2, y2, track.score, track.hits))
            elif track.id == NO_ID:
                continue  # a flicker: unconfirmed and already gone
            elif t_s - track.seen_s > self._settings.forget_s:
                ended.append(track.id)
                continue
            kept.append(track)
        self._tracks = kept
        return Tracked(tuple(seen), tuple(ended))


def _measured(box: Box) -> Floats:
    """Centre, width and height, at least one pixel each."""
    width, height = max(1.0, box.x2 - box.x1), max(1.0, box.y2 - box.y1)
    return np.array([(box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2, width, height])
