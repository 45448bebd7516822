"""How many tagged pieces lie on each shelf, from what each antenna hears. Pure: sights and doors in, counts out.

One `Presence` for each antenna judges what is present there. A tag that is present at several is counted once, where it
is heard the strongest. No tag is evidence of a sale: foil and liquids hide tags.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from device_drivers.rfid_m100 import Presence

SMOOTHING = 0.2  # weight of a new sight in the strength of a tag
MAX_TAGS = 4096  # whose strength is kept; presence has the same cap of its own


@dataclass(frozen=True, slots=True)
class Place:
    """What an antenna hears. `compartment` is whose door hides it."""

    shelf: str
    compartment: str
    threshold_dbm: float


@dataclass(slots=True)
class ShelfTags:
    """The tags of one reader. `places` by antenna; times are seconds of one steady clock."""

    places: Mapping[int, Place]
    at_s: float
    dropped: int = 0
    _presence: dict[int, Presence] = field(init=False)
    _strength: dict[tuple[int, bytes], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._presence = {
            number: Presence({number: place.threshold_dbm}, door_closed=False, at_s=self.at_s)
            for number, place in self.places.items()
        }

    def door(self, compartment: str, *, is_open: bool | None, at_s: float) -> None:
        """A door nobody knows of counts as open: behind it no tag is ever given up."""
        for number, place in self.places.items():
            if place.compartment == compartment:
                self._presence[number].door(closed=is_open is False, at_s=at_s)

    def sight(self, epc: bytes, *, antenna: int, rssi_dbm: float, at_s: float) -> None:
        """A tag was heard."""
        presence = self._presence.get(antenna)
        if presence is None:
            self.dropped += 1
            return
        presence.read(epc, rssi_dbm=rssi_dbm, antenna=antenna, at_s=at_s)
        key = (antenna, epc)
        before = self._strength.get(key)
        if before is None and len(self._strength) >= MAX_TAGS:
            self._forget()
            if len(self._strength) >= MAX_TAGS:
                self.dropped += 1
                return
        self._strength[key] = rssi_dbm if before is None else before + SMOOTHING * (rssi_dbm - before)

    def round(self, *, started_s: float, at_s: float) -> None:
        """A whole inventory has ended."""
        for presence in self._presence.values():
            presence.full_round(started_s=started_s, at_s=at_s)

    def counts(self) -> dict[str, float]:
        """Tags present, by shelf."""
        where: dict[bytes, tuple[float, str]] = {}
        for number, presence in self._presence.items():
            for epc in presence.present:
                strength = self._strength.get((number, epc), float("-inf"))
                where[epc] = max(where.get(epc, (float("-inf"), "")), (strength, self.places[number].shelf))
        found = Counter(shelf for _, shelf in where.values())
        return {shelf: float(found[shelf]) for shelf in sorted({place.shelf for place in self.places.values()})}

    def _forget(self) -> None:
        """Strengths of tags that are present nowhere."""
        present = {(number, epc) for number, presence in self._presence.items() for epc in presence.present}
        self._strength = {key: value for key, value in self._strength.items() if key in present}
