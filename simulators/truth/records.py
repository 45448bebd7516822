"""One line of the truth: something physical that happened, seen by nobody but the simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

Kind = Literal[
    "visit_started",  # somebody stands before a cabinet
    "scanned",  # a code was shown to a scanner (never the code itself)
    "card_read",  # an identity card was laid on the reader (never its number)
    "pulsed",  # a solenoid fired
    "latch_expired",  # nobody pulled; the lock caught again by itself
    "door_opened",  # detail "forced" if the lock held
    "door_closed",
    "taken",  # qty pieces left a shelf into the visitor's hands; grams is their true weight
    "put_back",  # the reverse
    "stocked",  # qty new pieces were laid on a shelf
    "foreign",  # grams that are no product came (positive) or went (negative)
    "visit_ended",
    "fault",  # begins; device or compartment or shelf says where, detail says what
    "fault_cleared",
    "scale_restarted",  # power-up of a scale: what lies on it now reads as zero
    "crossing",  # a person crossed a camera's line; detail is the direction
]


class TruthRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`t` in store seconds (`Clock.now_s()`); `grams` as an exact balance would say; `member` is the reference."""

    t: float
    kind: Kind
    visit: str = ""
    cabinet: str = ""
    compartment: str = ""
    shelf: str = ""
    sku: str = ""
    qty: int = 0
    member: str = ""
    grams: float = 0.0
    device: str = ""
    detail: str = ""


Record = Callable[[TruthRecord], None]
"""Where the world tells what happened."""
