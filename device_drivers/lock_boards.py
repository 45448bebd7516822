"""Every family of lock boards by name: which addresses, dialects and channels there are, and how a driver is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from device_drivers import lock_8a, lock_cu16, lock_cu48, lock_winnsen
from device_drivers.bus import Bus
from device_drivers.lock_8a import driver as driver_8a
from device_drivers.lock_board import LockBoard
from device_drivers.lock_cu16 import driver as driver_cu16
from device_drivers.lock_cu48 import driver as driver_cu48
from device_drivers.lock_profile import Profile
from device_drivers.lock_winnsen import driver as driver_winnsen


@dataclass(frozen=True, slots=True, kw_only=True)
class LockBoardKind:
    """One family. The first dialect is the usual one; `fewer` are the channels of a dialect that has not all.

    `sealed` is false for frames without a check sum: one turned bit on the line opens another door than was meant.
    """

    title: str
    addresses: range
    dialects: tuple[str, ...]
    channels: int
    make: Callable[[Bus, int, Profile], LockBoard]
    fewer: Mapping[str, int] = field(default_factory=dict)
    sealed: bool = True

    def channels_of(self, dialect: str) -> int:
        """How many locks a board of this dialect has."""
        return self.fewer.get(dialect, self.channels)

    def wrong(self, address: int, dialect: str) -> Iterator[tuple[str, str]]:
        """What no board of this family can be, as (setting, what is wrong and how to mend it)."""
        if address not in self.addresses:
            first, last = self.addresses[0], self.addresses[-1]
            yield "address", f"{address} is none of {self.title}; set the board to one of {first} to {last}"
        if dialect and dialect not in self.dialects:
            yield "dialect", f"{self.title} has no dialect {dialect!r}; write one of {', '.join(self.dialects)}"


LOCK_BOARDS: Mapping[str, LockBoardKind] = {
    "lock_8a": LockBoardKind(
        title="8A/80",
        addresses=driver_8a.ADDRESSES,
        dialects=driver_8a.DIALECTS,
        channels=driver_8a.Frames8A.channels,
        make=lambda bus, address, profile: lock_8a.LockBoard8A.of(bus, address=address, profile=profile),
    ),
    "lock_cu16": LockBoardKind(
        title="KERONG CU16",
        addresses=driver_cu16.ADDRESSES,
        dialects=driver_cu16.DIALECTS,
        channels=driver_cu16.FramesCU16.channels,
        make=lambda bus, address, profile: lock_cu16.LockBoardCU16(bus, address=address, profile=profile),
    ),
    "lock_cu48": LockBoardKind(
        title="KERONG CU48",
        addresses=driver_cu48.ADDRESSES,
        dialects=driver_cu48.DIALECTS,
        channels=driver_cu48.FramesCU48.channels,
        make=lambda bus, address, profile: lock_cu48.LockBoardCU48(bus, address=address, profile=profile),
        fewer={"cu12": driver_cu48.FramesCU12.channels},
    ),
    "lock_winnsen": LockBoardKind(
        title="Winnsen",
        addresses=driver_winnsen.ADDRESSES,
        dialects=driver_winnsen.DIALECTS,
        channels=driver_winnsen.FramesWinnsen.channels,
        make=lambda bus, address, profile: lock_winnsen.LockBoardWinnsen(bus, address=address, profile=profile),
        sealed=False,
    ),
}
