"""The supervisor: whatever a worker does, its camera comes back, the others notice nothing, and nothing is believed
that is not a well-formed line."""

import asyncio
import inspect
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from contracts.clock import ManualClock
from edge.config import CameraConfig
from edge.vision import CameraService, service
from models import MissingModelError

FAKE = Path(__file__).parent / "fake_worker.py"


@pytest.fixture
def model(monkeypatch):
    """The weight is there, as far as the supervisor can tell."""
    monkeypatch.setattr(service, "locate", lambda *_, **__: ())


class Camera:
    """A service over a fake worker, and all that it called back."""

    def __init__(self, tmp_path, mode: str, *, name: str = "front", **changes) -> None:
        self.notes = tmp_path / f"{name}.pids"
        self.crossings, self.intervals, self.healths, self.codes, self.pauses, self.waits = [], [], [], [], [], []
        config = {"kind": "camera", "id": name, "source": "sim://x", "sign_confirmed_at": "2026-01-01", **changes}
        self.service = CameraService(
            camera=CameraConfig(**config),
            clock=ManualClock(),
            on_crossing=self.crossings.append,
            on_interval=self.intervals.append,
            on_health=self.healths.append,
            on_code=self.codes.append,
            rng=Random(1),
            command=(sys.executable, str(FAKE), mode, str(self.notes)),
            patience=self.patience,
            pause=self.pause,
        )

    async def pause(self, duration_s: float) -> None:
        self.pauses.append(duration_s)
        await asyncio.sleep(0)

    def patience(self) -> asyncio.Timeout:
        """Endless, until the test says that the time is over."""
        self.waits.append(asyncio.timeout(None))
        return self.waits[-1]

    def time_is_over(self) -> None:
        self.waits[-1].reschedule(0.0)

    @property
    def states(self) -> list[str]:
        told = [(health.state, health.reason) for health in self.healths]
        return [state for i, (state, _) in enumerate(told) if i == 0 or told[i] != told[i - 1]]

    @property
    def pids(self) -> list[int]:
        return [int(line) for line in self.notes.read_text().split()] if self.notes.exists() else []


@asynccontextmanager
async def running(*cameras: Camera):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(camera.service.run(), name=camera.notes.name) for camera in cameras]
        yield
        for task in tasks:
            task.cancel()


async def until(condition, wait_s: float = 60.0) -> None:
    async with asyncio.timeout(wait_s):
        while not condition():
            await asyncio.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_good_worker_is_believed(tmp_path, model):
    camera = Camera(tmp_path, "good")
    async with running(camera):
        await until(lambda: camera.codes)
        assert camera.service.pid == camera.pids[0]
    assert camera.crossings == ["in"]
    assert [(i.entered, i.left, i.frames, i.quality) for i in camera.intervals] == [(1, 0, 300, 1.0)]
    assert camera.codes == ["ZG1.x"]
    assert camera.states == ["starting", "online"]
    assert (camera.service.health.fps, camera.service.health.rss_bytes) == (5.0, 1000)
    assert camera.service.pid is None
    assert gone(camera.pids[0]), "the worker goes with its service"


@pytest.mark.parametrize(
    ("mode", "ready"),
    [
        ("stall", lambda camera: "online" in camera.states),  # a stuck stream
        ("silent", lambda camera: camera.pids),  # stuck before its first word
        ("hang", lambda camera: "online" in camera.states),  # stuck, and deaf to signals
        ("garbage", lambda camera: camera.service.counters["malformed"] > 10),  # noise is not a sign of life
    ],
)
async def test_a_worker_that_stalls_is_killed_and_replaced(tmp_path, model, mode, ready):
    camera = Camera(tmp_path, mode)
    async with running(camera):
        await until(lambda: ready(camera))
        assert camera.crossings == []
        camera.time_is_over()
        await until(lambda: camera.crossings)
        assert gone(camera.pids[0])
    assert len(camera.pids) == 2
    assert "offline" in camera.states
    assert next(h.reason for h in camera.healths if h.state == "offline") == "the worker said nothing for 20 s"
    assert (camera.service.health.state, camera.service.health.restarts) == ("online", 1)
    assert camera.service.counters["stalls"] == 1
    assert camera.pauses[0] <= 0.5


async def test_each_good_line_renews_the_patience_and_noise_does_not(tmp_path, model):
    camera = Camera(tmp_path, "mixed")
    async with running(camera):
        await until(lambda: len(camera.crossings) == 2)
    assert len(camera.waits) == 4  # one for each of three good lines, one for the next


async def test_a_native_crash_is_replaced(tmp_path, model):
    camera = Camera(tmp_path, "crash")
    async with running(camera):
        await until(lambda: camera.crossings)
    assert "status -11" in next(health.reason for health in camera.healths if health.state == "offline")
    assert camera.service.health.state == "online"
    assert camera.service.counters["stalls"] == 0


def test_the_patience_is_twenty_seconds(tmp_path):
    assert service.STALL_S == 20.0
    made = inspect.signature(CameraService).parameters["patience"].default

    async def opened() -> float:
        async with made() as wait:
            return wait.when() - asyncio.get_running_loop().time()

    assert 19.0 < asyncio.run(opened()) <= 20.0


async def test_one_camera_dies_by_sigkill_and_the_other_never_notices(tmp_path, model):
    front, back = (Camera(tmp_path, "good", name=name) for name in ("front", "back"))
    async with running(front, back):
        await until(lambda: front.crossings and back.crossings)
        victim = front.service.pid
        os.kill(victim, signal.SIGKILL)
        await until(lambda: len(front.crossings) == 2)
        assert front.service.pid != victim
        assert "status -9" in next(health.reason for health in front.healths if health.state == "offline")
    assert back.states == ["starting", "online"]
    assert len(back.pids) == 1
    assert back.service.health.restarts == 0


async def test_pauses_grow_while_a_worker_keeps_failing(tmp_path, model):
    camera = Camera(tmp_path, "refused")
    async with running(camera):
        await until(lambda: len(camera.pauses) >= 5)
    assert all(pause <= 0.5 * 2**i for i, pause in enumerate(camera.pauses))
    assert camera.pauses[4] != camera.pauses[0]
    assert "no such video file" in camera.healths[-1].reason or "no such video file" in camera.healths[-2].reason
    assert camera.crossings == []


async def test_bad_lines_are_counted_and_good_ones_between_them_are_kept(tmp_path, model):
    camera = Camera(tmp_path, "mixed")
    async with running(camera):
        await until(lambda: len(camera.crossings) == 2)
    assert camera.service.counters["malformed"] >= 3
    assert camera.service.counters["restarts"] == 0


async def test_a_flood_is_cut_and_counted(tmp_path, model):
    camera = Camera(tmp_path, "flood")
    async with running(camera):
        await until(lambda: len(camera.crossings) + camera.service.counters["flooded"] >= 1000)
    assert camera.service.counters["flooded"] >= 500
    assert len(camera.crossings) < 500


async def test_without_a_confirmed_notice_nothing_starts(tmp_path, model):
    """P09, whatever else is right."""
    camera = Camera(tmp_path, "good", sign_confirmed_at="")
    await camera.service.run()
    assert camera.states == ["refused"]
    assert camera.healths[-1].reason.startswith("P09: no notice is confirmed for camera front")
    assert camera.pids == []


async def test_a_refused_model_is_said_and_tried_again_once_it_is_there(tmp_path, monkeypatch):
    answers = iter([MissingModelError("model 'person' is refused", fix="run: zhanggui models fetch person")])

    def locate(*_, **__):
        error = next(answers, None)
        if error:
            raise error

    monkeypatch.setattr(service, "locate", locate)
    camera = Camera(tmp_path, "good")
    async with running(camera):
        await until(lambda: camera.crossings)
    assert camera.states == ["refused", "starting", "online"]
    assert "zhanggui models fetch person" in camera.healths[0].reason
    assert camera.pauses == [service.MODEL_RETRY_S]


async def test_a_worker_that_does_not_start_is_tried_again(tmp_path, model):
    camera = Camera(tmp_path, "good")
    camera.service._command = (str(tmp_path / "nothing"),)
    async with running(camera):
        await until(lambda: len(camera.pauses) >= 2)
    assert "does not start" in camera.healths[-1].reason or "does not start" in camera.healths[-2].reason


def test_the_worker_is_told_what_the_store_says(tmp_path):
    own = {"path": "/models/own.onnx", "sha256": "0" * 64, "licence": "MIT"}
    camera = Camera(tmp_path, "good", fps=7, fit="stretch", read_codes_every=4, line=(0, 0.4, 1, 0.4), detector=own)
    import msgspec

    from edge.vision.messages import WorkerConfig

    told = msgspec.json.decode(camera.service._worker_config(), type=WorkerConfig)
    assert (told.camera, told.source, told.fps, told.fit, told.read_codes_every) == (
        "front",
        "sim://x",
        7,
        "stretch",
        4,
    )
    assert told.line == (0, 0.4, 1, 0.4)
    assert (told.model.path, told.model.sha256, told.model.licence) == ("/models/own.onnx", "0" * 64, "MIT")
