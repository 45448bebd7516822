"""Network cameras as a store meets them: the simulated entrance over RTSP and HTTP, through FFmpeg, with every fault.

The server is written from the RFCs and FFmpeg is nobody's of ours, so each is the other's independent witness.
"""

import asyncio
import json
import os
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from random import Random
from urllib.parse import quote

import numpy as np
import pytest
import trustme

from contracts.clock import ManualClock
from device_drivers.camera.url import CameraUrl
from device_drivers.errors import UnavailableError
from edge.config import CameraConfig
from edge.vision import CameraService, network, worker
from edge.vision.messages import Ended, Health, Started, decode
from edge.vision.network import NetworkStream, StreamEndedError, open_stream
from edge.vision.sources import SourceError, open_source
from tests.edge_vision.network_bench import camera, endless, frame, number, quick

ROOT = Path(__file__).parents[2]
USER, PASSWORD = "qx7user", "zk9:p@s/s ä%"
PROBED = 40  # more frames than FFmpeg looks at before it calls a stream open
JPEG_LOSS = 3.0  # grey levels, on the average


def address(there, scheme: str, *, login: bool = False) -> str:
    who = f"{USER}:{quote(PASSWORD, safe='')}@" if login else ""
    match scheme:
        case "rtsp":
            return f"rtsp://{who}127.0.0.1:{there.rtsp_port}/entrance"
        case "http":
            return f"http://{who}127.0.0.1:{there.http_port}/video.mjpg"
        case "rtsps":
            return f"rtsps://{who}127.0.0.1:{there.rtsp_port}/entrance"
        case "https":
            return f"https://{who}127.0.0.1:{there.http_port}/video.mjpg"
        case _:
            return f"onvif://{who}127.0.0.1:{there.http_port}/mainStream"


def seen(stream: NetworkStream, frames: int) -> None:
    """Wait until so many frames have come out of FFmpeg."""
    with stream._news:
        assert stream._news.wait_for(lambda: stream.counters["frames"] >= frames, 30.0)


def to_the_end(stream: NetworkStream) -> None:
    """Take pictures until the stream says why there are no more."""
    while True:
        stream.image(0.0)


@pytest.mark.parametrize("scheme", ["rtsp", "http", "onvif"])
def test_what_was_sent_is_what_is_seen_in_order(scheme):
    """Entrance, JPEG, wire, login, FFmpeg, our source: each picture is the one that was sent under its number."""
    with camera(user=USER, password=PASSWORD, allowed=PROBED) as there:
        source = open_source(address(there, scheme, login=True), ManualClock())
        try:
            numbers = []
            for allowed in range(PROBED + 1, PROBED + 21):
                image = source.image(0.0)
                numbers.append(number(image))
                there.gate.allow(allowed)
                assert np.abs(image.astype(int) - frame(numbers[-1])).mean() < JPEG_LOSS
            assert numbers == sorted(set(numbers)), "none twice, none older than the one before"
        finally:
            source.close()
        assert there.doorman.refused == 0


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_pitfall_25_who_asks_late_gets_the_newest_and_what_lay_between_is_counted(scheme):
    with camera(allowed=PROBED) as there:
        stream = open_stream(CameraUrl.parse(address(there, scheme)))
        try:
            while number(stream.image(0.0)) < PROBED - 1:
                pass  # until all that was sent is seen
            unseen = stream.counters["unseen"]
            there.gate.allow(PROBED + 100)  # and now the model is slow
            seen(stream, stream.counters["frames"] + 100)
            assert number(stream.image(0.0)) == PROBED + 99, "a slow reader works on no old frame"
            assert stream.counters["unseen"] == unseen + 99
            assert stream._newest is None, "one picture is held, never a queue"
        finally:
            stream.close()


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_camera_gone_wild_costs_no_memory_and_no_order(scheme):
    """As many frames as the line carries: they are drained, one is kept, and numbers only grow."""
    with camera(picture=endless) as there:
        stream = open_stream(CameraUrl.parse(address(there, scheme)))
        try:
            seen(stream, 200)
            before = worker.rss_bytes()
            seen(stream, 800)
            assert stream.counters["unseen"] >= 790
            assert worker.rss_bytes() - before < 16 << 20
        finally:
            stream.close()


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"stall_at": PROBED + 5}, "no picture for"),  # in the middle of a frame
        ({"noise": True}, "nothing that can be read|no picture for"),  # FFmpeg may look for a frame in it until the end
    ],
    ids=["stall", "noise"],
)
def test_pitfall_24_a_stream_that_breaks_ends_with_a_reason(scheme, fault, says, monkeypatch):
    monkeypatch.setattr(network, "STALL_S", 2.0)
    with camera(allowed=PROBED) as there:
        stream = open_stream(CameraUrl.parse(address(there, scheme)))
        try:
            for name, value in fault.items():
                setattr(there.faults, name, value)
            there.gate.allow(1 << 30)
            with pytest.raises(StreamEndedError, match=says):
                to_the_end(stream)
        finally:
            stream.close()
        assert not stream._thread.is_alive()


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_cable_pulled_out_ends_the_stream_at_once(scheme):
    with camera(allowed=PROBED) as there:
        stream = open_stream(CameraUrl.parse(address(there, scheme)))
        try:
            stream.image(0.0)
            there.loop.call_soon_threadsafe(there.hang_up)
            with pytest.raises(StreamEndedError, match="hung up"):
                to_the_end(stream)
        finally:
            stream.close()


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
@pytest.mark.parametrize("close", ["accepting", "playing"])
def test_a_camera_that_hangs_up_at_once_is_said(scheme, close):
    with camera() as there:
        there.faults.close = close
        with pytest.raises(SourceError, match=r"gives no stream|no picture in it"):
            open_source(address(there, scheme), ManualClock())


def test_a_teardown_that_hangs_holds_nobody():
    with camera(allowed=PROBED) as there:
        there.faults.hang_on_teardown = True
        stream = open_stream(CameraUrl.parse(address(there, "rtsp")))
        stream.close()
        stream.close()
        assert not stream._thread.is_alive()


@pytest.mark.parametrize("scheme", ["rtsps", "https"])
def test_over_tls(scheme):
    """A certificate that the camera signed itself: as documented, it hides the pictures and proves nobody."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with camera(user=USER, password=PASSWORD, picture=endless, pace=quick, tls=tls) as there:
        stream = open_stream(CameraUrl.parse(address(there, scheme, login=True)))
        try:
            assert number(stream.image(0.0)) < 32
        finally:
            stream.close()


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_camera_that_sends_us_elsewhere_is_not_followed(scheme):
    with camera(user=USER, password=PASSWORD) as there, camera() as elsewhere:
        there.faults.redirect = address(elsewhere, scheme)
        with pytest.raises(UnavailableError):
            open_stream(CameraUrl.parse(address(there, scheme, login=True)))
        assert elsewhere.requests == []


class Hung:
    """An FFmpeg that never comes back, whatever is asked of it."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def grab(self):
        self.let_go.wait()
        return False

    def release(self):
        pass


def test_an_ffmpeg_that_never_comes_back_holds_nobody(monkeypatch):
    """The one thing that cannot be had for real on demand: then closing gives up, and the process ends anyway."""
    monkeypatch.setattr(network, "CLOSE_S", 0.05)
    hung = Hung()
    stream = NetworkStream(hung, name="x")
    stream.close()
    assert stream._thread.is_alive()
    assert stream._thread.daemon
    hung.let_go.set()
    stream._thread.join(30)


# ------------------------------------------------------------------ in a process of its own

# The detector is left out: this is about the stream. What a person would see of the process is all here.
CHILD = """
import sys
from edge.vision import worker
class Nobody:
    def detect(self, image): return ()
worker.PersonDetector.load = lambda **_: Nobody()
worker.HEALTH_EVERY_S = 0.2
status = worker.main(sys.argv[1:])
import ctypes, os
ctypes.CDLL(None).fflush(None)  # what the libraries still hold is printed too
os._exit(status)
"""


def start(options: dict, child: str = CHILD) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", child, "--config", "-", "--parent", str(os.getpid())],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OPENCV_FFMPEG_DEBUG": "1", "OPENCV_LOG_LEVEL": "VERBOSE", "OPENCV_FFMPEG_LOGLEVEL": "56"},
    )
    process.stdin.write(json.dumps({"camera": "c", "fps": 30, "line": [0, 0.5, 1, 0.5], **options}).encode())
    process.stdin.close()
    process.stdin = None  # communicate() would flush it
    return process


def secrets() -> list[bytes]:
    both = [USER, PASSWORD, quote(PASSWORD), quote(PASSWORD, safe="")]
    return [form for x in both for form in (x.encode(), x.encode("unicode_escape"), x.upper().encode())] + [b"zk9"]


@pytest.mark.parametrize("scheme", ["rtsp", "http", "onvif"])
def test_a_refused_login_says_so_and_shows_nobody(scheme):
    """Whatever the environment asks the libraries to print, neither log nor reason holds the login."""
    with camera(user="somebody", password="else") as there:
        process = start({"source": address(there, scheme, login=True)})
        out, err = process.communicate(timeout=60)
        assert there.doorman.refused > 0
    assert process.returncode == worker.EXIT_REFUSED
    said = decode(out.splitlines()[-1])
    assert isinstance(said, Ended)
    assert "login" in said.reason
    assert "127.0.0.1" in said.reason
    for secret in secrets():
        assert secret not in out
        assert secret not in err


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_library_that_is_not_hushed_would_be_seen(scheme):
    """The planted leak: without our settings FFmpeg prints who logs in, and the test above has eyes for it."""
    child = CHILD.replace("class Nobody", "from edge.vision import network\nnetwork._hush = lambda: None\nclass Nobody")
    with camera(user="somebody", password="else") as there:
        out, err = start({"source": address(there, scheme, login=True)}, child).communicate(timeout=60)
    assert any(secret in out + err for secret in secrets())


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_unreadable_frames_are_counted_and_the_rest_is_seen(scheme, tmp_path):
    """Each fifth picture is noise; the login comes out of a file, and the command line holds none."""
    login = tmp_path / "login"
    login.write_text(f"{USER}:{PASSWORD}\n")
    login.chmod(0o600)
    with camera(user=USER, password=PASSWORD, picture=endless, pace=quick) as there:
        there.faults.garbage_every = 5
        process = start({"source": address(there, scheme), "login_file": str(login)})
        try:
            garbage, fps, kinds = 0, 0.0, []
            while garbage < 20 or fps == 0.0:
                line = process.stdout.readline()
                assert line, process.stderr.read()
                message = decode(line)
                kinds.append(type(message))
                if isinstance(message, Health):
                    garbage += message.garbage
                    fps = max(fps, message.fps)
            assert kinds[0] is Started
            assert not any(s in Path(f"/proc/{process.pid}/cmdline").read_bytes() for s in secrets())
        finally:
            process.kill()
            _, err = process.communicate()
    assert not any(secret in err for secret in secrets())


async def test_the_supervisor_brings_a_camera_back(monkeypatch, tmp_path):
    """A worker over RTSP: up, hung up upon, offline with the reason, up again; the pause grows from a small one."""
    monkeypatch.setattr("edge.vision.service.locate", lambda *_, **__: ())
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    told, pauses = [], []
    with camera(user=USER, password=PASSWORD, picture=endless, pace=quick) as there:
        config = {"kind": "camera", "id": "front", "sign_confirmed_at": "2026-01-01"}

        async def pause(wait_s: float) -> None:
            pauses.append(wait_s)

        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        service = CameraService(
            camera=CameraConfig(**config, source=address(there, "rtsp", login=True)),
            clock=ManualClock(),
            on_crossing=lambda _: None,
            on_interval=lambda _: None,
            on_health=told.append,
            rng=Random(1),
            command=(sys.executable, str(child)),
            pause=pause,
        )
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            running = group.create_task(service.run())
            while not service.counters["unseen"]:
                await asyncio.sleep(0.02)
            there.loop.call_soon_threadsafe(there.hang_up)
            while [h.state for h in told][-1] != "online" or not service.counters["restarts"]:
                await asyncio.sleep(0.02)
            running.cancel()
    reason = next(h.reason for h in told if h.state == "offline")
    assert "hung up" in reason
    assert USER not in reason
    assert 0 <= pauses[0] <= 0.5
