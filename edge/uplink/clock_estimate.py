"""How far our clock is from the cloud's: four times a hello, the best of the last eight."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from contracts.envelope import ClockQuality

SAMPLES = 8
SYNCED_MS = 2000.0
MATERIAL_MS = 1000.0
DRIFT_MS_PER_S = 0.1  # 100 ppm: an old sample is worth less, by as much as a crystal may have wandered since


@dataclass(frozen=True, slots=True)
class Estimate:
    """`offset_ms` is what must be added to our wall clock to have the cloud's; its error is below `rtt_ms`."""

    offset_ms: float
    rtt_ms: float

    @property
    def quality(self) -> ClockQuality:
        return "synced" if abs(self.offset_ms) <= SYNCED_MS else "estimated"


@dataclass(frozen=True, slots=True)
class _Sample:
    cloud_minus_mono_ms: float
    rtt_ms: float
    at_s: float


@dataclass(slots=True)
class ClockEstimator:
    """Keeps the cloud's time against our monotonic clock, so that a jump of our wall clock shows at once."""

    _samples: deque[_Sample] = field(default_factory=lambda: deque(maxlen=SAMPLES), init=False)

    def add(self, *, sent_s: float, received_s: float, t1_ms: int, t2_ms: int) -> bool:
        """One answered hello: our monotonic seconds, the cloud's milliseconds. False if the four do not fit."""
        rtt_ms = (received_s - sent_s) * 1000.0 - (t2_ms - t1_ms)
        if rtt_ms < 0 or t2_ms < t1_ms:
            return False
        middle_mono_ms = (sent_s + received_s) * 500.0
        self._samples.append(_Sample((t1_ms + t2_ms) / 2 - middle_mono_ms, rtt_ms, received_s))
        return True

    def estimate(self, *, now_s: float, wall_ms: float) -> Estimate | None:
        """What the best sample says about the wall clock now; None before the first answer of this boot."""
        if not self._samples:
            return None
        best = min(self._samples, key=lambda s: s.rtt_ms + (now_s - s.at_s) * DRIFT_MS_PER_S)
        return Estimate(best.cloud_minus_mono_ms + now_s * 1000.0 - wall_ms, best.rtt_ms)

    def latest_ms(self, *, now_s: float) -> float | None:
        """The most that the cloud's clock can show now, ms since 1970: `t1 + (t3 − t0)` of each sample, drift since;
        the least of them. None before the first answer of this boot."""
        bounds = [
            s.cloud_minus_mono_ms + s.rtt_ms / 2 + now_s * 1000.0 + (now_s - s.at_s) * DRIFT_MS_PER_S
            for s in self._samples
        ]
        return min(bounds, default=None)


def differs(new: Estimate, told: Estimate | None) -> bool:
    """Is `new` worth an event, after `told`?"""
    return told is None or new.quality != told.quality or abs(new.offset_ms - told.offset_ms) > MATERIAL_MS
