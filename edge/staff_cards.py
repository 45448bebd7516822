"""Staff lay their own card once: known for the day, so that nobody releases a sale to themselves (T02)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date

from device_drivers.capabilities import AdultReading
from edge.sessions import StaffDesk

ARMED_S = 20.0  # real seconds, for a person to lay a card


class StaffCards:
    """Who may lay their own card next, cabinet by cabinet. Keeps no card and no pseudonym: the staff desk has those."""

    def __init__(
        self,
        *,
        readers: frozenset[str],
        staff: StaffDesk,
        today: Callable[[], date],
        real_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`readers`: the cabinets that have a card reader."""
        self._readers, self._staff, self._real_s = readers, staff, real_s
        self.today = today
        self._armed: dict[str, tuple[str, float]] = {}  # cabinet: person, until when

    def arm(self, cabinet: str, staff_id: str) -> bool:
        """The next card laid there while no customer's is awaited is this person's; False without a reader."""
        if cabinet not in self._readers:
            return False
        self._armed[cabinet] = (staff_id, self._real_s() + ARMED_S)
        return True

    def awaited(self, cabinet: str) -> str:
        """Whose card is awaited there now; empty: nobody's."""
        staff_id, until_s = self._armed.get(cabinet, ("", 0.0))
        return staff_id if staff_id and self._real_s() < until_s and staff_id in self._staff.on_duty() else ""

    def laid(self, cabinet: str, staff_id: str, reading: AdultReading, day: date) -> bool:
        """A card was read for this person on `day`; False: it makes nobody known, and another may be laid."""
        if self.awaited(cabinet) != staff_id or not (reading.adult and reading.doc_valid) or day != self.today():
            return False
        known = self._staff.know(staff_id, reading.person_day_key, day)
        if known:
            del self._armed[cabinet]
        return known
