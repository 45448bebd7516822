"""Table S, the arithmetic: what left a shelf, as whole pieces, or an honest "cannot tell".

Weights become integer milligrams at the border, so that every comparison is exact. A vector of pieces fits when its
weight differs from the change by at most `max(2 g, 3 sigma of the scale) + sum of 3 sigma of the product * sqrt(n)`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

MAX_ITEMS = 6
MAX_CANDIDATES = 32  # more than one is a review already; counting further helps nobody
MAX_NODES = 60_000  # of the search; beyond it the shelf is called ambiguous
_FLOOR_MG = 2_000


@dataclass(frozen=True, slots=True)
class Sku:
    """One product on a shelf. Weights in grams, price in fen."""

    sku: str
    unit_g: float
    sigma_g: float
    price_fen: int


@dataclass(frozen=True, slots=True)
class Taken:
    """`qty` pieces of one product."""

    sku: str
    qty: int
    price_fen: int


@dataclass(frozen=True, slots=True)
class Nothing:
    """The change is within the noise of the scale."""


@dataclass(frozen=True, slots=True)
class Unique:
    """Exactly one vector fits."""

    lines: tuple[Taken, ...]


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """More than one vector fits, or the search was cut short. `best` is the nearest of those found."""

    count: int
    best: tuple[Taken, ...]


@dataclass(frozen=True, slots=True)
class NoFit:
    """No vector fits: something came, something foreign left, or more than may leave at once."""


Verdict = Nothing | Unique | Ambiguous | NoFit


def milligrams(weight_g: float) -> int:
    """A weight at the border: grams to the nearest milligram."""
    return round(weight_g * 1000)


def noise_mg(sigma_g: float) -> int:
    """What a scale may say without anything having moved: `max(2 g, 3 sigma)`."""
    return max(_FLOOR_MG, 3 * milligrams(sigma_g))


def same(a_g: float, b_g: float, sigma_g: float) -> bool:
    """Whether two weights of one shelf are equal within the noise of its scale."""
    return abs(milligrams(a_g) - milligrams(b_g)) <= noise_mg(sigma_g)


def spread_mg(sigma_mg: int, qty: int) -> int:
    """`3 sigma * sqrt(qty)`, rounded down."""
    return isqrt(9 * sigma_mg * sigma_mg * qty)


def solve(delta_g: float, skus: Sequence[Sku], *, sigma_g: float, max_items: int = MAX_ITEMS) -> Verdict:
    """Which whole pieces weigh `delta_g` (positive: they left). `skus`: at most 60; `sigma_g`: of the scale."""
    delta_mg, base_mg = milligrams(delta_g), noise_mg(sigma_g)
    if abs(delta_mg) <= base_mg:
        return Nothing()
    if delta_mg < 0:
        return NoFit()
    search = _Search(sorted(skus, key=lambda s: s.unit_g), base_mg)
    search.run(delta_mg, max_items)
    if not search.found:
        return Ambiguous(0, ()) if search.cut else NoFit()
    best = min(search.found, key=lambda f: (f[0], len(f[1])))[1]
    lines = search.lines(best)
    return Unique(lines) if len(search.found) == 1 and not search.cut else Ambiguous(len(search.found), lines)


class _Search:
    """Depth first over pieces from heavy to light; two bisections bound every level to pieces that can still fit."""

    def __init__(self, skus: Sequence[Sku], base_mg: int) -> None:
        self._skus = skus
        self._weight = [milligrams(s.unit_g) for s in skus]
        self._sigma = [milligrams(s.sigma_g) for s in skus]
        self._slack = 3 * max(self._sigma, default=0)  # a piece's spread is at most this, since sqrt(n) <= n
        self._base = base_mg
        self._nodes = 0
        self.found: list[tuple[int, tuple[int, ...]]] = []
        self.cut = False

    def lines(self, pieces: tuple[int, ...]) -> tuple[Taken, ...]:
        counted = {i: pieces.count(i) for i in sorted(set(pieces))}
        return tuple(Taken(self._skus[i].sku, n, self._skus[i].price_fen) for i, n in counted.items())

    def run(self, delta_mg: int, max_items: int) -> None:
        for total in range(1, max_items + 1):
            self._go(delta_mg, total, len(self._weight), (), self._base + total * self._slack)

    def _go(self, rest_mg: int, left: int, end: int, pieces: tuple[int, ...], bound_mg: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES or len(self.found) >= MAX_CANDIDATES:
            self.cut = True
            return
        if left == 0:
            self._leaf(rest_mg, pieces)
            return
        # The heaviest piece still to choose weighs at least its share of the rest and at most all of it.
        first = bisect_left(self._weight, -(-(rest_mg - bound_mg) // left), 0, end)
        last = bisect_right(self._weight, rest_mg + bound_mg, first, end)
        for i in range(first, last):
            self._go(rest_mg - self._weight[i], left - 1, i + 1, (*pieces, i), bound_mg)
            if self.cut:
                return

    def _leaf(self, rest_mg: int, pieces: tuple[int, ...]) -> None:
        spread = sum(spread_mg(self._sigma[i], pieces.count(i)) for i in set(pieces))
        if abs(rest_mg) <= self._base + spread:
            self.found.append((abs(rest_mg), pieces))
