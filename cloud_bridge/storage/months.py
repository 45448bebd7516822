"""A month of the calendar in UTC: by these the events of PostgreSQL are parted, and old ones let go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_LAST_MS = 253_402_300_799_000  # the year 9999 ends


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of the calendar in UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, at_ms: int) -> Month:
        """The month of a time in ms since 1970; before 1970 and after 9999 the nearest one."""
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(max(at_ms, 0), _LAST_MS))
        return cls(at.year, at.month)

    def later(self, months: int) -> Month:
        """So many months later, or earlier if negative."""
        count = self.year * 12 + self.month - 1 + months
        return Month(count // 12, count % 12 + 1)

    @property
    def start_ms(self) -> int:
        """The first instant, in ms since 1970."""
        return int(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp() * 1000)

    @property
    def table(self) -> str:
        """The name of its partition."""
        return f"events_y{self.year:04}m{self.month:02}"

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"
