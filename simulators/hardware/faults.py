"""A bad line, on demand and reproducible: the same seed and the same requests spoil the same frames."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Literal


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Probabilities a frame; `delay_ms` is the longest real delay of a reply, drawn evenly from 0."""

    drop_p: float = 0.0
    corrupt_p: float = 0.0
    wrong_addr_p: float = 0.0
    delay_ms: float = 0.0

    def __post_init__(self) -> None:
        for name in ("drop_p", "corrupt_p", "wrong_addr_p"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: must be 0 to 1, is {getattr(self, name)}")
        if not 0.0 <= self.delay_ms <= 60_000.0:
            raise ValueError(f"delay_ms: must be 0 to 60000, is {self.delay_ms}")

    @property
    def clean(self) -> bool:
        """True if this plan spoils nothing."""
        return self == FaultPlan()


@dataclass(slots=True, kw_only=True)
class Faults:
    """Applies a plan, counts what it did. `plan` may be exchanged at any time."""

    rng: Random
    plan: FaultPlan = field(default_factory=FaultPlan)
    counters: Counter[str] = field(default_factory=Counter)

    def _hits(self, probability: float, name: str) -> bool:
        if self.rng.random() >= probability:
            return False
        self.counters[name] += 1
        return True

    def loses(self) -> Literal["", "request", "reply"]:
        """What is lost of one exchange: the device never sees the frame, or it acts and nobody hears of it."""
        draw = self.rng.random()
        if draw >= self.plan.drop_p:
            return ""
        lost: Literal["request", "reply"] = "request" if draw < self.plan.drop_p / 2 else "reply"
        self.counters[f"{lost}_dropped"] += 1
        return lost

    def misaddresses(self) -> bool:
        """True: the reply comes from a wrong address."""
        return self._hits(self.plan.wrong_addr_p, "wrong_addr")

    def corrupted(self, frame: bytes) -> bytes:
        """The frame, or the frame with one bit turned."""
        if not frame or not self._hits(self.plan.corrupt_p, "corrupted"):
            return frame
        spoilt = bytearray(frame)
        spoilt[self.rng.randrange(len(spoilt))] ^= 1 << self.rng.randrange(8)
        return bytes(spoilt)

    def delay_s(self) -> float:
        """Real seconds to hold this reply back."""
        if self.plan.delay_ms <= 0.0:
            return 0.0
        self.counters["delayed"] += 1
        return self.rng.uniform(0.0, self.plan.delay_ms) / 1000.0
