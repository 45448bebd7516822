"""The real person detector for tests: fetched once into the user's cache, then from there."""

from __future__ import annotations

import os

import pytest

from models import FetchError, fetch
from models.person import PersonDetector


@pytest.fixture(scope="session")
def person_weight():
    """The weight is on this machine. Without a network the test is skipped; in CI it fails with the sentence."""
    try:
        return fetch("person")
    except FetchError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def detector(person_weight):
    """NanoDet as the worker uses it: unsure detections are for the tracker."""
    return PersonDetector.load(threshold=0.2)
