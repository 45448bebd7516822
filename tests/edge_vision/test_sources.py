"""Frame sources: the newest picture of a moment, by the scheme of the URL."""

import cv2
import numpy as np
import pytest

from contracts.clock import ManualClock
from edge.vision import sources
from edge.vision.sources import SourceError, VideoFile, open_source

FRAMES, FPS = 20, 10


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Two seconds of ten frames each; frame n is as bright as 10 + 10 n."""
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (64, 48))
    for n in range(FRAMES):
        writer.write(np.full((48, 64, 3), 10 + 10 * n, np.uint8))
    writer.release()
    return path


def number(image) -> int:
    """Which frame a picture of the clip is."""
    return round((float(image.mean()) - 10) / 10)


def test_a_file_plays_by_store_time_and_skips_what_nobody_asked_for(video):
    clock = ManualClock()
    clock.step(100)
    source = open_source(f"file://{video}?once=1", clock)
    seen = [number(source.image(100 + t)) for t in (0, 0.05, 0.1, 0.55, 0.56, 1.9)]
    assert seen == [0, 0, 1, 5, 5, 19]
    assert source.image(102.05) is None
    assert source.image(200) is None
    source.close()
    source.close()


def test_a_file_goes_round_like_a_camera_that_never_ends(video):
    source = open_source(str(video), ManualClock())  # a bare path
    assert [number(source.image(t)) for t in (0, 1.95, 2.0, 2.35, 4.0, 9.1)] == [0, 19, 0, 3, 0, 11]
    source.close()


def test_a_moment_before_the_start_is_the_first_frame(video):
    clock = ManualClock()
    clock.step(5)
    source = VideoFile.open(str(video), clock)
    assert number(source.image(4.9)) == 0
    source.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("/nowhere/clip.avi", "no such video file"),
        ("file:///nowhere/clip.avi", "no such video file"),
        (__file__, "not a video"),
        ("cam://camera/1", "cam://camera/1: no camera source has this scheme; there is: file, http"),
        ("cam://me:s3cret@camera/1", "^…@camera/1: no camera source"),  # what was meant as a login is not repeated
        ("rtsp://me:s3cret@127.0.0.1:1/1", "^camera rtsp://127.0.0.1:1/…: no connection .Connection refused.$"),
        ("sim://entrance?sed=1", "as parameters"),  # a misspelt parameter
        ("sim://", "sim://NAME"),
        ("sim://entrance?rate=99999", "rate is 0..3600"),
        ("sim://entrance?seed=x", "invalid literal"),
    ],
)
def test_a_source_that_cannot_be_opened_says_what_to_mend(url, says):
    with pytest.raises(SourceError, match=says):
        open_source(url, ManualClock())


def test_the_simulated_camera_is_found_by_its_entry_point():
    source = open_source("sim://entrance?seed=3", ManualClock())
    assert source.image(12.0).shape == (384, 640, 3)
    source.close()


def test_a_third_party_adds_a_scheme_by_an_entry_point(monkeypatch):
    class Point:
        name = "mine"

        @staticmethod
        def load():
            return lambda url, clock: (url, clock)

    monkeypatch.setattr(sources, "entry_points", lambda group: [Point] if group == "zhanggui.camera_sources" else [])
    clock = ManualClock()
    assert open_source("mine://1", clock) == ("mine://1", clock)
