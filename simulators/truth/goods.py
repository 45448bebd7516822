"""Whether every gram that moved was told: per shelf, what left against what sales, reviews and incidents say left."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from simulators.truth.sessions import PEOPLE_MODES, Ledger, Session
from simulators.truth.visits import Move, Truth

Difference = tuple[bool, str]
"""Whether a broken scale explains it, and the sentence that names it."""


@dataclass(frozen=True, slots=True)
class Told:
    """At `t` the ledger accounted for `delta_g` of a shelf; None: for whatever it was, as unknown."""

    t: float
    delta_g: float | None
    by: str


def moves_of(truth: Truth, session: Session) -> list[Move]:
    """What moved behind the session's door while it held the claim."""
    first_s, last_s = session.claim
    first, last = bisect_left(truth.moves, first_s, key=_when), bisect_right(truth.moves, last_s, key=_when)
    return [m for m in truth.moves[first:last] if m.compartment == session.compartment]


def _when(move: Move) -> float:
    return move.t


def check_lines(truth: Truth, session: Session) -> Iterator[Difference]:
    """A sale by weight names exactly what left, by shelf, product and quantity."""
    first = session.first
    if first is None or first.lines is None or session.start is None or session.start.mode not in PEOPLE_MODES:
        return
    left: Counter[tuple[str, str]] = Counter()
    visits = set()
    for move in moves_of(truth, session):
        if move.sku:
            left[move.shelf, move.sku] += move.qty
            visits.add(move.visit)
    sold: Counter[tuple[str, str]] = Counter()
    for line in first.lines:
        sold[line.shelf, line.sku] += line.qty
    for shelf, sku in sorted(left.keys() | sold.keys()):
        held, charged = left[shelf, sku], sold[shelf, sku]
        if held != charged:
            who = ", ".join(sorted(visits)) or "nobody"
            broken = _broken(truth, session.compartment, shelf, *session.claim)
            yield broken, f"session {session.id} sells {charged} of {sku} from {shelf}, but {held} left it ({who})"


def _broken(truth: Truth, compartment: str, shelf: str, first_s: float, last_s: float) -> bool:
    return any(fault.shelf == shelf for fault in truth.faults_at(compartment, first_s, last_s, shelf))


def check_shelves(truth: Truth, ledger: Ledger, *, tolerance_g: float) -> Iterator[Difference]:
    """Every gram in its turn."""
    told: dict[str, list[Told]] = {}
    for session in ledger.sessions.values():
        for conclusion in session.conclusions:
            for said in conclusion.shelves:
                told.setdefault(said.shelf, []).append(Told(conclusion.t, said.delta_g, f"session {session.id}"))
    for t, compartment, said in ledger.unexplained:
        told.setdefault(said.shelf, []).append(Told(t, said.delta_g, f"the unexplained change in {compartment}"))
    places = {move.shelf: move.compartment for move in truth.moves}
    for shelf in sorted(told.keys() | places.keys()):
        moves = [move for move in truth.moves if move.shelf == shelf]  # in order already
        words = sorted(told.get(shelf, []), key=lambda w: w.t)
        for since_s, until_s, sentence in _shelf(shelf, moves, words, tolerance_g):
            yield _broken(truth, places.get(shelf, ""), shelf, since_s, until_s), sentence


def _shelf(shelf: str, moves: list[Move], words: list[Told], tolerance_g: float) -> Iterator[tuple[float, float, str]]:
    """Differences on one shelf, with the span of time in which each arose."""
    since_s, told = -math.inf, 0
    for word in words:
        until = bisect_right(moves, word.t, key=_when)
        was_g, who = _sum(moves[told:until])
        if word.delta_g is not None and abs(was_g - word.delta_g) > tolerance_g:
            yield since_s, word.t, f"{word.by} says {word.delta_g:g} g left {shelf}, it was {was_g:.1f} g ({who})"
        since_s, told = word.t, until
    untold_g, who = _sum(moves[told:])
    if abs(untold_g) > tolerance_g:
        yield math.inf, math.inf, f"{untold_g:.1f} g left {shelf} and no sale, review or incident tells of it ({who})"


def _sum(moves: list[Move]) -> tuple[float, str]:
    """The grams that left, and whose doing it was."""
    return sum(move.grams for move in moves), ", ".join(sorted({m.visit for m in moves if m.visit})) or "nobody"
