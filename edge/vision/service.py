"""Supervises the worker of one camera: starts it, listens to it, and replaces it when it stalls or dies.

No camera knows of another: each service owns one process. A worker that hangs is killed, not asked; the next one starts
only when it is gone, so that restarts never pile up.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Literal

import msgspec

from contracts.backoff import Backoff
from contracts.clock import Clock
from edge.config import CameraConfig
from edge.vision.messages import (
    MAX_LINE_BYTES,
    CodeSeen,
    Crossing,
    Ended,
    Health,
    Interval,
    Started,
    WorkerConfig,
    WorkerMessage,
    WorkerModel,
    decode,
)
from models.errors import ModelError
from models.registry import OwnFile, locate

STALL_S = 20.0
MODEL_RETRY_S = 30.0
MAX_LINES_PER_S = 200
WORKER = (sys.executable, "-m", "edge.vision.worker")
_ROLE = "person"
_LOG = logging.getLogger("zhanggui.vision")
State = Literal["refused", "starting", "online", "offline"]


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """How a camera is. `reason` is one sentence for a person, empty while it is online."""

    camera: str
    state: State
    reason: str
    since: datetime
    """When the state began, store wall time."""
    fps: float = 0.0
    rss_bytes: int = 0
    frame_age_s: float = 0.0
    restarts: int = 0
    malformed: int = 0


class CameraService:
    """One camera. `run` until cancelled; the callbacks are called in the event loop and must not block.

    Stalls and pauses are in real seconds, whatever the store's clock does: they are about this machine's process.
    `patience` opens the time within which the next good line must come; `pause` waits between two lives.
    """

    def __init__(
        self,
        *,
        camera: CameraConfig,
        clock: Clock,
        on_crossing: Callable[[Literal["in", "out"]], None],
        on_interval: Callable[[Interval], None],
        on_health: Callable[[CameraHealth], None],
        rng: Random,
        on_code: Callable[[str], None] | None = None,
        command: Sequence[str] = WORKER,
        patience: Callable[[], asyncio.Timeout] = lambda: asyncio.timeout(STALL_S),
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._camera = camera
        self._clock = clock
        self._on_crossing = on_crossing
        self._on_interval = on_interval
        self._on_health = on_health
        self._on_code = on_code
        self._command = command
        self._patience = patience
        self._pause = pause
        self._backoff = Backoff(rng)
        self._process: Process | None = None
        self.counters: Counter[str] = Counter()
        """starts, restarts, stalls, malformed, flooded; frames that were unseen, garbage"""
        self._health = CameraHealth(camera.id, "starting", "", clock.wall())

    @property
    def health(self) -> CameraHealth:
        """The last known state."""
        return self._health

    @property
    def pid(self) -> int | None:
        """Process id of the worker, while there is one."""
        return self._process.pid if self._process else None

    async def run(self) -> None:
        """Keep the camera counting until cancelled; returns at once if it may not be analysed (P09)."""
        if not self._camera.sign_confirmed_at:
            self._tell("refused", f"P09: no notice is confirmed for camera {self._camera.id}; set sign_confirmed_at")
            return
        while True:
            refusal = await asyncio.to_thread(self._refusal)
            if refusal:
                self._tell("refused", refusal)
                await self._pause(MODEL_RETRY_S)
                continue
            reason = await self._live()
            self.counters["restarts"] += 1
            wait_s = self._backoff.down(_real_s())
            self._tell("offline", reason)
            await self._pause(wait_s)

    def _refusal(self) -> str:
        """Why the model may not run, or nothing."""
        own = self._camera.detector
        try:
            locate(_ROLE, own=OwnFile(own.path, own.sha256, own.licence) if own else None)
        except ModelError as error:
            return str(error)
        return ""

    async def _live(self) -> str:
        """One life of a worker; why it ended."""
        self._health = replace(self._health, fps=0.0, rss_bytes=0, frame_age_s=0.0)
        self._tell("starting", "")
        self.counters["starts"] += 1
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._command,
                *("--config", "-", "--parent", str(os.getpid())),
                stdin=PIPE,
                stdout=PIPE,
                limit=MAX_LINE_BYTES,
                start_new_session=True,  # an interrupt at the terminal is the agent's to handle
            )
        except OSError as error:
            return f"the worker does not start: {error.strerror}"
        assert process.stdin is not None
        process.stdin.write(self._worker_config())  # far less than a pipe holds, so nobody is waited for
        process.stdin.close()
        try:
            said = await self._listen(process)
            if said:
                return said
            return f"the worker ended with status {await process.wait()}"
        except TimeoutError:
            self.counters["stalls"] += 1
            return f"the worker said nothing for {STALL_S:g} s"
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            self._process = None

    async def _listen(self, process: Process) -> str:
        """Take lines until the worker closes its output; the reason it gave. TimeoutError without a good line."""
        assert process.stdout is not None
        reason = ""
        second, lines = 0, 0
        while True:
            async with self._patience():
                message: WorkerMessage | None = None
                while message is None:
                    try:
                        line = await process.stdout.readline()
                    except ValueError:  # longer than MAX_LINE_BYTES; the reader has dropped it
                        self.counters["malformed"] += 1
                        continue
                    if not line:
                        return reason
                    message = self._decoded(line)
            now = int(_real_s())
            second, lines = (second, lines + 1) if now == second else (now, 1)
            if lines > MAX_LINES_PER_S:
                self.counters["flooded"] += 1
            elif isinstance(message, Ended):
                reason = message.reason
            else:
                self._take(message)

    def _decoded(self, line: bytes) -> WorkerMessage | None:
        try:
            return decode(line)
        except msgspec.DecodeError:
            self.counters["malformed"] += 1
            return None

    def _take(self, message: WorkerMessage) -> None:
        match message:
            case Started():
                self._backoff.up(_real_s())
                self._tell("online", "")
            case Crossing():
                self._on_crossing(message.direction)
            case Interval():
                self._on_interval(message)
            case CodeSeen() if self._on_code is not None:
                self._on_code(message.text)
            case Health():
                self.counters.update(unseen=message.unseen, garbage=message.garbage)
                self._health = replace(
                    self._health, fps=message.fps, rss_bytes=message.rss_bytes, frame_age_s=message.frame_age_s
                )
                self._tell(self._health.state, self._health.reason)

    def _tell(self, state: State, reason: str) -> None:
        """Make the health known; log when the camera goes up or down."""
        before = self._health
        changed = state != before.state or reason != before.reason
        self._health = replace(
            before,
            state=state,
            reason=reason,
            since=self._clock.wall() if changed else before.since,
            restarts=self.counters["restarts"],
            malformed=self.counters["malformed"],
        )
        if changed and state == "online":
            _LOG.info("camera %s is up", self._camera.id)
        elif changed and reason:
            _LOG.warning("camera %s is %s: %s", self._camera.id, state, reason)
        self._on_health(self._health)

    def _worker_config(self) -> bytes:
        camera, own = self._camera, self._camera.detector
        config = WorkerConfig(
            camera=camera.id,
            source=camera.source,
            fps=camera.fps,
            line=camera.line,
            fit=camera.fit,
            read_codes_every=camera.read_codes_every if self._on_code else 0,
            model=WorkerModel(path=str(own.path), sha256=own.sha256, licence=own.licence) if own else None,
            login_file=str(camera.login_file or ""),
        )
        return msgspec.json.encode(config)


def _real_s() -> float:
    return asyncio.get_running_loop().time()
