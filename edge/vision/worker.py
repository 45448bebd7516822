"""The process of one camera: `python -m edge.vision.worker --config -`; JSON lines come out of it, pictures never.

It dies with its parent, yields the processor to it, and looks only at the newest frame: who is slow skips frames and
says how many.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import msgspec

from contracts.clock import Clock, clock_from_env
from edge.vision.messages import (
    CodeSeen,
    Crossing,
    Ended,
    Health,
    Started,
    WorkerConfig,
    WorkerMessage,
    encode,
)
from edge.vision.minutes import Minutes
from edge.vision.network import StreamEndedError
from edge.vision.pipeline import Detector, Image, Pipeline
from edge.vision.sources import Counting, FrameSource, SourceError, open_source
from models import line
from models.codes import MAX_TEXT, PictureTooLargeError, read_codes
from models.errors import ModelError
from models.person import PersonDetector
from models.registry import OwnFile

HEALTH_EVERY_S = 5.0  # real seconds
EXIT_REFUSED = 3
_NICE = 5
_PR_SET_PDEATHSIG = 1
_MAX_REASON = 512
Emit = Callable[[WorkerMessage], None]


class Worker:
    """The loop of one camera over an open source and a loaded detector."""

    def __init__(
        self,
        *,
        config: WorkerConfig,
        clock: Clock,
        source: FrameSource,
        detector: Detector,
        emit: Emit,
        real_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._clock = clock
        self._source = source
        self._emit = emit
        self._real_s = real_s
        self._pipeline = Pipeline(detector, config.line)
        self._minutes = Minutes(clock)
        self._frames = 0
        self._reported_s = real_s()
        self._reported_frames = 0
        self._told: Counter[str] = Counter()

    async def run(self) -> None:
        """Look at frames until the source has no more."""
        fps = self._config.fps
        last = math.floor(self._clock.now_s() * fps)
        reason = "the source has no more frames"
        self._emit(Started())
        while True:
            now_s = self._clock.now_s()
            due = math.floor(now_s * fps)
            if due <= last:
                await self._clock.sleep(max(0.001, (last + 1) / fps - now_s))
                continue
            try:
                image = self._source.image(due / fps)
            except StreamEndedError as error:
                image, reason = None, str(error)
            if image is None:
                break
            self._look(image, due / fps, skipped=due - last - 1)
            last = due
        self._count(self._pipeline.flush())
        self._emit(self._minutes.rest())
        self._emit(Ended(reason=reason[:_MAX_REASON]))

    def _look(self, image: Image, at_s: float, *, skipped: int) -> None:
        ended = self._minutes.over()
        if ended is not None:
            self._emit(ended)
        self._frames += 1
        self._minutes.frame(skipped=skipped)
        self._count(self._pipeline.step(image, at_s))
        every = self._config.read_codes_every
        if every and self._frames % every == 0:
            self._read_codes(image)
        passed_s = self._real_s() - self._reported_s
        if passed_s >= HEALTH_EVERY_S:
            fps = (self._frames - self._reported_frames) / passed_s
            age_s = max(0.0, self._clock.now_s() - at_s)
            unseen, garbage = self._lost()
            self._emit(
                Health(
                    fps=round(fps, 2),
                    rss_bytes=rss_bytes(),
                    frame_age_s=round(age_s, 3),
                    unseen=unseen,
                    garbage=garbage,
                )
            )
            self._reported_s, self._reported_frames = self._real_s(), self._frames

    def _lost(self) -> tuple[int, int]:
        """Frames that came since the last health and were replaced unseen, and that could not be read."""
        if not isinstance(self._source, Counting):
            return 0, 0
        now = Counter(self._source.counters)
        new, self._told = now - self._told, now
        return new["unseen"], new["garbage"]

    def _count(self, crossings: Sequence[line.Crossing]) -> None:
        for crossing in crossings:
            self._minutes.crossing(crossing.direction)
            self._emit(Crossing(direction=crossing.direction, t_s=round(crossing.t_s, 3)))

    def _read_codes(self, image: Image) -> None:
        try:
            reading = read_codes(image)
        except PictureTooLargeError:
            return  # the camera stays useful for counting
        for code in reading.codes:
            self._emit(CodeSeen(text=code.text[:MAX_TEXT], format=code.format))


def rss_bytes() -> int:
    """Memory of this process that is in use, bytes."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def die_with_parent(parent: int) -> None:
    """From now on the kernel kills this process when its parent `parent` dies; exits if it has died already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(EXIT_REFUSED)


def own_stdout() -> Emit:
    """Lines to what was stdout; whatever a library prints from now on goes to stderr instead of between them."""
    lines = os.dup(1)
    os.dup2(2, 1)

    def emit(message: WorkerMessage) -> None:
        data = encode(message)
        while data:
            data = data[os.write(lines, data) :]

    return emit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker of one camera; the exit status. A refusal is said in an `ended` line."""
    parser = argparse.ArgumentParser(prog="python -m edge.vision.worker", description="The process of one camera.")
    parser.add_argument(
        "--config", required=True, help="edge.vision.messages.WorkerConfig as JSON; - reads it from stdin"
    )
    parser.add_argument("--parent", type=int, help="process id of who started this; it is killed with it")
    options = parser.parse_args(arguments)
    if options.parent is not None:
        die_with_parent(options.parent)
    emit = own_stdout()
    os.nice(_NICE)
    cv2.setNumThreads(1)
    source: FrameSource | None = None
    try:
        # an address may hold a password, and what stands on a command line everybody on the machine can read
        said = sys.stdin.buffer.read() if options.config == "-" else options.config
        config = msgspec.json.decode(said, type=WorkerConfig)
        own = config.model and OwnFile(Path(config.model.path), config.model.sha256, config.model.licence)
        clock = clock_from_env()
        # the source first: while a camera is off, no model is loaded again and again
        source = open_source(config.source, clock, login_file=Path(config.login_file) if config.login_file else None)
        detector = PersonDetector.load(threshold=config.threshold, fit=config.fit, own=own or None)
        worker = Worker(config=config, clock=clock, source=source, detector=detector, emit=emit)
    except (ModelError, SourceError, ValueError) as error:
        emit(Ended(reason=str(error)[:_MAX_REASON]))
        if source is not None:
            source.close()
        return EXIT_REFUSED
    try:
        asyncio.run(worker.run())
    except BrokenPipeError:
        return 0  # nobody listens any more
    finally:
        source.close()
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # a video library that hangs in a thread of its own is not waited for
