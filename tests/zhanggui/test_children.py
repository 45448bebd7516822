"""Processes of a demo: watched, killed on demand, and none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zhanggui.demo.children import Children
from zhanggui.errors import UserError

SLEEPER = "import time\nprint('here', flush=True)\ntime.sleep(60)\n"
DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('here', flush=True)\ntime.sleep(60)\n"
FAILS = "raise SystemExit('port 1 is in use')\n"


@pytest.fixture
def children(tmp_path: Path) -> Children:
    for name, code in {"sleeper": SLEEPER, "deaf": DEAF, "fails": FAILS, "ends": ""}.items():
        (tmp_path / f"{name}.py").write_text(code)
    return Children(tmp_path, {"PYTHONPATH": str(tmp_path)})


def until(condition) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


async def test_stop_reaches_everyone_even_the_deaf(children: Children, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("zhanggui.demo.children._STOP_WITHIN_S", 0.3)
    started = [children.start(name, [name]) for name in ("sleeper", "deaf")]
    until(lambda: all("here" in c.last_words() for c in started))
    children.check()
    await children.stop()
    assert all(c.process.poll() is not None for c in started)


async def test_the_last_words_of_a_fallen_process_are_told(children: Children):
    child = children.start("fails", ["fails"])
    until(lambda: child.process.poll() is not None)
    with pytest.raises(UserError, match="port 1 is in use"):
        children.check()
    await children.stop()


async def test_one_that_may_end_may_end(children: Children):
    child = children.start("ends", ["ends"])
    until(lambda: child.process.poll() is not None)
    children.check(may_end=("ends",))
    with pytest.raises(UserError, match="it said nothing"):
        children.check()


async def test_kill_and_restart_counts(children: Children):
    child = children.start("sleeper", ["sleeper"])
    first = child.pid
    children.kill_and_restart("sleeper")
    assert (child.kills, gone(first)) == (1, True)
    assert child.pid != first
    await children.stop()


def test_children_die_with_a_parent_that_is_killed(children: Children, tmp_path: Path):
    """SIGKILL leaves a parent no time to stop anyone: the kernel does."""
    script = (
        "import time\nfrom pathlib import Path\nfrom zhanggui.demo.children import Children\n"
        f"c = Children(Path({str(tmp_path)!r}), {{'PYTHONPATH': {str(tmp_path)!r}}})\n"
        "print(c.start('sleeper', ['sleeper']).pid, flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until(lambda: gone(pid))
