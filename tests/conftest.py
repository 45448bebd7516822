"""Fixtures for all rooms: a real broker on loopback, a clock that only tests move."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from contracts.clock import ManualClock


@dataclass(frozen=True)
class BrokerAddress:
    """Where the test broker listens."""

    port: int

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def broker() -> Iterator[BrokerAddress]:
    """The embedded broker in a process of its own, as the product runs it."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "zhanggui.broker", "--port", str(port)], stdin=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline_s:
                    raise RuntimeError("the embedded broker did not start") from None
                time.sleep(0.05)
        yield BrokerAddress(port)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
