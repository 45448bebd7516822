"""People in a picture: NanoDet, with its own pre- and post-processing in vectorised numpy.

The network sees 416x416. `letterbox` keeps the picture's proportions and fills the rest with black; `stretch` fills
the whole square, which finds more in tall and near scenes and less from steep above: a setting of each camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import ConversionError
from models.registry import Entry, Manifest, OwnFile, entry_of
from models.sessions import session_of

ROLE = "person"
Fit = Literal["letterbox", "stretch"]
Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
_STRIDES = (8, 16, 32)
_CLASSES = 80
_PERSON = 0  # the class of people
_BINS = 11  # each side of a box is a distribution over 0..10 strides
MAX_DETECTIONS = 64


@dataclass(frozen=True, slots=True)
class Detection:
    """A box in pixels of the picture, inside it, and how sure the network is (0..1)."""

    x1: float
    y1: float
    x2: float
    y2: float
    score: float


def suppress_overlaps(boxes: Floats, scores: Floats, limit: float) -> list[int]:
    """Indices of the boxes to keep, best first: each drops those that overlap it by more than `limit` (IoU)."""
    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        corner = np.maximum(boxes[best, :2], boxes[rest, :2])
        far = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.prod(np.clip(far - corner, 0, None), axis=1)
        order = rest[shared <= limit * (areas[best] + areas[rest] - shared)]
    return kept


class PersonDetector:
    """NanoDet over one session. Not for two threads at once: the input buffer is reused."""

    def __init__(
        self,
        session: Any,
        entry: Entry,
        *,
        threshold: float | None = None,
        fit: Fit = "letterbox",
        overlap: float = 0.5,
    ) -> None:
        self._session = session
        self._fit = fit
        self._overlap = overlap
        self._threshold = entry.threshold if threshold is None else threshold
        self._size = entry.size
        self._factor = (1 / np.array(entry.std, np.float32)).reshape(3, 1, 1)
        self._offset = -np.array(entry.mean, np.float32).reshape(3, 1, 1) * self._factor
        self._input = np.zeros((1, 3, self._size, self._size), np.float32)
        self._filled = (0, 0)
        self._source: str = session.get_inputs()[0].name
        self._scores, self._sides = _outputs(session, self._size)
        cells = [_centres(self._size // stride, stride) for stride in _STRIDES]
        self._centres = np.concatenate(cells)
        self._strides = np.repeat(np.array(_STRIDES, np.float32), [len(c) for c in cells])

    @classmethod
    def load(
        cls,
        *,
        threshold: float | None = None,
        fit: Fit = "letterbox",
        own: OwnFile | None = None,
        entries: Manifest | None = None,
    ) -> PersonDetector:
        """The detector over the checked weight of role `person`. Raises ModelError's children."""
        session = session_of(ROLE, own=own, entries=entries)
        return cls(session, entry_of(ROLE, entries), threshold=threshold, fit=fit)

    def detect(self, image: Image) -> tuple[Detection, ...]:
        """People in a BGR picture (height, width, 3), best first, at most MAX_DETECTIONS."""
        scale_x, scale_y = self._fill(image)
        results = self.infer()
        scores = np.concatenate([r[0, :, _PERSON] for r in results[: len(_STRIDES)]])
        sides = np.concatenate([r[0] for r in results[len(_STRIDES) :]])
        likely = np.flatnonzero(scores > self._threshold)
        if not likely.size:
            return ()
        height, width = image.shape[:2]
        boxes = self._boxes(likely, sides)
        boxes /= np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
        np.clip(boxes, 0, np.array([width, height, width, height], np.float32), out=boxes)
        found = scores[likely]
        kept = suppress_overlaps(boxes, found, self._overlap)[:MAX_DETECTIONS]
        best = zip(boxes[kept].tolist(), found[kept].tolist(), strict=True)
        return tuple(Detection(x1, y1, x2, y2, score) for (x1, y1, x2, y2), score in best)

    def infer(self) -> list[Floats]:
        """The bare network on the last picture: scores by stride, then distances by stride."""
        results: list[Floats] = self._session.run([*self._scores, *self._sides], {self._source: self._input})
        return results

    def _fill(self, image: Image) -> tuple[float, float]:
        """Put the picture into the input buffer; pixels of the network per pixel of the picture, along x and y."""
        height, width = image.shape[:2]
        if self._fit == "stretch":
            wide = high = self._size
        else:
            scale = self._size / max(height, width)
            wide, high = max(1, round(width * scale)), max(1, round(height * scale))
        if self._filled != (high, wide):
            self._input[0] = self._offset  # black, as the network sees it
            self._filled = (high, wide)
        small = cv2.resize(image, (wide, high)).transpose(2, 0, 1)
        place = self._input[0, :, :high, :wide]
        np.multiply(small, self._factor, out=place)
        place += self._offset
        if self._fit == "stretch":
            return wide / width, high / height
        return self._size / max(height, width), self._size / max(height, width)

    def _boxes(self, cells: NDArray[np.intp], sides: Floats) -> Floats:
        """Corners in pixels of the network: the expected distance to each side, by softmax over its bins."""
        bins = sides[cells].reshape(len(cells), 4, _BINS)
        weights = np.exp(bins - bins.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        distances = weights @ np.arange(_BINS, dtype=np.float32) * self._strides[cells, None]
        centres = self._centres[cells]
        return np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], axis=1).astype(np.float32)


def _centres(side: int, stride: int) -> Floats:
    """Centre points of a square grid, row by row: (side * side, 2) as x, y in pixels of the network."""
    along = (np.arange(side, dtype=np.float32) + 0.5) * stride
    return np.stack([np.tile(along, side), np.repeat(along, side)], axis=1)


def _outputs(session: Any, size: int) -> tuple[Sequence[str], Sequence[str]]:
    """Names of the score and distance outputs, by stride; found by shape, since a converter may name them anyhow."""
    found = {tuple(output.shape): output.name for output in session.get_outputs()}
    grids = [(size // stride) ** 2 for stride in _STRIDES]
    try:
        return [found[1, n, _CLASSES] for n in grids], [found[1, n, 4 * _BINS] for n in grids]
    except KeyError as error:
        raise ConversionError(f"model {ROLE!r}: the file is no NanoDet of {size}x{size}: no output {error}") from error
