"""The simulation has teeth: each planted bug is noticed within a few seeds."""

from __future__ import annotations

import pytest

from tests.faultworld.mutants import MUTANTS, Mutant, hunt

pytestmark = pytest.mark.proof
MOST = 60  # seeds from the start that the table names


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_noticed(mutant: Mutant) -> None:
    assert hunt(mutant, start=mutant.start, most=MOST) is not None
