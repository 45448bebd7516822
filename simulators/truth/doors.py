"""Whether each physical opening was told once, each closing after it, and each pulse had its durable intent."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from simulators.truth.sessions import DoorSaid, Ledger, Session
from simulators.truth.visits import FOREVER, Opening, Truth

EARLY_S = 0.05  # an event cannot come before its cause; this much is rounding
RECOVERY_S = 10.0  # after a start the agent may need so long until it sees doors again, and three times `late_s`
BLINDING = frozenset({"unplug", "reboot", "stuck"})


@dataclass(slots=True)
class Darkness:
    """When nobody watched: from each kill, else from the last word of a boot, to the first word of the next."""

    spans: list[tuple[float, float]] = field(default_factory=list)

    @classmethod
    def of(cls, ledger: Ledger, kills: Sequence[float], *, late_s: float) -> Darkness:
        boots, recovery_s = sorted(ledger.boots.values()), RECOVERY_S + 3 * late_s
        spans = [
            (last, first + recovery_s)
            for (_, last), (first, _) in pairwise(boots)
            if not any(last <= kill <= first for kill in kills)  # a kill says better when it began
        ]
        for kill in kills:
            back_s = min((first for first, _ in boots if first > kill), default=FOREVER)
            spans.append((kill, back_s + recovery_s))
        return cls(spans)


def crosses_kill(session: Session, kills: Sequence[float]) -> bool:
    """True if the agent died between the session's start and its conclusion."""
    if not session.starts or session.first is None:
        return False
    started_s, boot, _ = session.starts[0]
    # A kill is noted a moment before or after it acts; another boot is the surer sign.
    return session.first.boot != boot or any(started_s <= kill <= session.first.t - 1.0 for kill in kills)


def darkness_at(truth: Truth, dark: Darkness, opening: Opening, *, late_s: float = 0.0) -> list[tuple[float, float]]:
    """The spans of an opening, and of `late_s` after it, in which the agent could not see the door."""
    first_s, last_s = opening.opened_s, opening.closed_s + late_s
    broken = truth.faults_at(opening.compartment, first_s, last_s)
    spans = dark.spans + [(fault.began_s, fault.ended_s) for fault in broken if fault.detail in BLINDING]
    return sorted((began, ended) for began, ended in spans if began <= last_s and first_s <= ended)


def longest_look_s(opening: Opening, spans: list[tuple[float, float]]) -> float:
    """The longest the open door stood in sight without a break."""
    longest_s, since_s = 0.0, opening.opened_s
    for began, ended in spans:
        longest_s = max(longest_s, began - since_s)
        since_s = max(since_s, ended)
    return max(longest_s, opening.closed_s - since_s)


def check_openings(truth: Truth, ledger: Ledger, dark: Darkness, *, bounce_s: float, late_s: float) -> Iterator[str]:
    """Each opening has one `door.opened` or `door.forced`, unless it was too short or nobody could see it."""
    said: dict[str, list[DoorSaid]] = {}
    for word in sorted(ledger.doors, key=lambda one: one.t):
        said.setdefault(word.compartment, []).append(word)
    openings = by_compartment(truth)
    for compartment in sorted(said.keys() | openings.keys()):
        mine = openings.get(compartment, [])
        matched: dict[int, DoorSaid] = {}
        for word in said.get(compartment, []):
            yield from _match(truth, ledger, mine, matched, word, late_s=late_s)
        for i, opening in enumerate(mine):
            again = i + 1 < len(mine) and mine[i + 1].opened_s - opening.closed_s < bounce_s
            if i not in matched:
                # A door that closed and was pulled open again at once never looked closed.
                same = i > 0 and opening.opened_s - mine[i - 1].closed_s < bounce_s
                seen = _in_sight(truth, dark, opening, bounce_s=bounce_s, late_s=late_s)
                if seen and not same and not _in_incident(ledger, opening):
                    who = opening.visit or "nobody"
                    yield f"{who} opened {compartment} at {opening.opened_s:.1f} s and nothing tells of it"
                continue
            if matched[i].forced and (claimant := _claimant(truth, ledger, opening, matched[i])):
                yield f"session {claimant} claimed {compartment}, yet its opening is told as forced"
            if not again:
                yield from _closing(truth, ledger, dark, opening, matched[i], late_s=late_s)


def _in_sight(truth: Truth, dark: Darkness, opening: Opening, *, bounce_s: float, late_s: float) -> bool:
    """True if the door stood open so long that the polls must have found it; a bad line makes them slower."""
    spans = darkness_at(truth, dark, opening)
    slow = any(f.detail == "bad_line" for f in truth.faults_at(opening.compartment, opening.opened_s, opening.closed_s))
    return longest_look_s(opening, spans) >= (late_s if spans or slow else bounce_s)


def _in_incident(ledger: Ledger, opening: Opening) -> bool:
    """True if an earlier opening by force was still being looked into: one incident tells of all until it is closed."""
    forced_s = [
        w.t for w in ledger.doors if w.forced and w.compartment == opening.compartment and w.t < opening.opened_s
    ]
    closed_s = [t for t, where, _ in ledger.unexplained if where == opening.compartment and t < opening.opened_s]
    return bool(forced_s) and max(forced_s) > max(closed_s, default=-1.0)


def by_compartment(truth: Truth) -> dict[str, list[Opening]]:
    """The openings of each door, in order; those of one door never overlap."""
    openings: dict[str, list[Opening]] = {}
    for opening in truth.openings:
        openings.setdefault(opening.compartment, []).append(opening)
    return openings


def _near(openings: list[Opening], t: float, *, late_s: float) -> list[int]:
    """The openings that a word at `t` may tell of, last first."""
    found = []
    for i in range(bisect_right(openings, t + EARLY_S, key=lambda one: one.opened_s) - 1, -1, -1):
        if openings[i].closed_s + late_s < t:
            break
        found.append(i)
    return found


def _match(
    truth: Truth,
    ledger: Ledger,
    openings: list[Opening],
    matched: dict[int, DoorSaid],
    word: DoorSaid,
    *,
    late_s: float,
) -> Iterator[str]:
    near = _near(openings, word.t, late_s=late_s)
    free = [i for i in near if i not in matched]
    name = f"session {word.session}" if word.session else "an incident"
    if free:
        # The one the word falls into, else the last: a shorter one before it may never have been seen.
        matched[max(free, key=lambda i: (word.t <= openings[i].closed_s, i))] = word
    elif near:
        if not _may_be_told_again(ledger, matched[near[0]], word):
            yield f"{name} tells the opening of {word.compartment} at {openings[near[0]].opened_s:.1f} s again"
    elif not any(f.detail == "stuck" for f in truth.faults_at(word.compartment, word.t - late_s, word.t)):
        yield f"{name} tells of an opening of {word.compartment} at {word.t:.1f} s that never was"


def _may_be_told_again(ledger: Ledger, first: DoorSaid, again: DoorSaid) -> bool:
    """After a restart the open door is found again; after a session gave up waiting, table W finds it open."""
    if again.blind:
        return True
    session = ledger.sessions.get(first.session)
    return again.forced and session is not None and session.concluded_s <= again.t


def _claimant(truth: Truth, ledger: Ledger, opening: Opening, said: DoorSaid) -> str:
    """The session whose frame had gone out when the door opened, and which had not concluded when that was told."""
    for session in ledger.sessions.values():
        first_s, last_s = session.claim
        if session.compartment != opening.compartment or said.t >= last_s:
            continue
        if any(first_s <= t < opening.opened_s for t, where in truth.pulses if where == opening.compartment):
            return session.id
    return ""


def _closing(
    truth: Truth, ledger: Ledger, dark: Darkness, opening: Opening, said: DoorSaid, *, late_s: float
) -> Iterator[str]:
    session = ledger.sessions.get(said.session)
    if said.forced or session is None or opening.closed_s == FOREVER or session.concluded_s < opening.closed_s:
        return
    if any(opening.closed_s - EARLY_S <= t <= opening.closed_s + late_s for t in session.closed):
        return
    if not darkness_at(truth, dark, opening, late_s=late_s):
        yield f"session {session.id} never tells that {opening.compartment} closed at {opening.closed_s:.1f} s"


def check_closings(truth: Truth, ledger: Ledger, *, late_s: float) -> Iterator[str]:
    """Each `door.closed` has its own closing."""
    openings = by_compartment(truth)
    used: set[tuple[str, int]] = set()
    for t, compartment, session in sorted(ledger.closings):
        mine = openings.get(compartment, [])
        near = [i for i in _near(mine, t, late_s=late_s) if mine[i].closed_s <= t + EARLY_S]
        free = [i for i in near if (compartment, i) not in used]
        if free:
            used.add((compartment, free[0]))
        elif not any(f.detail == "stuck" for f in truth.faults_at(compartment, t - late_s, t)):
            yield f"session {session or '-'} tells of a closing of {compartment} at {t:.1f} s that never was, or again"


def check_pulses(truth: Truth, ledger: Ledger) -> Iterator[str]:
    """No solenoid fires without an intent that was durable before; no outcome claims what did not happen."""
    fired: dict[str, float] = {}
    grants: dict[str, list[tuple[float, str]]] = {}
    for session in ledger.sessions.values():
        grants.setdefault(session.compartment, []).extend((t, grant.intent) for t, grant in session.grants)
    for mine in grants.values():
        mine.sort()
    for pulse_s, compartment in sorted(truth.pulses):
        mine = grants.get(compartment, [])
        last = bisect_right(mine, pulse_s + EARLY_S, key=lambda one: one[0])
        intent = next((mine[i][1] for i in range(last - 1, -1, -1) if mine[i][1] not in fired), None)
        if intent is None:
            yield f"{compartment} was pulsed at {pulse_s:.1f} s without an intent in the ledger"
        else:
            fired[intent] = pulse_s
    for session in ledger.sessions.values():
        yield from _intents(session, fired)


def _intents(session: Session, fired: dict[str, float]) -> Iterator[str]:
    granted = Counter(grant.intent for _, grant in session.grants)
    outcomes = Counter(outcome.intent for outcome in session.outcomes)
    for intent, count in granted.items():
        if count > 1:
            yield f"session {session.id} grants intent {intent} {count} times"
        if outcomes[intent] != 1:
            yield f"session {session.id} has {outcomes[intent]} outcomes of intent {intent}, not one"
    for intent in outcomes.keys() - granted.keys():
        yield f"session {session.id} has an outcome of intent {intent}, which it never granted"
    for outcome in session.outcomes:
        if outcome.result == "opened" and outcome.intent not in fired:
            yield f"session {session.id} says intent {outcome.intent} opened, but no solenoid fired"
        if outcome.result == "not_sent" and outcome.intent in fired:
            yield f"session {session.id} says intent {outcome.intent} was not sent, but the solenoid fired"
    limit = 1 if session.start is not None and session.start.mode == "staff_release" else 2
    pulsed = [intent for intent in granted if intent in fired]
    if len(pulsed) > limit:
        yield f"session {session.id} fired the solenoid {len(pulsed)} times, at most {limit}"
