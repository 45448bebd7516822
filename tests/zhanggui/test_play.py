"""The conductor in this process: a quiet story with blows, an open house, and every way in which a start can fail."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.conftest import free_port
from zhanggui import cli
from zhanggui.demo import conductor
from zhanggui.demo.conductor import DemoOptions, run
from zhanggui.demo.store import places
from zhanggui.errors import UserError

QUIET_SEED = 87  # nobody comes in the first half minute


def options(folder: Path, **changes: Any) -> DemoOptions:
    given: dict[str, Any] = {
        "data": folder / "demo",
        "port": free_port(),
        "store_port": free_port(),
        "seed": QUIET_SEED,
        "speed": 10.0,
        "headless": True,
        "minutes": 0.5,
        "report": folder / "report.json",
        "chaos": False,
        "broker": "",
        "camera": False,
    }
    return DemoOptions(**(given | changes))


def meanwhile(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="meanwhile")
    thread.start()
    return thread


def _status(port: int, deadline_s: float) -> int:
    """What a page answers, as soon as it does; 0 if it never does."""
    while time.monotonic() < deadline_s:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return int(answer.status)
        except OSError:
            time.sleep(0.1)
    return 0


def test_a_quiet_story_with_blows_reports_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(options(tmp_path, chaos=True, speed=6.0))
    report = json.loads((tmp_path / "report.json").read_text())
    assert code == (0 if report["equal"] else 1)
    dealt = [k["process"] for k in report["kills"]]
    assert dealt == ["agent", "bridge", "agent"][: len(dealt)]  # a slow start leaves less of so short a story
    assert (report["seed"], report["minutes"], report["chaos"]) == (QUIET_SEED, 0.5, True)
    assert report["counters"]["visits"] == report["counters"]["units"] == 0
    assert capsys.readouterr().out.rstrip().endswith("equal")
    assert not places(tmp_path / "demo").desk_socket.exists()


def test_a_story_that_differs_ends_with_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = conductor.verdict.judge

    def unfair(*given: Any, **more: Any) -> dict[str, Any]:
        return real(*given, **more) | {"equal": False, "findings": ["planted"]}

    monkeypatch.setattr(conductor.verdict, "judge", unfair)
    assert run(options(tmp_path, speed=30.0)) == 1
    assert json.loads((tmp_path / "report.json").read_text())["findings"] == ["planted"]


def test_an_open_house_prints_two_addresses_and_ends_with_ctrl_c(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = options(tmp_path, headless=False, speed=1.0)
    answers: list[int] = []

    def visit() -> None:
        deadline_s = time.monotonic() + 60
        while not (given.data / "logs" / "pages.log").exists() and time.monotonic() < deadline_s:
            time.sleep(0.1)
        time.sleep(0.5)  # the last process is forked: before it, a second thread had better hold no lock
        answers.extend(_status(port, deadline_s) for port in (given.port, given.store_port))
        os.kill(os.getpid(), signal.SIGINT)

    visitor = meanwhile(visit)
    code = run(given)
    visitor.join(60)
    said = capsys.readouterr().out
    assert (answers, code) == ([200, 200], 0)
    assert f"http://127.0.0.1:{given.port}/" in said
    assert f"http://127.0.0.1:{given.store_port}/" in said
    assert "amy 2468" in said


def test_ctrl_c_while_starting_stops_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[conductor.Children] = []
    real = conductor.Children.start

    def start(self: conductor.Children, name: str, arguments: Any) -> Any:
        child = real(self, name, arguments)
        if name == "bridge":
            started.append(self)
            os.kill(os.getpid(), signal.SIGINT)
        return child

    monkeypatch.setattr(conductor.Children, "start", start)
    assert run(options(tmp_path)) == 130
    assert all(child.process.poll() is not None for child in started[0].running.values())


def test_what_does_not_start_in_time_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductor, "START_WITHIN_S", -1.0)
    with pytest.raises(UserError, match=r"the broker did not start within .* see .*logs"):
        run(options(tmp_path))


def test_a_process_that_falls_while_starting_speaks_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = conductor.make

    def spoilt(*given: Any, **more: Any) -> Any:
        demo = real(*given, **more)
        demo.codes_csv.unlink()
        return demo

    monkeypatch.setattr(conductor, "make", spoilt)
    with pytest.raises(UserError, match=r"(?s)sim ended with code 2.*codes"):
        run(options(tmp_path))


# ------------------------------------------------------------------ the command line around it


def test_every_option_reaches_the_conductor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[DemoOptions] = []

    def played(given: DemoOptions) -> int:
        told.append(given)
        return 7

    monkeypatch.setattr(conductor, "run", played)
    words = ["demo", "--data", str(tmp_path / "d"), "--port", "1", "--store-port", "2", "--seed", "3", "--speed", "4"]
    words += ["--headless", "--minutes", "5", "--report", "r.json", "--chaos", "--no-camera"]
    assert CliRunner().invoke(cli.app, words).exit_code == 7
    (given,) = told
    wanted = options(
        tmp_path,
        data=tmp_path / "d",
        port=1,
        store_port=2,
        seed=3,
        speed=4.0,
        minutes=5.0,
        report=Path("r.json"),
        chaos=True,
    )
    assert given == wanted


ENDS = [
    # what a command raises, the exit code, what is said
    (UserError("the port is [b]taken[/b]"), 2, "the port is [b]taken[/b]"),
    (OSError(errno.ENOSPC, "no room", "/var/x"), 2, "the disk is full (/var/x)"),
]


@pytest.mark.parametrize(("error", "code", "says"), ENDS)
def test_what_a_person_can_mend_is_said_without_a_traceback(
    error: Exception, code: int, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def falls(_given: DemoOptions) -> int:
        raise error

    monkeypatch.setattr(conductor, "run", falls)
    monkeypatch.setattr(sys, "argv", ["zhanggui", "-v", "demo"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == code
    assert says in capsys.readouterr().err


def test_what_nobody_foresaw_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def falls(_given: DemoOptions) -> int:
        raise OSError(errno.EIO, "the disk breaks")

    monkeypatch.setattr(conductor, "run", falls)
    monkeypatch.setattr(sys, "argv", ["zhanggui", "demo"])
    with pytest.raises(OSError, match="the disk breaks"):
        cli.main()
