"""Lock boards of the family KERONG CU16: STX, a sum, whole-board status with infrared bits, no reply to a pulse."""

from device_drivers.lock_cu16.driver import LockBoardCU16

__all__ = ["LockBoardCU16"]
