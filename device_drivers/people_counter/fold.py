"""All that one camera counts, by the one method that its description names.

A count is known by the camera's MAC address, the method and its start; a camera may hold several lines, so its channel
and region are part of that too. Counts by any other method tell of the same people once more and are never added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from device_drivers.errors import MisconfiguredError
from device_drivers.people_counter.alert import METHODS, Alert, Counting, Method
from device_drivers.people_counter.intervals import IntervalFold
from device_drivers.people_counter.running import RunningFold
from device_drivers.people_counter.steps import Outcome

MAX_LINES = 16


@dataclass(frozen=True, slots=True)
class Line:
    """One counting line. Regions may cover one another: their sums are never added."""

    channel: str
    region: str


class CameraFold:
    """Counts of one camera. `mac` is the only camera that is believed; empty: whichever counts first.

    `resets_daily` says whether its `realTime` counters begin at zero at midnight; it has no usual value, since a wrong
    one costs people or makes them. `known` holds the last count of each line of an earlier run. `counters` tell what
    became of every count. Raises MisconfiguredError for a method that there is not.
    """

    def __init__(
        self, *, method: Method, resets_daily: bool, mac: str = "", known: Mapping[Line, Counting] | None = None
    ) -> None:
        if method not in METHODS:
            raise MisconfiguredError(f"method: must be one of {', '.join(METHODS)}")
        self.counters: dict[Outcome, int] = {}
        self.mac = mac.lower().replace("-", ":")
        self.lines: dict[Line, RunningFold | IntervalFold] = {}
        self._method = method
        self._resets_daily = resets_daily
        for line, last in (known or {}).items():
            self.lines[line] = self._fold(last)

    def add(self, alert: Alert, now: datetime) -> Outcome | None:
        """Take one alert; None if it counts nobody."""
        if alert.counting is None:
            return None
        outcome = self._outcome(alert, alert.counting, now)
        self.counters[outcome] = self.counters.get(outcome, 0) + 1
        return outcome

    def interrupted(self) -> None:
        """The connection was lost."""
        for line in self.lines.values():
            line.interrupted()

    def known(self) -> dict[Line, Counting]:
        """The last count of each line, for the next run."""
        return {line: fold.last for line, fold in self.lines.items() if fold.last is not None}

    def _outcome(self, alert: Alert, counting: Counting, now: datetime) -> Outcome:
        if counting.method != self._method:
            return "other_method"
        if self.mac and alert.mac != self.mac:
            return "other_camera"
        line = Line(alert.channel, counting.region)
        if line not in self.lines:
            if len(self.lines) >= MAX_LINES:
                return "too_many"
            self.lines[line] = self._fold(None)
        self.mac = alert.mac
        return self.lines[line].add(counting, now)

    def _fold(self, known: Counting | None) -> RunningFold | IntervalFold:
        if self._method == "realTime":
            return RunningFold(resets_daily=self._resets_daily, known=known)
        return IntervalFold(known=known)
