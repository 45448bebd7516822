"""`ZHANGGUI_MUST=1`, as in the gate: what this machine lacks (a broker, a database, a parser, a mount) is a failure."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

ENV = "ZHANGGUI_MUST"


def must() -> bool:
    """Whether nothing may be left out."""
    return os.environ.get(ENV, "") not in ("", "0")


def missing(reason: str) -> NoReturn:
    """Skip the test for what is not here; where nothing may be left out, fail in one sentence."""
    if must():
        pytest.fail(f"{ENV}=1, and {reason}", pytrace=False)
    pytest.skip(reason)
