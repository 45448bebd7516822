"""The pictures: a figure cut out of a photograph that ships with scikit-image, put on a floor of gravel."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from simulators.camera.walkers import Plan, Visit

WIDTH, HEIGHT = 640, 384
Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
_FLOOR_LIGHT, _FLOOR_CONTRAST, _FLOOR_TINT = 175.0, 0.25, (0.92, 0.97, 1.0)
_SHADE = np.array([8, 6, 10], np.float32)  # no coat is quite black
# The outline of the man in `skimage.data.camera()`, without his camera's tripod; x, y in pixels of that picture.
_OUTLINE = (
    *((160, 107), (165, 90), (180, 74), (205, 67), (235, 70), (258, 85), (270, 105), (268, 125)),  # hair
    *((258, 140), (245, 152), (243, 178), (238, 195), (245, 205), (246, 222), (262, 226), (275, 236)),  # face, glove
    *((285, 215), (290, 190), (305, 180), (328, 170), (330, 190), (322, 220), (300, 245), (292, 262)),  # far hand
    *((290, 285), (268, 300), (245, 311), (225, 300), (208, 291), (195, 325), (176, 360), (160, 385)),  # sleeve, front
    *((148, 410), (152, 511), (0, 511), (0, 255), (30, 213), (60, 165), (100, 133), (130, 121), (150, 107)),  # back
)
_BOX = (slice(60, 512), slice(0, 332))  # rows and columns that hold the outline


def _photograph(name: Literal["camera", "gravel"]) -> Image:
    return np.asarray(getattr(data, name)(), np.uint8)


@cache
def _figure() -> tuple[Image, Image]:
    """The man in grey and his mask, both (452, 332)."""
    photograph = _photograph("camera")
    mask = np.zeros(photograph.shape, np.uint8)
    cv2.fillPoly(mask, [np.array(_OUTLINE, np.int32)], (255,))
    return photograph[_BOX], np.asarray(cv2.GaussianBlur(mask, (5, 5), 0)[_BOX], np.uint8)


@cache
def background() -> Image:
    """The floor without anybody, (HEIGHT, WIDTH, 3) BGR. Do not write into it."""
    gravel = cv2.resize(cv2.GaussianBlur(_photograph("gravel"), (5, 5), 0), (WIDTH, HEIGHT)).astype(np.float32)
    grey = _FLOOR_LIGHT + (gravel - gravel.mean()) * _FLOOR_CONTRAST
    return np.asarray(np.clip(grey[:, :, None] * np.array(_FLOOR_TINT, np.float32), 0, 255), np.uint8)


@lru_cache(maxsize=16)
def _dressed(visit: Visit) -> tuple[Floats, Floats]:
    """The figure of one visit and how opaque it is (0..1): (height, width, 3) and (height, width, 1)."""
    grey, mask = _figure()
    high = round(visit.look.height * HEIGHT)
    wide = round(high * grey.shape[1] / grey.shape[0])
    figure = cv2.resize(grey, (wide, high), interpolation=cv2.INTER_AREA).astype(np.float32)
    opaque = cv2.resize(mask, (wide, high), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    coloured = figure[:, :, None] * visit.look.gain * np.array(visit.look.tint, np.float32) + _SHADE
    step = -1 if visit.look.flipped else 1
    return np.clip(coloured[:, ::step], 0, 255), np.asarray(opaque[:, ::step, None], np.float32)


def picture(plan: Plan, at_s: float) -> Image:
    """What the camera sees at store second `at_s`: (HEIGHT, WIDTH, 3) BGR, the caller's own."""
    image = background().copy()
    for visit in plan.visits(at_s):
        x, y = visit.place(at_s)
        figure, opaque = _dressed(visit)
        high, wide = opaque.shape[:2]
        left, top = round(x * WIDTH - wide / 2), round(y * HEIGHT - high / 2)
        rows = slice(max(0, -top), min(high, HEIGHT - top))
        columns = slice(max(0, -left), min(wide, WIDTH - left))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        place = image[top + rows.start : top + rows.stop, left + columns.start : left + columns.stop]
        part, cover = figure[rows, columns], opaque[rows, columns]
        place[:] = place * (1 - cover) + part * cover
    return image
