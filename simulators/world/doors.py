"""A door with an electric lock: a pulse frees the latch for a while, a hand opens, closing locks."""

from __future__ import annotations

from dataclasses import dataclass

LATCH_FREE_S = 5.0


class DoorLockedError(Exception):
    """A hand pulled at a locked door."""


class DoorClosedError(Exception):
    """Goods do not pass through a closed door."""


@dataclass(slots=True)
class Door:
    """State of one door; every method takes the store time it happens at."""

    name: str
    is_open: bool = False
    free_until_s: float | None = None

    def pulse(self, now_s: float) -> None:
        """The solenoid fires. An open door only clicks: its latch catches when it closes."""
        if not self.is_open:
            self.free_until_s = now_s + LATCH_FREE_S

    def is_free(self, now_s: float) -> bool:
        """True while a hand could open it."""
        return self.free_until_s is not None and now_s < self.free_until_s

    def expiry(self, now_s: float) -> float | None:
        """If the latch caught again by itself at or before now: when; it is then locked, and this is told once."""
        if self.free_until_s is None or now_s < self.free_until_s:
            return None
        due_s, self.free_until_s = self.free_until_s, None
        return due_s

    def pull(self, now_s: float) -> bool:
        """A hand pulls; False if it is open already. Raises DoorLockedError if the latch holds."""
        if self.is_open:
            return False
        if not self.is_free(now_s):
            raise DoorLockedError(f"{self.name} is locked")
        self.force()
        return True

    def force(self) -> None:
        """The door opens, whatever the latch says."""
        self.is_open, self.free_until_s = True, None

    def close(self) -> bool:
        """The door closes and locks; False if it was closed."""
        was_open, self.is_open = self.is_open, False
        return was_open
