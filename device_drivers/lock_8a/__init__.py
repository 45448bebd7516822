"""Lock boards of the family "8A/80": five bytes, XOR check, a pulse and a feedback switch a channel."""

from device_drivers.lock_8a.codec import FeedbackPolarity
from device_drivers.lock_8a.driver import LockBoard8A

__all__ = ["FeedbackPolarity", "LockBoard8A"]
