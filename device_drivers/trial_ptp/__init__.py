"""Trial units (PTP/1, our own proposal): COBS frames, a token that says who vouched, repeats that cannot act twice."""

from device_drivers.trial_ptp.driver import ActReply, TrialRefusedError, TrialUnit
from device_drivers.trial_ptp.token import Method, Proof, mint

__all__ = ["ActReply", "Method", "Proof", "TrialRefusedError", "TrialUnit", "mint"]
