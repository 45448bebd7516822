"""People: the decoding of the network's answer, by an answer made by hand, and the real network on photographs."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from skimage import data

from models import verify
from models.errors import ConversionError
from models.person import MAX_DETECTIONS, Detection, PersonDetector, suppress_overlaps
from models.probe import check, fixed_input
from models.registry import OwnFile, cache_dir, entry_of, manifest, sha256_of
from models.sessions import open_session, session_of

ENTRY = entry_of("person")
ROOT = Path(__file__).parents[2]
SIDES = {8: 52, 16: 26, 32: 13}


class Answer:
    """A session that answers with what the test put there, and keeps the input it was given."""

    def __init__(self, *, drop: str = "") -> None:
        self.scores = {s: np.full((1, n * n, 80), 0.01, np.float32) for s, n in SIDES.items()}
        self.sides = {s: np.zeros((1, n * n, 44), np.float32) for s, n in SIDES.items()}
        self.drop = drop
        self.input = None

    def get_inputs(self):
        return [SimpleNamespace(name="picture", shape=[1, 3, 416, 416])]

    def get_outputs(self):
        all_of = {f"{kind}{s}": getattr(self, kind)[s].shape for kind in ("scores", "sides") for s in SIDES}
        return [SimpleNamespace(name=n, shape=list(shape)) for n, shape in all_of.items() if n != self.drop]

    def run(self, names, inputs):
        self.input = inputs["picture"].copy()
        by_name = {f"{kind}{s}": getattr(self, kind)[s] for kind in ("scores", "sides") for s in SIDES}
        return [by_name[name] for name in names]

    def put(self, stride, column, row, distances, score, *, kind=0):
        """A box around the middle of a cell; `distances` are strides to left, top, right, bottom."""
        cell = row * SIDES[stride] + column
        self.scores[stride][0, cell, kind] = score
        for side, distance in enumerate(distances):
            low = int(distance)
            part = distance - low  # two neighbouring bins whose expected value is the distance
            bins = np.full(11, -40.0)
            bins[low] = np.log(max(1 - part, 1e-9))
            if part:
                bins[low + 1] = np.log(part)
            self.sides[stride][0, cell, side * 11 : side * 11 + 11] = bins


def picture(width=832, height=416):
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("fit", "stride", "cell", "distances", "box"),
    [
        # Letterbox of 832x416: one pixel of the network is two of the picture, both ways
        ("letterbox", 8, (10, 5), (1, 2, 3, 4), (2 * (84 - 8), 2 * (44 - 16), 2 * (84 + 24), 2 * (44 + 32))),
        ("letterbox", 16, (10, 5), (1, 2, 3, 1.5), (2 * (168 - 16), 2 * (88 - 32), 2 * (168 + 48), 2 * (88 + 24))),
        ("letterbox", 32, (6, 3), (2.25, 1, 2.25, 1), (2 * (208 - 72), 2 * (112 - 32), 2 * (208 + 72), 2 * (112 + 32))),
        # Stretched: two across, one down
        ("stretch", 8, (10, 5), (1, 2, 3, 4), (2 * (84 - 8), 44 - 16, 2 * (84 + 24), 44 + 32)),
        # Beyond the picture: cut at its edges
        ("letterbox", 32, (0, 0), (10, 10, 1, 1), (0, 0, 96, 96)),
        ("stretch", 32, (12, 12), (0, 0, 9, 9), (800, 400, 832, 416)),
    ],
)
def test_a_box_lies_where_the_distances_say(fit, stride, cell, distances, box):
    answer = Answer()
    answer.put(stride, *cell, distances, 0.9)
    (found,) = PersonDetector(answer, ENTRY, fit=fit).detect(picture())
    assert (found.x1, found.y1, found.x2, found.y2) == pytest.approx(box, abs=0.01)
    assert found.score == pytest.approx(0.9)


def test_only_people_above_the_threshold_best_first():
    answer = Answer()
    answer.put(8, 5, 5, (1, 1, 1, 1), 0.36)
    answer.put(8, 30, 5, (1, 1, 1, 1), 0.80)
    answer.put(8, 40, 5, (1, 1, 1, 1), 0.35)  # at the threshold: not above it
    answer.put(8, 20, 20, (1, 1, 1, 1), 0.99, kind=2)  # a car
    assert [round(d.score, 2) for d in PersonDetector(answer, ENTRY).detect(picture())] == [0.80, 0.36]
    assert len(PersonDetector(answer, ENTRY, threshold=0.3).detect(picture())) == 3


def test_nobody_is_an_empty_tuple():
    assert PersonDetector(Answer(), ENTRY).detect(picture()) == ()


def test_a_crowd_is_capped():
    answer = Answer()
    for column in range(0, 52, 3):
        for row in range(0, 52, 3):
            answer.put(8, column, row, (1, 1, 1, 1), 0.5)
    assert len(PersonDetector(answer, ENTRY).detect(picture(416, 416))) == MAX_DETECTIONS


def test_the_picture_is_normalised_and_the_rest_is_black():
    answer = Answer()
    detector = PersonDetector(answer, ENTRY)
    image = np.full((208, 416, 3), (10, 20, 30), np.uint8)  # blue, green, red
    detector.detect(image)
    mean, std = np.array(ENTRY.mean), np.array(ENTRY.std)
    np.testing.assert_allclose(answer.input[0, :, 100, 100], (np.array([10, 20, 30]) - mean) / std, atol=1e-5)
    np.testing.assert_allclose(answer.input[0, :, 300, 100], -mean / std, atol=1e-5)
    detector.detect(np.full((416, 208, 3), 200, np.uint8))  # another shape leaves nothing of the first behind
    np.testing.assert_allclose(answer.input[0, :, 100, 300], -mean / std, atol=1e-5)


@pytest.mark.parametrize(
    ("boxes", "kept"),
    [
        ([(0, 0, 10, 10, 0.9), (1, 0, 11, 10, 0.8)], [0]),  # the same person twice
        ([(0, 0, 10, 10, 0.8), (1, 0, 11, 10, 0.9)], [1]),  # the surer one stays
        ([(0, 0, 10, 10, 0.9), (10, 0, 20, 10, 0.8)], [0, 1]),  # shoulder to shoulder
        ([(0, 0, 10, 10, 0.9), (5, 0, 15, 10, 0.8)], [0, 1]),  # a third of overlap: two people
        # the middle one goes, and with it gone the third overlaps nobody
        ([(0, 0, 10, 10, 0.9), (2, 0, 12, 10, 0.8), (4, 0, 14, 10, 0.7)], [0, 2]),
        ([(0, 0, 0, 0, 0.9), (0, 0, 0, 0, 0.8)], [0, 1]),  # empty boxes overlap nothing
    ],
)
def test_suppression(boxes, kept):
    values = np.array(boxes, np.float32)
    assert suppress_overlaps(values[:, :4], values[:, 4], 0.5) == kept


def test_a_file_that_is_no_nanodet_is_refused():
    with pytest.raises(ConversionError, match="no NanoDet"):
        PersonDetector(Answer(drop="sides16"), ENTRY)
    with pytest.raises(ConversionError, match="ONNX Runtime refuses"):
        open_session(b"not a model")


@pytest.mark.parametrize(
    ("expected", "fits"),
    [
        ((("a", 1, 5.0),), True),
        ((("a", 1, 5.0005),), True),  # within the tolerance
        ((("a", 1, 5.1),), False),  # another number
        ((("a", 9, 5.0),), False),  # beyond the end
        ((("b", 0, 5.0),), False),  # no such output
    ],
)
def test_the_probe(expected, fits):
    outputs = {"a": np.array([[4.0, 5.0]])}
    if fits:
        check("person", outputs, expected, 0.001)
    else:
        with pytest.raises(ConversionError, match="is not used"):
            check("person", outputs, expected, 0.001)


def test_a_number_that_is_none_fails_the_probe():
    with pytest.raises(ConversionError):
        check("person", {"a": np.array([np.nan])}, (("a", 0, 5.0),), 1e9)


def test_the_runtime_sends_nothing_home(tmp_path):
    """ONNX Runtime's packages report usage from their import on unless they are told not to before: what that leaves
    behind (a device id, a queue of reports) must not appear, and no other file may import it unguarded."""
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    code = "import models.sessions, os; print(os.environ['ORT_DISABLE_TELEMETRY'], len(os.listdir('/proc/self/task')))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**environment, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[0] == "1"
    assert list(tmp_path.rglob("*")) == []
    rooms = [
        path
        for room in ("models", "edge", "simulators", "cloud_bridge", "zhanggui")
        for path in (ROOT / room).rglob("*.py")
    ]
    assert [path.name for path in rooms if "import onnxruntime" in path.read_text()] == ["sessions.py"]


# ------------------------------------------------------------------ the real network


def bgr(name: str) -> np.ndarray:
    image = getattr(data, name)()
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR)


@pytest.mark.parametrize(
    ("name", "people"),
    [("camera", 1), ("astronaut", 1), ("coffee", 0), ("chelsea", 0), ("rocket", 0), ("coins", 0), ("page", 0)],
)
def test_the_real_network_on_photographs(detector, name, people):
    sure = [found for found in detector.detect(bgr(name)) if found.score >= ENTRY.threshold]
    assert len(sure) == people
    assert all(isinstance(found, Detection) for found in sure)


def test_the_real_box_is_around_the_man(detector):
    (man,) = [found for found in detector.detect(bgr("camera")) if found.score >= ENTRY.threshold]
    assert (man.x1, man.y1, man.x2, man.y2) == pytest.approx((3, 68, 318, 512), abs=15)


def test_a_converted_file_that_is_altered_is_made_anew(person_weight, tmp_path, monkeypatch):
    for path in person_weight.files:  # the same weights in a cache of their own
        target = tmp_path / "weights" / path.parent.name / path.name
        target.parent.mkdir(parents=True)
        target.write_bytes(path.read_bytes())
    monkeypatch.setenv("ZHANGGUI_CACHE", str(tmp_path))
    assert verify("person").ok
    (kept,) = (cache_dir() / "converted").iterdir()
    whole = kept.read_bytes()
    for broken in (whole[: len(whole) // 2], b""):  # torn by a kill; emptied by a full disk
        kept.write_bytes(broken)
        assert verify("person").ok
        assert kept.read_bytes() == whole


def test_numbers_that_differ_from_the_manifest_refuse_the_model(person_weight):
    import msgspec

    wrong = msgspec.structs.replace(ENTRY, probe=(("out:Identity_2", 5705, 0.6),))
    found = verify("person", entries={**manifest(), "person": wrong})
    assert (found.ok, found.state) == (False, "wrong")
    assert "is not used" in found.reason


def test_an_operators_own_file_runs_instead(person_weight, detector):
    session_of("person")
    (own,) = (cache_dir() / "converted").iterdir()
    loaded = PersonDetector.load(own=OwnFile(own, sha256_of(own), "Apache-2.0"))
    assert len(loaded.detect(bgr("camera"))) == 1


def test_the_fixed_input_is_fixed():
    values = fixed_input((1, 3, 4, 4)).ravel()
    np.testing.assert_allclose(values[:4], [-2.0, -1.516552, -1.033103, -0.549655], atol=1e-5)
    assert abs(values).max() <= 2
