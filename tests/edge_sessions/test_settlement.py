"""The arithmetic of table S: exact, unique or honest."""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import isqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sessions.core.settlement import (
    MAX_CANDIDATES,
    Ambiguous,
    NoFit,
    Nothing,
    Sku,
    Unique,
    milligrams,
    noise_mg,
    same,
    solve,
)

SHELF = (Sku("a", 23.1, 0.3, 100), Sku("b", 30.0, 0.4, 200), Sku("c", 550.0, 2.0, 900))


def shown(verdict):
    if isinstance(verdict, Unique):
        return {t.sku: t.qty for t in verdict.lines}
    return type(verdict).__name__


@pytest.mark.parametrize(
    ("delta_g", "expected"),
    [
        (0.0, "Nothing"),
        (2.0, "Nothing"),  # the border belongs to the noise
        (-2.0, "Nothing"),
        (2.001, "NoFit"),
        (-2.001, "NoFit"),  # something came
        (23.1, {"a": 1}),
        (46.3, {"a": 2}),
        (53.0, {"a": 1, "b": 1}),
        (550.0, {"c": 1}),
        (6 * 30.0, {"b": 6}),
        (7 * 550.0, "NoFit"),  # more than six pieces
        (40.0, "NoFit"),  # a foreign object: never rounded
    ],
)
def test_one_shelf(delta_g, expected):
    assert shown(solve(delta_g, SHELF, sigma_g=0.5)) == expected


def test_tolerance_is_of_the_scale_and_of_every_piece():
    one = (Sku("x", 100.0, 1.0, 1),)
    # max(2, 3 * 0.5) + 3 * 1 * sqrt(1) = 5 g
    assert shown(solve(105.0, one, sigma_g=0.5)) == {"x": 1}
    assert shown(solve(105.001, one, sigma_g=0.5)) == "NoFit"
    # a coarse scale: 3 * 2 + 3 = 9 g
    assert shown(solve(109.0, one, sigma_g=2.0)) == {"x": 1}
    # four pieces: 2 + 3 * sqrt(4) = 8 g
    assert shown(solve(408.0, one, sigma_g=0.5)) == {"x": 4}
    assert shown(solve(408.001, one, sigma_g=0.5)) == "NoFit"
    assert noise_mg(0.1) == 2000
    assert same(10.0, 12.0, 0.5)
    assert not same(10.0, 12.001, 0.5)


def test_twins_are_never_charged():
    twins = (Sku("x", 50.0, 0.1, 1), Sku("y", 50.5, 0.1, 9))
    verdict = solve(50.2, twins, sigma_g=0.5)
    assert isinstance(verdict, Ambiguous)
    assert verdict.count == 2
    assert verdict.best[0].sku == "x"  # the nearest is proposed, not charged


def test_a_full_shelf_of_sixty_ends_in_time_and_says_ambiguous():
    crowd = tuple(Sku(f"s{i}", 40.0 + i / 3, 0.3, 1) for i in range(60))
    verdict = solve(301.0, crowd, sigma_g=0.5)
    assert isinstance(verdict, Ambiguous)
    assert verdict.count == MAX_CANDIDATES


def test_a_search_that_is_cut_short_is_no_verdict(monkeypatch):
    # two pieces fit, but the search stops before it has seen everything: never unique
    monkeypatch.setattr("edge.sessions.core.settlement.MAX_NODES", 3)
    assert isinstance(solve(46.2, SHELF, sigma_g=0.5), Ambiguous)


skus = st.lists(
    st.builds(
        Sku,
        st.just("?"),
        st.integers(50, 9000).map(lambda n: n / 10),
        st.integers(0, 20).map(lambda n: n / 10),
        st.just(1),
    ),
    min_size=1,
    max_size=5,
).map(lambda found: tuple(Sku(str(i), s.unit_g, s.sigma_g, s.price_fen) for i, s in enumerate(found)))


@st.composite
def changes(draw):
    """A shelf and a change: mostly a real basket with some noise, else any number."""
    shelf = draw(skus)
    basket = draw(st.lists(st.sampled_from(shelf), max_size=7))
    noise_g = draw(st.integers(-600, 600)) / 100
    return shelf, round(sum(s.unit_g for s in basket) + noise_g, 3)


@settings(max_examples=200, deadline=None)
@given(changes(), st.sampled_from([0.1, 0.5, 1.0, 2.5]))
def test_agrees_with_brute_force(case, sigma_g):
    shelf, delta_g = case
    verdict = solve(delta_g, shelf, sigma_g=sigma_g)
    base, delta = max(2000, 3 * milligrams(sigma_g)), milligrams(delta_g)
    fits = []
    for n in range(1, 7):
        for pieces in combinations_with_replacement(range(len(shelf)), n):
            total = sum(milligrams(shelf[i].unit_g) for i in pieces)
            spread = sum(isqrt((3 * milligrams(shelf[i].sigma_g)) ** 2 * pieces.count(i)) for i in set(pieces))
            if abs(delta - total) <= base + spread:
                fits.append({shelf[i].sku: pieces.count(i) for i in pieces})
    if abs(delta) <= base:
        assert isinstance(verdict, Nothing)
    elif not fits or delta < 0:
        assert isinstance(verdict, NoFit)
    elif len(fits) == 1:
        assert shown(verdict) == fits[0]
    else:
        assert isinstance(verdict, Ambiguous)
        assert verdict.count == min(len(fits), MAX_CANDIDATES)
        assert {t.sku: t.qty for t in verdict.best} in fits
