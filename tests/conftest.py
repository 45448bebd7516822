"""Fixtures for all rooms: a real broker on loopback, a clock that only tests move."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from contracts.clock import ManualClock

HANGS_AFTER_S = 300


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


@pytest.fixture(autouse=True)
def _no_test_hangs() -> Iterator[None]:
    """A test that waits for ever fails, instead of taking the whole run with it."""

    def late(_signal: int, _frame: object) -> None:
        raise TimeoutError(f"the test hangs: no end after {HANGS_AFTER_S} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(HANGS_AFTER_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
