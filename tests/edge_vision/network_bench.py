"""A simulated camera on real sockets, with a loop of its own: the test lets its frames go, one by one or all."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np

from simulators.camera.picture import picture
from simulators.camera.walkers import Plan
from simulators.hardware.network_camera import NetworkCamera

PLAN = Plan(seed=3, rate=900, line_y=0.55)
BITS, SQUARE = 16, 16
WAIT_S = 30.0


def frame(number: int) -> np.ndarray:
    """The simulated entrance at its n-th moment, with the number as black and white squares in its first rows."""
    image = picture(PLAN, 100 + number / 25)
    for bit in range(BITS):
        image[:SQUARE, bit * SQUARE : (bit + 1) * SQUARE] = 255 if number >> bit & 1 else 0
    return image


def number(image: np.ndarray) -> int:
    """Which frame a picture is, whatever JPEG did to it."""
    squares = [image[4:12, bit * SQUARE + 4 : bit * SQUARE + 12] for bit in range(BITS)]
    return sum(1 << bit for bit, square in enumerate(squares) if square.mean() > 128)


@lru_cache(maxsize=32)
def _moment(number: int) -> np.ndarray:
    return frame(number)


def endless(number: int) -> np.ndarray:
    """The same 32 moments again and again: costs nothing, for what is not about the pictures."""
    return _moment(number % 32)


async def quick(_number: int) -> None:
    """The pace of a camera with twice the usual frames."""
    await asyncio.sleep(0.02)


class Gate:
    """Lets frames below `allowed` go; opened from the test's thread."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()

    async def pace(self, number: int) -> None:
        """What the camera waits for before a frame."""
        self._loop = asyncio.get_running_loop()
        while number >= self._allowed:
            self._changed.clear()
            await self._changed.wait()

    def allow(self, frames: int) -> None:
        self._allowed = frames
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._changed.set)


@contextmanager
def camera(
    *, user: str = "", password: str = "", allowed: int = 1 << 30, picture=frame, pace=None, tls=None
) -> Iterator[NetworkCamera]:
    """A camera that serves until the end; `.gate` holds its frames back, `.loop` is where it lives."""
    gate = Gate(allowed)
    there = NetworkCamera(picture, pace or gate.pace, user=user, password=password, tls=tls)
    there.gate = gate
    ready, ends = threading.Event(), []

    async def serve() -> None:
        end = asyncio.Event()
        there.loop = asyncio.get_running_loop()
        ends.append((there.loop, end))
        async with there.serve():
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(WAIT_S)
    try:
        yield there
    finally:
        loop, end = ends[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(WAIT_S)
        assert not thread.is_alive()
