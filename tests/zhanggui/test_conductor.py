"""The plan of a story comes from its seed; what a person can mend is one sentence."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from zhanggui.demo.conductor import plan_blows
from zhanggui.demo.store import make
from zhanggui.errors import UserError, os_error_sentence


def test_blows_come_from_the_seed_in_order():
    blows = plan_blows(7, 600)
    assert blows == plan_blows(7, 600)
    assert blows != plan_blows(8, 600)
    assert [b.victim for b in blows] == ["agent", "bridge", "camera", "agent"]
    assert list(blows) == sorted(blows, key=lambda b: b.at_s)
    assert all(0 < b.at_s < 600 for b in blows)


def test_a_nearly_full_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("zhanggui.demo.store.MIN_FREE_BYTES", 1 << 60)
    with pytest.raises(UserError, match="disk is nearly full"):
        make(tmp_path / "demo", broker_url="mqtt://127.0.0.1:1", camera=False, pin_hashes={"amy": "", "bo": ""})


def test_a_folder_too_deep_for_a_socket_is_told(tmp_path: Path):
    with pytest.raises(UserError, match="characters too long for a socket"):
        make(tmp_path / ("d" * 90), broker_url="mqtt://127.0.0.1:1", camera=False, pin_hashes={"amy": "", "bo": ""})


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zhanggui", *words], check=False, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def taken():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield str(holder.getsockname()[1])


SENTENCES = [
    # words of the command ({port}: a port in use, {none}: a path that is not there), what it says
    (["demo", "--no-camera", "--port", "{port}", "--data", "{none}/demo"], "choose another with --port"),
    (["demo", "--no-camera", "--store-port", "{port}", "--data", "{none}/demo"], "choose another with --store-port"),
    (["cloud", "run", "--port", "{port}", "--database", "{none}/x/cloud.db"], "in use"),
    (["edge", "run", "{none}/store.toml"], "name the store description"),
    (["edge", "ledger", "show", "{none}/ledger.db"], "ledger.db"),
    (["sim", "status", "--control", "{none}/sim.sock"], "no hardware runs there"),
    (["models", "fetch", "nose"], "nose"),
]


@pytest.mark.parametrize(("words", "says"), SENTENCES, ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_what_a_person_can_mend_is_one_sentence(words: list[str], says: str, taken: str, tmp_path: Path):
    result = command(*(w.format(port=taken, none=tmp_path / "none") for w in words))
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert says in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("number", "says"),
    [(28, "disk is full"), (98, "port is in use"), (13, "no permission"), (30, "read-only"), (5, None)],
)
def test_os_errors_have_sentences(number: int, says: str | None):
    sentence = os_error_sentence(OSError(number, "x"))
    assert sentence is None if says is None else says in (sentence or "")
