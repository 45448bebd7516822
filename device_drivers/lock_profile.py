"""How one lock board is wired and which form of its protocol it speaks: what a description may say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from device_drivers.capabilities import Door
from device_drivers.errors import MisconfiguredError
from device_drivers.settings import Settings, flag, number, one_of

FeedbackPolarity = Literal["locked_short", "open_short"]
# Where lock 1 stands in the bytes of a whole board: in the first or the last byte, as its least or its most significant
# bit. The next locks follow from there.
BitOrder = Literal["first_lsb", "first_msb", "last_lsb", "last_msb"]

MIN_HOLD_OFF_S = 0.5  # between two pulses on one board: its solenoids share one supply
MAX_HOLD_OFF_S = 60.0

SETTINGS: Mapping[str, str] = {
    "feedback_polarity": "locked_short or open_short: when the feedback contact is closed",
    "echo": "true if the RS-485 adapter repeats what we send",
    "hold_off_s": f"seconds between two pulses on this board, at least {MIN_HOLD_OFF_S:g}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One board's settings. Raises MisconfiguredError for a value that no family knows.

    `feedback_polarity` says when the feedback switch is closed: while locked, or while open. An empty `dialect` or
    `bit_order` is the family's own usual one. `echo` is true if the RS-485 adapter repeats what we send.
    """

    feedback_polarity: FeedbackPolarity
    dialect: str = ""
    bit_order: BitOrder | Literal[""] = ""
    hold_off_s: float = MIN_HOLD_OFF_S
    echo: bool = False

    def __post_init__(self) -> None:
        if self.feedback_polarity not in get_args(FeedbackPolarity):
            raise MisconfiguredError("feedback_polarity: must be locked_short or open_short")
        if self.bit_order and self.bit_order not in get_args(BitOrder):
            raise MisconfiguredError(f"bit_order: must be one of {', '.join(get_args(BitOrder))}")
        if not MIN_HOLD_OFF_S <= self.hold_off_s <= MAX_HOLD_OFF_S:
            raise MisconfiguredError(f"hold_off_s: must be {MIN_HOLD_OFF_S:g} to {MAX_HOLD_OFF_S:g}")

    @classmethod
    def of(cls, settings: Settings) -> Profile:
        """The profile that texts describe; what they leave out is usual, and the switch `locked_short`.

        A driver that unlocks gets its polarity from `store.toml`, where it must be said. Raises MisconfiguredError.
        """
        return cls(
            feedback_polarity=one_of(settings, "feedback_polarity", get_args(FeedbackPolarity), "locked_short"),
            dialect=settings.get("dialect", ""),
            bit_order=one_of(settings, "bit_order", get_args(BitOrder), ""),
            hold_off_s=number(settings, "hold_off_s", MIN_HOLD_OFF_S),
            echo=flag(settings, "echo"),
        )

    def door(self, *, says_locked: bool) -> Door:
        """The door behind a switch, from what the maker's table calls locked when the wiring is locked_short."""
        return Door.CLOSED if says_locked == (self.feedback_polarity == "locked_short") else Door.OPEN

    def bits(self, data: bytes, channels: int, usual: BitOrder) -> dict[int, bool]:
        """One bit a lock, by channel."""
        order = self.bit_order or usual
        ordered = data if order.startswith("first") else data[::-1]

        def bit(channel: int) -> bool:
            place = (channel - 1) % 8
            return bool(ordered[(channel - 1) // 8] >> (place if order.endswith("lsb") else 7 - place) & 1)

        return {channel: bit(channel) for channel in range(1, channels + 1)}

    def doors(self, data: bytes, channels: int, usual: BitOrder) -> dict[int, Door]:
        """Every door of a board from one bit a lock, 1 being what the maker's table calls locked."""
        return {channel: self.door(says_locked=bit) for channel, bit in self.bits(data, channels, usual).items()}


def checked(profile: Profile, address: int, *, addresses: range, dialects: Sequence[str]) -> Profile:
    """The same profile. Raises MisconfiguredError for an address or a dialect that the family does not have."""
    if address not in addresses:
        raise MisconfiguredError(f"lock board address {address}: must be in {addresses[0]}..{addresses[-1]}")
    if profile.dialect and profile.dialect not in dialects:
        raise MisconfiguredError(f"dialect {profile.dialect!r}: must be one of {', '.join(dialects)}")
    return profile
