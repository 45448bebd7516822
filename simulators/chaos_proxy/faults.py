"""What can happen to a line, and seeded weather that makes it happen."""

from __future__ import annotations

from random import Random
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

Kind = Literal[
    "cut",  # every connection ends with a reset, at both ends
    "refuse",  # the same, and new ones are refused while it lasts
    "stall",  # nothing passes, nothing is lost
    "stall_up",  # the same, only towards the server
    "stall_down",  # the same, only towards the client
    "delay",  # each byte comes `delay_ms` later
    "throttle",  # at most `bytes_s` a second, each way
    "swallow_up",  # what the client sends is lost; at the end the connection, which misses bytes, is cut
    "swallow_down",  # what the server sends is lost; the same
    "orphan_server",  # the client is cut off, the server believes in the connection until the fault ends
    "orphan_client",  # the server is cut off, the client believes in the connection until the fault ends
]
KINDS: tuple[Kind, ...] = get_args(Kind)
MAX_FAULT_S = 3600.0


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault of a line; it heals after `duration_s`. `cut` is over at once."""

    kind: Kind
    duration_s: Annotated[float, Meta(ge=0.0, le=MAX_FAULT_S)] = 1.0
    delay_ms: Annotated[float, Meta(ge=0.0, le=60_000.0)] = 0.0
    bytes_s: Annotated[int, Meta(ge=1)] = 4096


class Weather:
    """Faults drawn from `rng`: the same seed gives the same faults, with the same calm between them."""

    def __init__(self, rng: Random, *, mean_calm_s: float = 5.0, longest_s: float = 5.0) -> None:
        self._rng = rng
        self._mean_calm_s = mean_calm_s
        self._longest_s = longest_s

    def calm_s(self) -> float:
        """Seconds until the next fault."""
        return self._rng.expovariate(1.0 / self._mean_calm_s)

    def fault(self) -> Fault:
        """The next fault."""
        return Fault(
            kind=self._rng.choice(KINDS),
            duration_s=round(self._rng.uniform(0.1, self._longest_s), 3),
            delay_ms=round(self._rng.uniform(20.0, 800.0), 1),
            bytes_s=self._rng.choice((1_000, 10_000, 100_000)),
        )
