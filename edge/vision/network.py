"""A camera on the network: RTSP, MJPEG over HTTP, or what ONVIF names; read by OpenCV's FFmpeg.

A thread of its own takes every frame as it comes and keeps the newest alone, so that a slow model never works on old
ones and nothing piles up. One stream is one life of the worker: what ends it (a hang-up, a stall, noise) ends the
worker with a reason, and the supervisor starts the next one after a pause that grows. FFmpeg may hang wherever it
likes; who closes waits `CLOSE_S` for it and no longer.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from device_drivers.camera.onvif import find_stream
from device_drivers.camera.url import CameraUrl
from device_drivers.errors import UnavailableError
from edge.vision.pipeline import Image

# With ONVIF's own 4 s these stay together below the 20 s after which the supervisor kills a worker without a word.
CONNECT_S = 2.0
OPEN_S = 7.0
FIRST_PICTURE_S = 4.0
STALL_S = 12.0  # without a readable picture; a health line may be 5 s old by then, and after 20 s it is killed
CLOSE_S = 2.0
MAX_SIDE = 4096
MAX_UNREADABLE = 50  # in a row: two seconds of a usual camera
# What the other side says opens no file and no other protocol, and makes no picture of more than MAX_SIDE².
_OPTIONS = {
    "rtsp": "rtsp_transport;tcp|protocol_whitelist;rtp,tcp,tls,udp|format_whitelist;rtsp",
    "http": "protocol_whitelist;http,https,tls,tcp|format_whitelist;mpjpeg|max_redirects;0",
}
_ENVIRONMENT = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_FOR_ALL = f"|fflags;nobuffer|max_pixels;{MAX_SIDE * MAX_SIDE}"


class StreamEndedError(Exception):
    """No more pictures will come; the message is for a person and shows no login."""


class NetworkStream:
    """The newest picture of an open stream. `counters`: frames, unseen (replaced before anybody asked), garbage."""

    def __init__(self, capture: cv2.VideoCapture, *, name: str, real_s: Callable[[], float] = time.monotonic) -> None:
        self._capture = capture
        self._name = name
        self._real_s = real_s
        self._news = threading.Condition()
        self._newest: Image | None = None
        self._ended = ""
        self._closing = False
        self.counters: Counter[str] = Counter()
        # daemon: FFmpeg may hang, and must not keep the process
        self._thread = threading.Thread(target=self._drain, name="camera", daemon=True)
        self._thread.start()

    def image(self, at_s: float, *, wait_s: float = STALL_S) -> Image:
        """The newest picture that was not given yet; blocks until there is one. Raises StreamEndedError."""
        del at_s  # there is only now
        with self._news:
            self._news.wait_for(self._has_news, wait_s)
            image, self._newest = self._newest, None
            if image is not None:
                return image
            raise StreamEndedError(self._ended or f"camera {self._name}: no picture for {wait_s:g} s")

    def shows(self, wait_s: float) -> bool:
        """Whether a picture is there that was not given yet; waits for it."""
        with self._news:
            self._news.wait_for(self._has_news, wait_s)
            return self._newest is not None

    def _has_news(self) -> bool:
        return self._newest is not None or bool(self._ended)

    def close(self) -> None:
        """Let go, without waiting for FFmpeg longer than `CLOSE_S`; a second call does nothing more."""
        self._closing = True
        self._thread.join(CLOSE_S)

    def _drain(self) -> None:
        unreadable, since_s = 0, self._real_s()
        while not self._closing:
            asked_s = self._real_s()
            image = self._next()
            now_s = self._real_s()
            # FFmpeg's own time-out ends a read a little early, and may leave half a picture behind
            if now_s - asked_s >= 0.9 * STALL_S or (image is None and now_s - since_s >= STALL_S):
                self._end(f"no picture for {STALL_S:g} s")
                break
            if image is None:
                unreadable += 1
                if unreadable > MAX_UNREADABLE:
                    self._end("hung up, or sends nothing that can be read")
                    break
                continue
            with self._news:
                self.counters["garbage"] += unreadable
                self.counters["frames"] += 1
                self.counters["unseen"] += self._newest is not None
                self._newest = image
                self._news.notify_all()
            unreadable, since_s = 0, now_s
        self._capture.release()

    def _next(self) -> Image | None:
        """The next picture, or None for one that cannot be read or is larger than anybody's camera."""
        if not self._capture.grab():
            return None
        taken, image = self._capture.retrieve()
        if not taken or image is None or image.ndim != 3 or max(image.shape[:2]) > MAX_SIDE:
            return None
        return np.asarray(image, np.uint8)

    def _end(self, reason: str) -> None:
        with self._news:
            self._ended = f"camera {self._name}: {reason}"
            self._news.notify_all()


def open_stream(url: CameraUrl) -> NetworkStream:
    """The stream of a network address, with its first picture there. Raises DeviceError."""
    stream = find_stream(url) if url.scheme == "onvif" else url
    _reach(stream)
    _hush()
    timeouts = [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(OPEN_S * 1000)),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(STALL_S * 1000)),
        *(cv2.CAP_PROP_N_THREADS, 1),  # more threads hold as many frames back
    ]
    with _options(stream.scheme):
        # no other backend: one that cannot open an address prints the whole of it
        capture = cv2.VideoCapture(stream.secret(), cv2.CAP_FFMPEG, timeouts)
    if not capture.isOpened():
        capture.release()
        raise UnavailableError(f"camera {url}: answers, but gives no stream; look at its login and path")
    opened = NetworkStream(capture, name=str(url))
    if not opened.shows(FIRST_PICTURE_S):
        opened.close()
        raise UnavailableError(f"camera {url}: gives a stream, but no picture in it")
    return opened


def _reach(url: CameraUrl) -> None:
    """So that a camera that is off is told from one that refuses."""
    try:
        socket.create_connection((url.host, url.port), CONNECT_S).close()
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise UnavailableError(f"camera {url}: no connection ({said})") from None


def _hush() -> None:
    """No word on stderr from now on, whatever the environment asks for: FFmpeg's may hold the login."""
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    os.environ["OPENCV_FFMPEG_DECODE_ATTEMPTS"] = "1"  # a frame that cannot be read is told, and counted
    os.environ.pop("OPENCV_FFMPEG_DEBUG", None)  # it would print everything, whatever the level says
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@contextmanager
def _options(scheme: str) -> Iterator[None]:
    """FFmpeg's options for what is opened meanwhile; OpenCV takes them from the environment alone."""
    before = os.environ.get(_ENVIRONMENT)
    os.environ[_ENVIRONMENT] = _OPTIONS["rtsp" if scheme.startswith("rtsp") else "http"] + _FOR_ALL
    try:
        yield
    finally:
        os.environ.pop(_ENVIRONMENT)
        if before is not None:
            os.environ[_ENVIRONMENT] = before
