"""Fixtures for all rooms: a real broker on loopback, a clock that only tests move."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.clock import ManualClock
from simulators.lifeline import ends_with_us
from tests import must

HANGS_AFTER_S, PROOF_HANGS_AFTER_S = 300, 900
LONGEST_ID = 16


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
    process = subprocess.Popen(
        [sys.executable, "-m", "zhanggui.broker", "--port", str(port)],
        stdin=subprocess.DEVNULL,
        preexec_fn=ends_with_us(),  # noqa: PLW1509 - one call of libc; and a run that is killed leaves no broker
    )
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


def waiting() -> str:
    """Where each task of the running loop stands, down to what it awaits, a line each; empty where no loop runs."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:
        return ""
    said = ""
    for task in tasks:
        said += f"\n  {task.get_name()}:"
        coroutine = task.get_coro()
        while (frame := getattr(coroutine, "cr_frame", None)) is not None:
            said += f" > {frame.f_code.co_qualname} {Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
            coroutine = coroutine.cr_await
    return said


@pytest.fixture(autouse=True)
def _no_test_hangs(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that waits for ever fails, instead of taking the whole run with it. A soak takes what it takes."""
    if request.node.get_closest_marker("soak"):
        yield
        return
    after_s = PROOF_HANGS_AFTER_S if request.node.get_closest_marker("proof") else HANGS_AFTER_S

    def late(_signal: int, _frame: object) -> None:
        raise TimeoutError(f"the test hangs: no end after {after_s} s{waiting()}")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(after_s)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Long bytes are named by their argument: packed ones hold a time, and all processes must call a test the same."""
    return argname if isinstance(val, bytes) and len(val) > LONGEST_ID else None


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where nothing may be left out, a test that was skipped has failed; one that has no cases has nothing to prove."""
    report = yield
    if must.must() and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(call.excinfo)
        if "got empty parameter set" not in reason:
            report.outcome, report.longrepr = "failed", f"{must.ENV}=1, and this was left out: {reason}"
    return report
