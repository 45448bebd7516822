"""How long to wait before trying again: full jitter, capped, and reset only after a stable period."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random


@dataclass(slots=True)
class Backoff:
    """`uniform(0, min(cap, base * 2**failures))`; success resets it only once it has lasted `stable_s`.

    A reset on connect would turn a peer that accepts and drops at once into a storm without delay. What fails after a
    stable period may have failed for everybody at once: the first pause after one is `uniform(0, spread_s)`, if longer.
    """

    rng: Random
    base_s: float = 0.5
    cap_s: float = 30.0
    stable_s: float = 60.0
    spread_s: float = 0.0
    failures: int = field(default=0, init=False)
    _up_since_s: float | None = field(default=None, init=False)

    def up(self, now_s: float) -> None:
        """The thing works since now."""
        if self._up_since_s is None:
            self._up_since_s = now_s

    def down(self, now_s: float) -> float:
        """The thing failed now; seconds to wait before the next try."""
        was_stable = self._up_since_s is not None and now_s - self._up_since_s >= self.stable_s
        if was_stable:
            self.failures = 0
        self._up_since_s = None
        self.failures += 1
        ceiling_s = min(self.cap_s, self.base_s * 2.0 ** min(self.failures - 1, 30))
        return self.rng.uniform(0.0, max(ceiling_s, self.spread_s) if was_stable else ceiling_s)
