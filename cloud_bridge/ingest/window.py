"""How many events a store may have in flight here: less while the bridge is behind, in full when it has been well.

    pressed   a queue at least half full, or a commit of a second     -> half, at most once in `HOLD_S`
    strained  a queue above an eighth, or a commit of a quarter of one -> as it is, and the calm begins anew
    calm      neither for `CALM_S`                                     -> twice as much, and so on

Between half and an eighth nothing moves: a window that followed every wave would make waves. Parking is never bound by
it (what was in flight when it shrank is still welcome). Pure: seconds are passed in, of any clock that never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts.messages import MAX_BATCH_EVENTS

FULL_WINDOW = 2048
PRESSED_SHARE, CALM_SHARE = 0.5, 0.125
PRESSED_COMMIT_S, CALM_COMMIT_S = 1.0, 0.25
HOLD_S = 1.0
CALM_S = 5.0


@dataclass(slots=True)
class ReceiveWindow:
    """Feed it what is seen of queues and commits, and announce `size`. Never below one full batch."""

    full: int = FULL_WINDOW
    least: int = MAX_BATCH_EVENTS
    _halvings: int = field(default=0, init=False)
    _shrank_s: float = field(default=float("-inf"), init=False)
    _calm_since_s: float = field(default=float("-inf"), init=False)

    def queued(self, waiting: int, room: int, now_s: float) -> None:
        """`waiting` messages stand in a queue for `room`."""
        self._note(waiting >= PRESSED_SHARE * room, waiting <= CALM_SHARE * room, now_s)

    def committed(self, took_s: float, now_s: float) -> None:
        """A batch's transaction took so long, its wait for the writer included."""
        self._note(took_s >= PRESSED_COMMIT_S, took_s <= CALM_COMMIT_S, now_s)

    def size(self, now_s: float) -> int:
        """Events a stream may have in flight from now on."""
        while self._halvings and now_s - self._calm_since_s >= CALM_S:
            self._halvings -= 1
            self._calm_since_s += CALM_S
        return max(min(self.least, self.full), self.full >> self._halvings)

    def _note(self, pressed: bool, calm: bool, now_s: float) -> None:
        before = self.size(now_s)
        if not calm:
            self._calm_since_s = now_s
        if pressed and now_s - self._shrank_s >= HOLD_S and before > self.least:
            self._halvings += 1
            self._shrank_s = now_s
