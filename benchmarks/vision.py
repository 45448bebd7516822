"""How fast and how right the camera pipeline is: `python benchmarks/vision.py [--minutes 24] [--json FILE]`.

Two measurements on this machine: the pipeline's frames a second against the bare model, on the same frames in turns,
so that whatever else the machine does falls on both; and the crossings of simulated store time at five frames a
second, played as fast as it goes, against the truth. With `--video FILE --visits FILE.csv` a recording with the
frames of its visits is counted too.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from edge.vision.pipeline import Image, Pipeline
from models import fetch
from models.person import Detection, PersonDetector
from models.tracking import NO_ID, Tracker
from simulators.camera.picture import HEIGHT, WIDTH, picture
from simulators.camera.walkers import Plan

LINE = (0.0, 0.55, 1.0, 0.55)
VIDEO_LINE = (0.8, 0.0, 0.8, 1.0)  # where people leave that recording, to the right
THRESHOLD, SURE = 0.2, 0.35  # what the tracker is given; what counts as seen
START_S = 1_700_000_040.0
FPS = 5
FRAMES = 300


def speed(detector: PersonDetector, plan: Plan) -> dict[str, float]:
    """Medians, milliseconds a frame, in turns: the network alone, and everything from picture to crossing."""
    pipeline = Pipeline(detector, LINE)
    bare: list[float] = []
    whole: list[float] = []
    for i in range(FRAMES):
        image = picture(plan, START_S + i / FPS)
        began = time.perf_counter()
        detector.infer()
        between = time.perf_counter()
        pipeline.step(image, START_S + i / FPS)
        ended = time.perf_counter()
        bare.append((between - began) * 1000)
        whole.append((ended - between) * 1000)
    model_ms, pipeline_ms = statistics.median(bare), statistics.median(whole)
    return {
        "model_ms": round(model_ms, 2),
        "pipeline_ms": round(pipeline_ms, 2),
        "pipeline_fps": round(1000 / pipeline_ms, 1),
        "pipeline_part_of_model_speed": round(statistics.median(b / w for b, w in zip(bare, whole, strict=True)), 3),
    }


class Remembering:
    """A detector that keeps what it saw last."""

    def __init__(self, detector: PersonDetector) -> None:
        self._detector = detector
        self.last: tuple[Detection, ...] = ()

    def detect(self, image: Image) -> tuple[Detection, ...]:
        """As the detector."""
        self.last = self._detector.detect(image)
        return self.last


def crossings(detector: PersonDetector, plan: Plan, minutes: float) -> dict[str, float]:
    """Counted and true crossings, and how many people well inside the picture were seen."""
    eye = Remembering(detector)
    pipeline = Pipeline(eye, LINE)
    counted: list[str] = []
    there = seen = 0
    for i in range(int(minutes * 60 * FPS)):
        at_s = START_S + i / FPS
        counted += [crossing.direction for crossing in pipeline.step(picture(plan, at_s), at_s)]
        places = [(x * WIDTH, y * HEIGHT) for x, y in (v.place(at_s) for v in plan.visits(at_s)) if 0.2 < y < 0.8]
        found = [d for d in eye.last if d.score >= SURE]
        there += len(places)
        seen += sum(any(d.x1 < x < d.x2 and d.y1 < y < d.y2 for d in found) for x, y in places)
    counted += [crossing.direction for crossing in pipeline.flush()]
    truth = [crossing.direction for crossing in plan.truth(START_S, START_S + minutes * 60)]
    return {
        "minutes": minutes,
        "true_in": truth.count("in"),
        "counted_in": counted.count("in"),
        "true_out": truth.count("out"),
        "counted_out": counted.count("out"),
        "people_in_frames": there,
        "detection_rate": round(seen / max(1, there), 4),
    }


def recording(detector: PersonDetector, video: Path, visits: Path) -> dict[str, float]:
    """Tracks and crossings of VIDEO_LINE in a recording, at five frames a second, against its list of visits."""
    with visits.open(newline="") as file:
        rows = [(int(row["first_frame"]), int(row["last_frame"])) for row in csv.DictReader(file)]
    capture = cv2.VideoCapture(str(video))
    fps = capture.get(cv2.CAP_PROP_FPS)
    eye = Remembering(detector)
    pipeline, tracker = Pipeline(eye, VIDEO_LINE), Tracker()
    tracks: dict[int, int] = {}
    left = frame = seen = strangers = 0
    while capture.grab():
        if frame % max(1, round(fps / FPS)) == 0:
            _, image = capture.retrieve()
            left += len(pipeline.step(np.asarray(image, np.uint8), frame / fps))
            for box in tracker.update(eye.last, frame / fps).seen:
                if box.id != NO_ID:
                    tracks.setdefault(box.id, frame)
            somebody = any(d.score >= SURE for d in eye.last)
            within = any(first <= frame <= last for first, last in rows)
            seen += somebody and within
            strangers += somebody and not within
        frame += 1
    left += len(pipeline.flush())
    capture.release()
    each = sum(any(first <= start <= last for start in tracks.values()) for first, last in rows)
    return {
        "visits": len(rows),
        "tracks": len(tracks),
        "visits_with_a_track": each,
        "line_crossings": left,
        "frames_with_a_person": seen,
        "frames_with_a_person_outside_visits": strangers,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=24.0, help="store minutes to count; 0 leaves them out")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rate", type=float, default=240.0, help="parties an hour")
    parser.add_argument("--video", type=Path, help="a recording to count")
    parser.add_argument("--visits", type=Path, help="its visits: CSV with first_frame and last_frame")
    parser.add_argument("--json", type=Path, help="write the numbers there as well")
    options = parser.parse_args()
    fetch("person")
    detector = PersonDetector.load(threshold=THRESHOLD)
    plan = Plan(seed=options.seed, rate=options.rate)
    result: dict[str, dict[str, float]] = {"speed": speed(detector, plan)}
    if options.minutes:
        result["simulated camera"] = crossings(detector, plan, options.minutes)
    if options.video and options.visits and options.video.exists() and options.visits.exists():
        result["recording"] = recording(detector, options.video, options.visits)
    for name, values in result.items():
        print(name)
        for key, value in values.items():
            print(f"  {key:<38}{value:>10}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
