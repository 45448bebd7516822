"""When a value is an alarm, and when that is over. Pure: values and times go in, changes come out.

A value beyond a limit for `for_s` without a break begins an alarm; one that is `hysteresis` inside again ends it, so
that a value that trembles at the limit is told once. A value that is missing for as long is an alarm of its own, and
neither begins nor ends the others: of a broken probe nobody knows how warm it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Values = Mapping[str, float | str]


@dataclass(frozen=True, slots=True)
class Limit:
    """What must be true of one value. `code` names the alarm; exactly one of `least` and `most` is given, or neither
    for a value that must only be there."""

    value: str
    code: str
    least: float | None = None
    most: float | None = None
    hysteresis: float = 0.0
    for_s: float = 0.0

    def is_bad(self, number: float | None) -> bool:
        """Whether the value is beyond."""
        if self.least is None and self.most is None:
            return number is None
        if number is None:
            return False
        return (self.least is not None and number < self.least) or (self.most is not None and number > self.most)

    def is_good(self, number: float | None) -> bool:
        """Whether the value is inside by more than a tremble."""
        if number is None:
            return False
        if self.least is not None and number < self.least + self.hysteresis:
            return False
        return self.most is None or number <= self.most - self.hysteresis


@dataclass(frozen=True, slots=True)
class Change:
    """An alarm began or ended. `detail` is for people; `lasted_s` how long it was, 0.0 if told before this start."""

    code: str
    begins: bool
    detail: str = ""
    lasted_s: float = 0.0


@dataclass(slots=True)
class _Alarm:
    limit: Limit
    bad_since_s: float | None = None
    told_s: float | None = None
    active: bool = False


@dataclass(slots=True)
class LimitWatch:
    """The alarms of one device. `active` are those told before this start."""

    limits: tuple[Limit, ...]
    active: frozenset[str] = frozenset()
    _alarms: list[_Alarm] = field(init=False)

    def __post_init__(self) -> None:
        self._alarms = [_Alarm(limit, active=limit.code in self.active) for limit in self.limits]

    def see(self, values: Values, now_s: float) -> list[Change]:
        """What began or ended with these values. A value that is not among them is missing."""
        changes = []
        for alarm in self._alarms:
            number = values.get(alarm.limit.value)
            change = _judged(alarm, None if isinstance(number, str) else number, now_s)
            if change is not None:
                changes.append(change)
        return changes


def _judged(alarm: _Alarm, number: float | None, now_s: float) -> Change | None:
    limit = alarm.limit
    if alarm.active:
        if not limit.is_good(number):
            return None
        lasted_s = 0.0 if alarm.told_s is None else now_s - alarm.told_s
        alarm.active, alarm.bad_since_s, alarm.told_s = False, None, None
        return Change(limit.code, begins=False, lasted_s=lasted_s)
    if not limit.is_bad(number):
        if number is not None:
            alarm.bad_since_s = None
        return None
    if alarm.bad_since_s is None:
        alarm.bad_since_s = now_s
    if now_s - alarm.bad_since_s < limit.for_s:
        return None
    alarm.active, alarm.told_s = True, now_s
    return Change(limit.code, begins=True, detail=_detail(limit, number))


def _detail(limit: Limit, number: float | None) -> str:
    if number is None:
        return f"{limit.value}: no value; is the probe broken?"
    edge = f"at least {limit.least:g}" if limit.least is not None else f"at most {limit.most:g}"
    return f"{limit.value} is {number:g}, wanted {edge}, for {limit.for_s:g} s"
