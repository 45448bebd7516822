"""Whether the agent served at all: each shown code got an answer, and a long story sold something."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

from simulators.truth.doors import EARLY_S, RECOVERY_S, Darkness
from simulators.truth.sessions import Ledger
from simulators.truth.visits import Truth, Visit

LONG_STORY_S = 300.0


def check_answers(
    truth: Truth, ledger: Ledger, dark: Darkness, served: Collection[str], *, late_s: float
) -> Iterator[str]:
    """Every visit that showed a member's code got a session or a refusal. `served`: the visits that have a session.

    Not asked of codes shown while the agent was away or something was broken nearby, `late_s` to either side.
    """
    starts_s = min((first for first, _ in ledger.boots.values()), default=math.inf)
    away = [(-math.inf, starts_s + RECOVERY_S + 3 * late_s), *dark.spans]
    away += [(fault.began_s, fault.ended_s) for fault in truth.faults]
    for visit in truth.visits.values():
        if not visit.codes or visit.name in served or _refused(visit, ledger, late_s=late_s):
            continue
        if not any(began <= t + late_s and t - late_s <= ended for t, _ in visit.codes for began, ended in away):
            yield f"{visit.name} showed a code at {visit.codes[0][0]:.1f} s and nobody answered"


def _refused(visit: Visit, ledger: Ledger, *, late_s: float) -> bool:
    return any(
        where in (visit.cabinet, scanner) and shown_s - EARLY_S <= t <= shown_s + late_s
        for shown_s, scanner in visit.codes
        for t, where in ledger.refusals
    )


def check_sales(truth: Truth, ledger: Ledger) -> Iterator[str]:
    """A store in which nobody buys anything for five minutes equals every ledger that tells of nothing."""
    first_s, last_s = truth.span
    if last_s - first_s >= LONG_STORY_S and not any(session.sold for session in ledger.sessions.values()):
        yield "nothing was sold: the story proves nothing"
