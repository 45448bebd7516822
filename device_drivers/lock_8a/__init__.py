"""Lock boards of the family "8A/80": five bytes, XOR check, a pulse and a feedback switch a channel."""

from device_drivers.lock_8a.driver import LockBoard8A
from device_drivers.lock_profile import FeedbackPolarity

__all__ = ["FeedbackPolarity", "LockBoard8A"]
