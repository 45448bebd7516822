"""Lock boards of the family KERONG CU48 and its dialect CU12: STX, a locker byte, a sum, whole-board status."""

from device_drivers.lock_cu48.driver import LockBoardCU48

__all__ = ["LockBoardCU48"]
