"""Lock boards of the family Winnsen: a frame a lock, no check sum, a cooldown of its own."""

from device_drivers.lock_winnsen.driver import LockBoardWinnsen

__all__ = ["LockBoardWinnsen"]
