"""What a person reads after a story, and the blow for a camera's process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console

from zhanggui.demo import verdict


def shown(**changes: Any) -> str:
    result: dict[str, Any] = {
        "equal": True,
        "findings": [],
        "counters": {"visits": 4, "sale_lines": 3},
        "crossings": {"in": {"truth": 2, "counted": 1, "error": 0.5}, "out": {"truth": 0, "counted": 0, "error": None}},
        "kills": [],
        "drained_s": 0.4,
        "speed": {"asked": 5.0, "achieved": 4.9, "lowered": []},
    }
    console = Console(record=True, width=120, color_system=None, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115 - a console's bin
    verdict.show(result | changes, console)
    console.file.close()
    return console.export_text()


def test_an_equal_story_says_so_last() -> None:
    text = shown()
    assert text.rstrip().splitlines()[-1] == "equal"
    assert "sale lines" in text
    assert "people in: counted of truth │ 1 of 2" in text
    assert "people out" not in text  # nobody went, nobody was counted
    assert "speed: 5 asked, 4.9 achieved; drained in 0.4 s" in text


def test_findings_are_shown_as_they_are_and_capped() -> None:
    findings = [f"session [b]{n}[/b] differs" for n in range(verdict.MAX_SHOWN + 3)]
    text = shown(equal=False, findings=findings)
    assert text.rstrip().splitlines()[-1] == "NOT equal"
    assert text.count("differs: session [b]") == verdict.MAX_SHOWN  # markup of a finding is text
    assert "… and 3 more, see --report" in text


def test_blows_and_a_lowered_speed_are_told() -> None:
    text = shown(
        kills=[{"process": "bridge", "at_s": 12.5}], speed={"asked": 5.0, "achieved": 3.2, "lowered": [4.0, 3.2]}
    )
    assert "killed: bridge 12.5 store seconds into the story" in text
    assert "lowered to [4.0, 3.2]" in text


WORKER = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.mark.parametrize(("word", "killed"), [("edge.vision.worker", True), ("edge.vision.walker", False)])
def test_the_blow_hits_a_camera_worker_of_that_agent_and_nothing_else(word: str, killed: bool) -> None:
    child = subprocess.Popen([*WORKER, word])
    try:
        assert verdict.kill_camera_worker(os.getppid()) is False  # not its parent
        assert verdict.kill_camera_worker(os.getpid()) is killed
        if killed:
            assert child.wait(10) == -signal.SIGKILL
            assert verdict.kill_camera_worker(os.getpid()) is False
        else:
            assert child.poll() is None
    finally:
        child.kill()
        child.wait()
