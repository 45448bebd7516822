"""The worker: newest frame only, honest about what it skipped, silent about what it sees, gone with its parent."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from contracts.clock import ManualClock
from edge.vision import worker
from edge.vision.messages import CodeSeen, Crossing, Ended, Health, Interval, Started, WorkerConfig, decode
from edge.vision.worker import Worker
from models.person import Detection
from tests.models.test_codes import TEXT, drawn

ROOT = Path(__file__).parents[2]
CONFIG = {"camera": "c", "source": "sim://entrance?seed=1&rate=600", "fps": 5, "line": [0, 0.55, 1, 0.55]}
BLANK = np.zeros((384, 640, 3), np.uint8)


def config(**changes) -> WorkerConfig:
    return WorkerConfig(**{**CONFIG, "line": tuple(CONFIG["line"]), **changes})


class Source:
    """Gives `frames` pictures, then no more; keeps the seconds that were asked for."""

    def __init__(self, frames: int, image=BLANK) -> None:
        self.left, self.asked, self.picture = frames, [], image

    def image(self, at_s):
        self.asked.append(at_s)
        self.left -= 1
        return self.picture if self.left >= 0 else None

    def close(self):
        pass


class Walker:
    """A detector that sees one person walk down once; each look takes `takes_s` of the clock."""

    def __init__(self, clock: ManualClock, *, takes_s: float = 0.0, speed: float = 0.25) -> None:
        self.clock, self.takes_s, self.speed = clock, takes_s, speed

    def detect(self, image):
        y = (0.1 + self.clock.now_s() * self.speed) * 384
        self.clock.step(self.takes_s)
        return () if y > 400 else (Detection(300, y - 60, 380, y + 60, 0.9),)


async def play(frames: int, *, takes_s: float = 0.0, image=BLANK, real_s=lambda: 0.0, **changes):
    """Run a worker to the end of its source; what it said, and which seconds it asked for."""
    clock, said = ManualClock(), []
    source = Source(frames, image)
    running = asyncio.create_task(
        Worker(
            config=config(**changes),
            clock=clock,
            source=source,
            detector=Walker(clock, takes_s=takes_s),
            emit=said.append,
            real_s=real_s,
        ).run()
    )
    while not running.done():
        await clock.advance(0.05)
    await running
    return said, source.asked


async def test_someone_walks_in_and_is_said_once():
    said, asked = await play(25)
    assert said[0] == Started()
    assert [m.direction for m in said if isinstance(m, Crossing)] == ["in"]
    assert isinstance(said[-1], Ended)
    last = said[-2]
    assert (last.entered, last.left, last.frames, last.skipped, last.quality) == (1, 0, 25, 0, 1.0)
    assert asked == pytest.approx([0.2 * (i + 1) for i in range(26)])


async def test_a_slow_model_skips_frames_and_says_so():
    """A look takes 0.5 s at 5 frames a second: of each three frames one is seen, and it is the newest."""
    said, asked = await play(10, takes_s=0.5)
    gaps = [b - a for a, b in itertools.pairwise(asked)]
    assert all(0.39 < gap < 0.61 for gap in gaps)
    interval = next(m for m in said if isinstance(m, Interval))
    assert interval.frames == 10
    assert interval.skipped == pytest.approx((asked[9] - asked[0]) * 5 - 9, abs=1)
    assert interval.quality < 0.5


async def test_each_minute_is_told_when_it_is_over():
    said, _ = await play(330)
    intervals = [m for m in said if isinstance(m, Interval)]
    assert len(intervals) == 2
    assert [m.frames for m in intervals] == [299, 31]
    assert sum(m.entered for m in intervals) == 1


async def test_health_by_real_time_with_the_age_of_the_frame():
    ticks = iter(range(10_000))
    said, _ = await play(30, takes_s=0.1, real_s=lambda: float(next(ticks)))
    health = [m for m in said if isinstance(m, Health)]
    assert health
    assert all(0.1 <= m.frame_age_s < 0.2 and m.rss_bytes > 1 << 20 and m.fps > 0 for m in health)


@pytest.mark.parametrize(
    ("every", "seen"),
    [(0, 0), (1, 6), (3, 2)],  # never; each frame; each third
)
async def test_codes_are_looked_for_as_often_as_wished(every, seen):
    said, _ = await play(6, image=drawn(), read_codes_every=every)
    codes = [m for m in said if isinstance(m, CodeSeen)]
    assert codes == [CodeSeen(text=TEXT, format="QRCode")] * seen


async def test_a_picture_too_large_for_codes_is_still_counted():
    said, _ = await play(2, image=np.zeros((5000, 16, 3), np.uint8), read_codes_every=1)
    assert not [m for m in said if isinstance(m, CodeSeen)]
    assert said[-2].frames == 2


# ------------------------------------------------------------------ the process


def start(options: dict, **kwargs) -> subprocess.Popen:
    command = [sys.executable, "-m", "edge.vision.worker", "--config", json.dumps(options)]
    return subprocess.Popen(
        [*command, "--parent", str(os.getpid())], cwd=ROOT, stdout=subprocess.PIPE, text=True, **kwargs
    )


def test_the_real_process_counts_and_says_lines_alone(person_weight):
    process = start(CONFIG)
    try:
        first = decode(process.stdout.readline().encode())
        second = decode(process.stdout.readline().encode())
    finally:
        process.kill()
        process.wait()
    assert first == Started()
    assert isinstance(second, Health | Crossing | Interval)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"source": "sim://"}, "sim://NAME"),  # a wrong URL
        ({"source": "/nowhere.mp4"}, "no such video file"),
        ({"fps": 0}, "fps"),  # a wrong configuration
        ({"line": [0.5, 0.5, 0.5, 0.5]}, "same place"),  # a line that is a point
        ({"model": {"path": "/nowhere.onnx", "sha256": "0" * 64, "licence": "MIT"}}, "nowhere.onnx cannot be read"),
        ({"model": {"path": __file__, "sha256": "0" * 64, "licence": "MIT"}}, "is altered"),
        ({"model": {"path": __file__, "sha256": "0" * 64, "licence": ""}}, "no licence"),
    ],
)
def test_a_worker_that_may_not_run_says_why(capfd, monkeypatch, changes, says):
    monkeypatch.setattr(os, "nice", lambda _: 0)
    if "model" not in changes:
        monkeypatch.setattr(worker.PersonDetector, "load", lambda **_: None)
    kept = os.dup(1)
    try:
        assert worker.main(["--config", json.dumps({**CONFIG, **changes})]) == worker.EXIT_REFUSED
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    said = decode(capfd.readouterr().out.encode())
    assert isinstance(said, Ended)
    assert says in said.reason


def test_the_worker_runs_to_the_end_of_a_recording(capfd, monkeypatch, tmp_path):
    """`main` as a whole: a recording played once, a detector that sees nobody, a library that prints."""
    import cv2

    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(5):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()

    class Nobody:
        def detect(self, image):
            os.write(1, b"[h264] a library prints to stdout\n")
            return ()

    monkeypatch.setattr(os, "nice", lambda _: 0)
    monkeypatch.setattr(worker.PersonDetector, "load", lambda **_: Nobody())
    kept = os.dup(1)
    try:
        assert worker.main(["--config", json.dumps({**CONFIG, "fps": 30, "source": f"file://{path}?once=1"})]) == 0
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    out = capfd.readouterr()
    said = [decode(line.encode()) for line in out.out.splitlines()]
    assert [type(m) for m in said] == [Started, Interval, Ended]
    assert "a library prints" in out.err


def test_nobody_listens_any_more(monkeypatch):
    def broken(_):
        raise BrokenPipeError

    monkeypatch.setattr(os, "nice", lambda _: 0)
    monkeypatch.setattr(worker, "own_stdout", lambda: broken)
    monkeypatch.setattr(worker.PersonDetector, "load", lambda **_: None)
    assert worker.main(["--config", json.dumps(CONFIG)]) == 0


def test_a_parent_that_is_gone_already_means_exit():
    code = "from edge.vision.worker import die_with_parent; die_with_parent(1 << 22); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (worker.EXIT_REFUSED, b"")


def test_the_worker_dies_when_its_parent_is_killed():
    """A parent starts a worker's first step and is killed with SIGKILL; the child ends by the kernel's hand."""
    child = (
        "import os,time; from edge.vision.worker import die_with_parent; die_with_parent(os.getppid());"
        "print(os.getpid(), flush=True); time.sleep(600)"
    )
    code = f"import subprocess,sys; subprocess.run([sys.executable, '-c', {child!r}])"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    os.kill(pid, 0)  # it lives
    parent.kill()
    parent.wait()
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists() or "zombie" in Path(f"/proc/{pid}/status").read_text():
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the worker outlived its parent")


WATCHED = """
import os, sys
sys.path.insert(0, sys.argv[1])
import json, threading
import cv2, numpy, skimage, models.sessions  # what is watched begins after the imports
from edge.vision import worker
from models.person import Detection
seen = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "subprocess.Popen", "os.exec", "os.posix_spawn"):
        seen.append((event, str(arguments)))
    if event == "open":
        path, mode, flags = arguments
        if (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            seen.append((event, str(path)))
for name in ("imwrite", "imencode", "VideoWriter", "imshow"):
    setattr(cv2, name, lambda *a, **k: seen.append(("cv2", "wrote")))
class Somebody:
    n = 0
    def detect(self, image):
        Somebody.n += 1
        if Somebody.n == 12:
            leaves = {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")}
            sys.stderr.write(json.dumps({"events": seen, "frames": Somebody.n, "fds": sorted(leaves)}) + chr(10))
            sys.stderr.flush()
            os._exit(0)
        return (Detection(300, 20.0 * Somebody.n, 380, 20.0 * Somebody.n + 120, 0.9),)
worker.PersonDetector.load = classmethod(lambda cls, **_: Somebody())
worker.read_codes(numpy.zeros((9, 9), numpy.uint8))
worker.open_source("sim://warm", worker.clock_from_env()).image(1.0)
sys.addaudithook(watch)
worker.main(["--config", sys.argv[2]])
"""


def test_no_frame_is_ever_written_or_sent(tmp_path):
    """P01, P04: while frames are looked at, the process opens nothing for writing, connects nowhere, starts nobody;
    what it says on its output is smaller than any picture."""
    environment = {**os.environ, "ZHANGGUI_CACHE": str(tmp_path), "TMPDIR": str(tmp_path)}
    environment.pop("ZHANGGUI_CAMERA_TRUTH", None)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(ROOT), json.dumps({**CONFIG, "fps": 20, "read_codes_every": 2})],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=True,
        timeout=60,
    )
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["frames"] == 12
    assert told["events"] == []
    assert len([fd for fd in told["fds"] if fd.startswith("socket:")]) <= 2, "more than the event loop's own pair"
    assert list(tmp_path.iterdir()) == []
    assert len(done.stdout) < 1000
    assert all(decode(line) for line in done.stdout.splitlines())
