"""Where frames come from, by the scheme of the URL: an entry point of group `zhanggui.camera_sources`.

A source gives the newest picture of a moment, never a queue of old ones: who asks late has skipped what lay between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import parse_qs, unquote, urlsplit

import cv2
import numpy as np

from contracts.clock import Clock
from device_drivers.camera.login_file import read_login
from device_drivers.camera.schemes import ENTRY_POINTS, schemes
from device_drivers.camera.url import NETWORK, CameraUrl, redacted
from device_drivers.errors import DeviceError
from edge.vision.network import StreamEndedError, open_stream
from edge.vision.pipeline import Image

_MAX_SIDE = 4096
_ROUNDING = 1e-6  # of a frame; a second that is a sum of tenths falls a little short


class SourceError(Exception):
    """The source cannot be opened as it is named, or has ended; the message says what to mend, and shows no login."""


class FrameSource(Protocol):
    """One open camera."""

    def image(self, at_s: float) -> Image | None:
        """The newest picture as of store second `at_s`, (height, width, 3) BGR; None when no more will come.

        May block until there is one. Raises StreamEndedError with the reason when a stream broke off.
        """

    def close(self) -> None:
        """Let go of the device; a second call does nothing."""


OpenSource = Callable[[str, Clock], FrameSource]


@runtime_checkable
class Counting(Protocol):
    """A source that counts what came: `unseen` and `garbage` are told with the camera's health."""

    counters: Counter[str]


def open_source(url: str, clock: Clock, *, login_file: Path | None = None) -> FrameSource:
    """The source that `url` names; without a scheme it is the path of a video file. Raises SourceError.

    `login_file` holds who logs in at a network camera (`device_drivers.camera.login_file`).
    """
    try:
        where = CameraUrl.parse(url)
        if login_file is not None:
            where = where.with_login(read_login(login_file))
        if where.scheme in NETWORK:
            return open_stream(where)
    except (DeviceError, StreamEndedError) as error:
        raise SourceError(str(error)) from None
    if where.scheme == "file":
        return VideoFile.open(url, clock)
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if where.scheme not in found:
        raise SourceError(f"{where}: no camera source has this scheme; there is: {', '.join(schemes())}")
    opener: OpenSource = found[where.scheme].load()
    try:
        return opener(url, clock)
    except ValueError as error:
        raise SourceError(str(error)) from error


class VideoFile:
    """A recording in place of a camera: plays by store time from the moment it is opened, round and round.

    `file:///path?once=1` plays it once.
    """

    def __init__(self, capture: cv2.VideoCapture, *, fps: float, started_s: float, once: bool) -> None:
        self._capture = capture
        self._fps = fps
        self._started_s = started_s
        self._once = once
        self._next = 0
        self._image: Image | None = None

    @classmethod
    def open(cls, url: str, clock: Clock) -> VideoFile:
        """The file of a URL or a bare path. Raises SourceError."""
        parts = urlsplit(url)
        path = Path(unquote(parts.path) if parts.scheme else url)
        if not path.is_file():
            raise SourceError(f"{redacted(str(path))}: no such video file")
        capture = cv2.VideoCapture(str(path))
        fps = capture.get(cv2.CAP_PROP_FPS)
        width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if not capture.isOpened() or not 0 < fps <= 240 or not 0 < max(width, height) <= _MAX_SIDE:
            capture.release()
            raise SourceError(f"{path}: not a video of at most {_MAX_SIDE} pixels a side and 240 frames a second")
        once = parse_qs(parts.query).get("once") == ["1"]
        return cls(capture, fps=fps, started_s=clock.now_s(), once=once)

    def image(self, at_s: float) -> Image | None:
        wanted = max(0, int((at_s - self._started_s) * self._fps + _ROUNDING))
        while self._next <= wanted:
            if not self._capture.grab():
                if self._once or self._next == 0:
                    return None
                self._started_s += self._next / self._fps  # from the start again
                wanted -= self._next
                self._next = 0
                self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
                continue
            self._next += 1
            if self._next > wanted:
                _, image = self._capture.retrieve()
                self._image = np.asarray(image, np.uint8)
        return self._image

    def close(self) -> None:
        self._capture.release()
