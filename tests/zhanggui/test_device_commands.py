"""`zhanggui device …` as somebody with a cable would use it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zhanggui.cli import app
from zhanggui.errors import UserError

LINK = "sim://lock_8a"


def ran(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["device", *words])
    if isinstance(result.exception, UserError):
        assert code == 2
        return str(result.exception)
    assert result.exit_code == code, result.output
    return result.output


def test_list_names_the_families_in_two_languages():
    said = json.loads(ran("list", "--json"))
    lock = next(one for one in said["families"] if one["name"] == "lock_8a")
    assert (lock["title"], lock["title_zh"], lock["baud"], lock["probe"]) == (
        "8A/80 lock boards",
        "8A/80 锁控板",
        9600,
        True,
    )
    assert all(one["name"] in ran("list") for one in said["families"]), "a name is cut off"


def test_probe_finds_who_is_there():
    assert ran("probe", LINK, "--addresses", "1-2").count("8A/80 lock board") == 1
    assert json.loads(ran("probe", LINK, "--family", "lock_8a", "--addresses", "1", "--json")) == [
        "8A/80 lock board 1: lock 1 is closed (feedback_polarity = locked_short)"
    ]


def test_probe_says_when_nobody_answers():
    assert "nobody answered" in ran("probe", LINK, "--family", "lock_8a", "--addresses", "2", code=1)


def test_probe_asks_as_a_device_is_set():
    cu48 = ("probe", "sim://lock_cu48", "--family", "lock_cu48", "--addresses", "1-2")
    assert ran(*cu48, "--set", "dialect=cu12", "--set", "feedback_polarity=open_short") == (
        "KERONG CU12 board 2: lock 1 is open (feedback_polarity = open_short)\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--family", "lock_cu48", "--set", "dialct=cu12"),
            "there is no setting 'dialct'; there are: feedback_polarity",
        ),
        (("--family", "lock_cu48", "--set", "dialect=cu13"), "dialect 'cu13': must be one of cu48, "),
        (("--family", "lock_cu48", "--set", "dialect"), "--set: 'dialect' must be NAME=VALUE, such as dialect=cu12"),
        (("--family", "lock_cu48", "--set", "=cu12"), "--set: '=cu12' must be NAME=VALUE"),
        (("--family", "lock_cu48", "--set", "echo=true", "--set", "echo=false"), "--set: echo is said twice"),
        (("--set", "dialect=cu12"), "--set: name the family whose settings they are with --family"),
    ],
)
def test_settings_that_are_none(words, said):
    assert said in ran("probe", "sim://lock_cu48", *words, code=2)


def test_a_monitor_and_a_recording_ask_as_a_device_is_set(tmp_path: Path):
    cu48 = ("sim://lock_cu48", "--family", "lock_cu48", "--for", "0.3")
    ask, file = ("--ask", "2", "--set", "dialect=cu12"), str(tmp_path / "cu12.jsonl")
    assert "board 2 to a query: done, locks ffff" in ran("monitor", *cu48, *ask)
    assert "board 2 to a query: done, locks ffff" in ran("record", cu48[0], file, *cu48[1:], *ask)
    assert "--set: says how a device is asked; ask one with --ask" in ran("monitor", *cu48, *ask[2:], code=2)
    other = str(tmp_path / "none.jsonl")
    assert "there is no setting 'x'" in ran("record", cu48[0], other, *cu48[1:], "--set", "x=y", code=2)
    assert not Path(other).exists()


@pytest.mark.parametrize("span", ["", "x", "3-1", "1-9999", "-1"])
def test_addresses_that_are_none(span):
    assert "--addresses" in ran("probe", LINK, "--family", "lock_8a", "--addresses", span, code=2)


def test_a_trace_recorded_is_a_trace_replayed(tmp_path: Path):
    file = tmp_path / "lock.jsonl"
    said = ran("record", LINK, str(file), "--family", "lock_8a", "--ask", "1", "--every", "0.05", "--for", "0.6")
    assert "80 01 01 33 B3  query board 1 lock 1" in said
    shown = ran("replay", str(file), "--speed", "1000")
    assert shown.splitlines() == said.splitlines()[:-1]
    assert [json.loads(line)["direction"] for line in ran("replay", str(file), "--json").splitlines()[:2]] == [
        "tx",
        "rx",
    ]
    said = ran("record", LINK, str(file), "--family", "lock_8a", "--for", "0.1", code=2)
    assert "is there already; name another file" in said
    assert file.stat().st_size  # and is as it was


def test_a_recording_that_never_began_leaves_its_file_free_for_the_next_try(tmp_path: Path):
    file = tmp_path / "lock.jsonl"
    for _ in range(2):
        said = ran("record", str(tmp_path / "tty"), str(file), "--family", "lock_8a", "--for", "0.1", code=2)
        assert "is the cable plugged in" in said
        assert not file.exists()


def test_a_recording_is_a_device_on_a_port(tmp_path: Path):
    file, port = tmp_path / "lock.jsonl", tmp_path / "tty"
    ran("record", LINK, str(file), "--family", "lock_8a", "--ask", "1", "--every", "0.05", "--for", "0.3")
    serving = subprocess.Popen([sys.executable, "-m", "zhanggui", "device", "replay", str(file), "--serve", str(port)])
    try:
        deadline_s = time.monotonic() + 60
        while not port.exists() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert "lock 1 is closed" in ran("probe", str(port), "--family", "lock_8a", "--addresses", "1")
    finally:
        serving.send_signal(signal.SIGINT)
        assert serving.wait(60) == 0
    assert not port.exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_monitor_without_a_family_counts_bytes_and_shows_none(as_json: bool):
    """The line may be a card reader's or a scanner's: nobody has said."""
    said = b"LI MING 110101199003074477"
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def tell() -> None:
            line, _ = listening.accept()
            with line:
                line.sendall(said)
                while line.recv(16):  # until the monitor leaves
                    pass

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        link = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        shown = ran("monitor", link, "--for", "1", *(["--json"] if as_json else []))
        teller.join(20)
    assert f"{len(said)} bytes, not shown: may name a person; say with --family how they are read" in shown
    for text in (said.hex(), said.hex(" "), "LI MING", "4C 49", "4c49"):
        assert text.lower() not in shown.lower()


def test_the_bytes_of_a_simulator_are_shown_with_their_family_alone():
    send = ("send", LINK, "80 01 01 33 B3", "--wait", "0.5")
    assert "80 01 01 33 B3" not in ran(*send)
    assert "80 01 01 33 B3" in ran(*send, "--family", "lock_8a")


def test_send_refuses_what_opens_on_a_real_line(tmp_path: Path):
    master, slave = os.openpty()
    try:
        said = ran("send", os.ttyname(slave), "8A0101119B", "--family", "lock_8a", code=2)
        assert "only a session may ask" in said
        assert "--family" in ran("send", os.ttyname(slave), "80010133B3", code=2)
        os.set_blocking(master, False)
        with pytest.raises(BlockingIOError):
            os.read(master, 1)  # not a byte left
        ran("send", os.ttyname(slave), "80 01 01 33 B3", "--family", "lock_8a", "--wait", "0.05")
        assert os.read(master, 16).hex() == "80010133b3"
    finally:
        os.close(slave)
        os.close(master)


@pytest.mark.parametrize(
    ("words", "tells"),
    [
        (("send", LINK, "zz"), "HEX"),
        (("monitor", "can://x"), "no link is called 'can'"),
        (("monitor", "/nowhere/tty"), "is not there"),
        (("monitor", LINK, "--family", "toaster"), "there is no device family 'toaster'; there are"),
        (("monitor", LINK, "--ask", "1", "--for", "0.1"), "--family"),
        (("record", LINK, "x.jsonl"), "--family"),
        (("replay", "nowhere.jsonl"), "No such file"),
    ],
)
def test_errors_name_the_fix(words, tells):
    assert tells in ran(*words, code=2)
