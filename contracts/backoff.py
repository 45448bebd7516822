"""How long to wait before trying again: full jitter, capped, and reset only after a stable period."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random


@dataclass(slots=True)
class Backoff:
    """`uniform(0, min(cap, base * 2**failures))`; success resets it only once it has lasted `stable_s`.

    A reset on connect would turn a peer that accepts and drops at once into a storm without delay. What fails after a
    stable period may have failed for everybody at once. With `spread_s` the first pause after one is `uniform(0,
    spread_s)`, and until the peer is there again each further pause is `spread_s` itself: whoever tried too early comes
    again at its own place in the round, so that the peer, whenever it is back, meets an even stream and no crowd.
    """

    rng: Random
    base_s: float = 0.5
    cap_s: float = 30.0
    stable_s: float = 60.0
    spread_s: float = 0.0
    failures: int = field(default=0, init=False)
    _up_since_s: float | None = field(default=None, init=False)
    _in_round: bool = field(default=False, init=False)

    def up(self, now_s: float) -> None:
        """The thing works since now."""
        if self._up_since_s is None:
            self._up_since_s = now_s

    def down(self, now_s: float) -> float:
        """The thing failed now; seconds to wait before the next try."""
        came_up = self._up_since_s is not None
        was_stable = self._up_since_s is not None and now_s - self._up_since_s >= self.stable_s
        if was_stable:
            self.failures = 0
        self._up_since_s = None
        self.failures += 1
        ceiling_s = min(self.cap_s, self.base_s * 2.0 ** min(self.failures - 1, 30))
        if self.spread_s > ceiling_s and was_stable:
            self._in_round = True
            return self.rng.uniform(0.0, self.spread_s)
        self._in_round = self._in_round and not came_up  # up for a moment: it is there, and drops us
        return self.spread_s if self._in_round else self.rng.uniform(0.0, ceiling_s)
