"""Make a failing schedule small: take entries out as long as the same rule stays broken."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from simulators.faultworld.schedule import Deed, Fault, Schedule, SlipAt
from simulators.faultworld.world import run

Entry = Deed | Fault | SlipAt


def shrink(
    schedule: Schedule,
    rule: str,
    *,
    within_s: float = 60.0,
    breaks: Callable[[Schedule], str | None] | None = None,
    told: Callable[[int, int], None] = lambda _left, _tried: None,
) -> Schedule:
    """A schedule with fewer entries that still breaks `rule`; the best one found `within_s` real seconds.

    `breaks(schedule)` names the rule that a schedule breaks (None: none). `told(left, tried)` hears of progress.
    """
    broken = breaks or _broken_rule
    end_s = time.monotonic() + within_s
    entries: list[Entry] = [*schedule.faults, *schedule.slips, *schedule.deeds]
    tried = 0

    def fails(part: Sequence[Entry]) -> bool:
        nonlocal tried
        tried += 1
        found = broken(_with(schedule, part)) == rule
        told(len(part) if found else len(entries), tried)
        return found

    pieces = 2
    while entries and time.monotonic() < end_s:
        size = max(1, len(entries) // pieces)
        at = 0
        cut = False
        while at < len(entries) and time.monotonic() < end_s:
            rest = entries[:at] + entries[at + size :]
            if fails(rest):
                entries, cut = rest, True
            else:
                at += size
        if size == 1 and not cut:
            break
        pieces = max(2, len(entries) // max(1, size // 2)) if size > 1 else len(entries) or 1
    return _simpler(_with(schedule, entries), rule, broken, end_s)


def _with(schedule: Schedule, entries: Sequence[Entry]) -> Schedule:
    return msgspec.structs.replace(
        schedule,
        deeds=tuple(e for e in entries if isinstance(e, Deed)),
        faults=tuple(e for e in entries if isinstance(e, Fault)),
        slips=tuple(e for e in entries if isinstance(e, SlipAt)),
    )


def _simpler(schedule: Schedule, rule: str, broken: Callable[[Schedule], str | None], end_s: float) -> Schedule:
    """Fewer stores and workers, and single events instead of bursts, where the rule still breaks."""
    for change in (
        {"workers": 1},
        {"stores": 1},
        {"stores": 2},
        {"deeds": tuple(msgspec.structs.replace(deed, count=1, size=0) for deed in schedule.deeds)},
    ):
        smaller = msgspec.structs.replace(schedule, **change)
        worth = smaller != schedule and smaller.stores <= schedule.stores and time.monotonic() < end_s
        if worth and broken(smaller) == rule:
            schedule = smaller
    return schedule


def _broken_rule(schedule: Schedule) -> str | None:
    violation = run(schedule).violation
    return None if violation is None else violation.rule
