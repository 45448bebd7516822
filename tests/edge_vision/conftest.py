"""The real weight, for the tests that need it."""

from tests.models.weights import detector, person_weight

__all__ = ["detector", "person_weight"]
