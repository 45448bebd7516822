"""The camera: the same second is the same picture, the truth file is complete, and the real pipeline counts it."""

import json
from collections import Counter

import numpy as np
import pytest

from contracts.clock import ManualClock
from edge.vision.pipeline import Pipeline
from simulators.camera import Plan, SimulatedCamera, open_source
from simulators.camera.picture import HEIGHT, WIDTH, background, picture

START_S = 1_700_000_040.0


def busy(plan: Plan, from_s: float = START_S) -> float:
    """A second in which somebody is in the middle of the picture."""
    for i in range(20_000):
        at_s = from_s + i / 10
        if any(0.4 < visit.place(at_s)[1] < 0.6 for visit in plan.visits(at_s)):
            return at_s
    raise AssertionError("nobody came")


def test_a_second_is_the_same_picture_in_every_camera():
    at_s = busy(Plan(seed=4))
    image = picture(Plan(seed=4), at_s)
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, open_source("sim://door?seed=4", ManualClock()).image(at_s))
    assert (image != background()).any()
    assert (picture(Plan(seed=4), at_s + 0.5) != image).any()


def test_an_empty_store_shows_its_floor_and_the_caller_may_draw_on_it():
    image = picture(Plan(rate=0), START_S)
    np.testing.assert_array_equal(image, background())
    image[:] = 0
    assert background().any()


def test_figures_come_and_go_over_the_edges():
    """From the first to the last second of a visit, in steps of a tenth: always a whole picture."""
    plan = Plan(seed=4, rate=600)
    for i in range(600):
        assert picture(plan, START_S + i / 10).shape == (HEIGHT, WIDTH, 3)


def truths(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_truth_file_holds_every_crossing_once_over_restarts(tmp_path):
    path = tmp_path / "deep" / "truth.jsonl"
    plan = Plan(seed=9, rate=240)

    def watch(from_s: float, to_s: float, line="door"):
        camera = SimulatedCamera(plan, line=line, started_s=START_S + from_s, truth=path)
        for i in range(int((to_s - from_s) * 2)):
            camera._tell(START_S + from_s + i / 2)
        camera.close()

    watch(0, 200)
    watch(230, 400)  # killed for half a minute: who crossed meanwhile is in the truth too
    watch(0, 100, line="back")  # another camera writes into the same file
    with path.open("ab") as file:
        file.write(b'{"t":17000')  # the machine lost power in the middle of a line
    watch(400, 600)
    told = [record for record in truths(path) if record["line"] == "door"]
    expected = list(plan.truth(START_S, START_S + 599.5))
    assert [(record["t"], record["direction"]) for record in told] == [
        (pytest.approx(crossing.t_s, abs=0.001), crossing.direction) for crossing in expected
    ]
    assert all(record["kind"] == "crossing" and set(record) == {"t", "kind", "direction", "line"} for record in told)


def test_an_old_truth_file_is_not_caught_up_with(tmp_path):
    path = tmp_path / "truth.jsonl"
    path.write_text('{"t":1.0,"kind":"crossing","direction":"in","line":"door"}\n')
    camera = SimulatedCamera(Plan(rate=240), line="door", started_s=START_S, truth=path)
    camera.image(START_S + 60)
    assert all(record["t"] >= START_S for record in truths(path)[1:])


def test_a_long_truth_file_is_read_from_its_tail(tmp_path):
    path = tmp_path / "truth.jsonl"
    lines = [{"t": START_S - 500 + i, "kind": "crossing", "direction": "in", "line": "door"} for i in range(400)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    camera = SimulatedCamera(Plan(), line="door", started_s=START_S, truth=path)
    assert camera._told_s == pytest.approx(START_S - 101 + 0.001)


def test_the_truth_file_by_environment_or_url(tmp_path, monkeypatch):
    monkeypatch.setenv("ZHANGGUI_CAMERA_TRUTH", str(tmp_path / "env.jsonl"))
    clock = ManualClock()
    open_source("sim://door?rate=600", clock).image(300.0)
    assert truths(tmp_path / "env.jsonl")
    open_source(f"sim://door?rate=600&truth={tmp_path / 'url.jsonl'}", clock).image(300.0)
    assert truths(tmp_path / "url.jsonl") == truths(tmp_path / "env.jsonl")


# ------------------------------------------------------------------ with the real detector


def test_the_real_detector_sees_the_figures(detector):
    """Fifty composited frames with somebody well inside: at least 98 people in 100, nobody on the empty floor."""
    plan = Plan(seed=11, rate=300)
    seen = there = 0
    frames = 0
    at_s = START_S
    while frames < 50:
        at_s += 0.7
        places = [visit.place(at_s) for visit in plan.visits(at_s)]
        inside = [(x * WIDTH, y * HEIGHT) for x, y in places if 0.2 < y < 0.8]
        if not inside:
            continue
        frames += 1
        found = [d for d in detector.detect(picture(plan, at_s)) if d.score >= 0.35]
        there += len(inside)
        seen += sum(any(d.x1 < x < d.x2 and d.y1 < y < d.y2 for d in found) for x, y in inside)
    assert seen / there >= 0.98
    assert not [d for d in detector.detect(background()) if d.score >= 0.2]


def test_the_pipeline_counts_what_the_truth_says(detector):
    """36 seconds of store time at four frames a second: five in (two of them abreast), two out, two who turn back."""
    plan = Plan(seed=61, rate=240)
    times = [START_S + i / 4 for i in range(144)]
    kinds = Counter(visit.kind for visit in {visit for at_s in times for visit in plan.visits(at_s)})
    assert kinds == {"in": 5, "out": 2, "u_turn": 2}

    class Quick:
        """The detector, which need not look at the empty floor (see the test above)."""

        def detect(self, image):
            return detector.detect(image) if (image != background()).any() else ()

    pipeline = Pipeline(Quick(), (0.0, 0.55, 1.0, 0.55))
    counted = [crossing for at_s in times for crossing in pipeline.step(picture(plan, at_s), at_s)] + pipeline.flush()
    truth = list(plan.truth(times[0], times[-1]))
    assert Counter(c.direction for c in counted) == Counter(c.direction for c in truth) == {"in": 5, "out": 2}
    for crossing in truth:
        assert any(c.direction == crossing.direction and abs(c.t_s - crossing.t_s) < 1.5 for c in counted)
