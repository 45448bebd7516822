"""The camera as a frame source: `sim://entrance?seed=7&rate=60&line_y=0.55&truth=camera.jsonl`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from contracts.clock import Clock
from simulators.camera.picture import Image, picture
from simulators.camera.walkers import Plan

TRUTH_ENV = "ZHANGGUI_CAMERA_TRUTH"
_LONGEST_GAP_S = 600.0
_TAIL_BYTES = 4096
_KEYS = frozenset({"seed", "rate", "line_y", "truth"})


class SimulatedCamera:
    """Pictures by store time; with a truth file, every crossing up to the last picture asked for is in it.

    A process that takes over (a restarted worker) goes on where the file ends, so that nobody who walked through
    meanwhile is missing from the truth, and nobody is in it twice.
    """

    def __init__(self, plan: Plan, *, line: str, started_s: float, truth: Path | None = None) -> None:
        self.plan = plan
        self._line = line
        self._truth = truth
        self._told_s = started_s
        if truth is not None:
            truth.parent.mkdir(parents=True, exist_ok=True)
            last_s = _last_told_s(truth, line)
            if last_s is not None and started_s - _LONGEST_GAP_S <= last_s <= started_s:
                self._told_s = last_s

    def image(self, at_s: float) -> Image:
        """The picture of store second `at_s`, (384, 640, 3) BGR; later seconds come after earlier ones."""
        self._tell(at_s)
        return picture(self.plan, at_s)

    def close(self) -> None:
        """Nothing is held open."""

    def _tell(self, at_s: float) -> None:
        if self._truth is None or at_s <= self._told_s:
            return
        lines = [
            {"t": round(crossing.t_s, 3), "kind": "crossing", "direction": crossing.direction, "line": self._line}
            for crossing in self.plan.truth(self._told_s, at_s)
        ]
        self._told_s = at_s
        if lines:
            with self._truth.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def _last_told_s(truth: Path, line: str) -> float | None:
    """Just after the last crossing of `line` in the file, or None; a torn last line is cut off first."""
    if not truth.exists():
        return None
    with truth.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
        whole = tail.rfind(b"\n") + 1
        file.truncate(size - (len(tail) - whole))
    records = tail[:whole].splitlines()[1 if size > _TAIL_BYTES else 0 :]  # the first may be cut
    told = [json.loads(record) for record in records]
    times = [float(record["t"]) for record in told if record.get("line") == line]
    return times[-1] + 0.001 if times else None


def open_source(url: str, clock: Clock) -> SimulatedCamera:
    """The camera of a `sim://` URL; the host names the line in the truth. Raises ValueError for a wrong URL."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, strict_parsing=bool(parts.query))
    if parts.scheme != "sim" or not parts.netloc or set(query) - _KEYS:
        raise ValueError(f"{url}: a simulated camera is sim://NAME with {', '.join(sorted(_KEYS))} as parameters")
    value = {key: values[-1] for key, values in query.items()}
    plan = Plan(
        seed=int(value.get("seed", "0")),
        rate=float(value.get("rate", "60")),
        line_y=float(value.get("line_y", "0.55")),
    )
    if not (0 <= plan.rate <= 3600 and 0 < plan.line_y < 1):
        raise ValueError(f"{url}: rate is 0..3600 an hour, line_y is 0..1")
    truth = value.get("truth") or os.environ.get(TRUTH_ENV)
    return SimulatedCamera(plan, line=parts.netloc, started_s=clock.now_s(), truth=Path(truth) if truth else None)
