"""How large a batch may be on this line: a little more with every quick one, a fraction after each that was too much.

Additive increase, multiplicative decrease, as TCP does it, between a floor and the contract's bounds. What counts is
the line alone (the time until the broker has a batch, and whether the connection survived it): a cloud that is slow
says so by its window.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.messages import MAX_BATCH_BYTES, MAX_BATCH_EVENTS

FRAME_BYTES = 1024  # of a batch, everything but its events
MOST_BYTES = MAX_BATCH_BYTES - FRAME_BYTES
LEAST_EVENTS, LEAST_BYTES = 16, 4 * 1024
MORE_EVENTS, MORE_BYTES = 16, 8 * 1024
QUICK, SLOW = 0.25, 0.5  # of the time after which a lack of progress ends the attempt


@dataclass(slots=True)
class BatchSize:
    """At most `events` and `size_bytes` (before compression) go into the next batch; one event always does."""

    events: int = MAX_BATCH_EVENTS
    size_bytes: int = MOST_BYTES

    def passed(self, *, took_s: float, timeout_s: float, events: int, size_bytes: int) -> None:
        """The broker has a batch of `events` and `size_bytes` after `took_s`; `timeout_s` would have been too late.

        A batch that was small by itself proves nothing about larger ones.
        """
        if took_s >= SLOW * timeout_s:
            self._shrink(2)
        elif took_s <= QUICK * timeout_s and (2 * events >= self.events or 2 * size_bytes >= self.size_bytes):
            self.events = min(MAX_BATCH_EVENTS, self.events + MORE_EVENTS)
            self.size_bytes = min(MOST_BYTES, self.size_bytes + MORE_BYTES)

    def stalled(self) -> None:
        """T went by and nothing was confirmed."""
        self._shrink(2)

    def broken(self) -> None:
        """The connection ended in the middle of a batch."""
        self._shrink(4)

    def _shrink(self, by: int) -> None:
        self.events = max(LEAST_EVENTS, self.events // by)
        self.size_bytes = max(LEAST_BYTES, self.size_bytes // by)
