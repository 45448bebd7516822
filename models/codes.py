"""QR and bar codes in a picture: zxing-cpp first, then OpenCV's QR reader, then zbar where it is installed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

Image = NDArray[np.uint8]
MAX_SIDE = 4096
MAX_PIXELS = 12_000_000
MAX_TEXT = 1024
MAX_CODES = 16
DEADLINE_S = 0.5


class PictureTooLargeError(ValueError):
    """The picture is beyond MAX_SIDE or MAX_PIXELS; nothing was decoded."""


@dataclass(frozen=True, slots=True)
class Code:
    """One code: its text, its kind as the reader names it (`QRCode`, `EAN13`, …), and which reader saw it."""

    text: str
    format: str
    reader: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found. `out_of_time`: the deadline came before every reader had looked."""

    codes: tuple[Code, ...]
    out_of_time: bool = False


def read_codes(image: Image, *, deadline_s: float = DEADLINE_S, now_s: Callable[[], float] = time.monotonic) -> Reading:
    """Codes of a grey or BGR picture. The next reader looks only if those before saw nothing, and in time.

    A reader that runs is not interrupted, so the size of the picture is capped: PictureTooLargeError.
    """
    height, width = image.shape[:2]
    if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
        raise PictureTooLargeError(f"a picture of {width}x{height} is not read for codes; at most {MAX_SIDE} a side")
    if not height or not width:
        return Reading(())
    grey = np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image, np.uint8)
    until_s = now_s() + deadline_s
    for reader in _readers():
        if now_s() >= until_s:
            return Reading((), out_of_time=True)
        found = {code.text: code for code in reader(grey) if code.text and len(code.text) <= MAX_TEXT}
        if found:
            return Reading(tuple(found.values())[:MAX_CODES])
    return Reading(())


Reader = Callable[[Image], Iterator[Code]]


def _zxing(grey: Image) -> Iterator[Code]:
    for result in zxingcpp.read_barcodes(grey):
        yield Code(result.text, result.format.name, "zxing-cpp")


def _opencv(grey: Image) -> Iterator[Code]:
    try:
        found, texts, _, _ = cv2.QRCodeDetector().detectAndDecodeMulti(grey)
    except cv2.error:  # OpenCV's reader asserts on some torn codes instead of finding none
        return
    for text in texts if found else ():
        yield Code(text, "QRCode", "opencv")


def _zbar(decode: Callable[[Image], list[Any]], grey: Image) -> Iterator[Code]:
    for result in decode(grey):
        yield Code(result.data.decode("utf-8", "replace"), str(result.type), "zbar")


@cache
def _readers() -> tuple[Reader, ...]:
    """The readers that this machine has, best first."""
    try:
        from pyzbar import pyzbar  # noqa: PLC0415 - an optional package over an optional shared library
    except ImportError:
        return (_zxing, _opencv)
    return (_zxing, _opencv, lambda grey: _zbar(pyzbar.decode, grey))
