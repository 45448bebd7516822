"""Coverage-guided fuzzing, seconds in the gate and minutes in the soak; its corpus is kept."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from simulators.conformance.suite import CodecCase
from tests.device_drivers.test_conformance import CODECS
from tests.fuzz.target import chosen, one_input
from tests.must import missing

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
GATE_S, SOAK_S = 20, 600


def fuzzed(folder: Path, seconds: int, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the fuzzer on a copy of the corpus, so that a run of the tests changes nothing."""
    words = [sys.executable, "-m", "tests.fuzz.codecs", str(folder), str(CORPUS), f"-max_total_time={seconds}", *more]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 300, env=os.environ)


def tried(run: subprocess.CompletedProcess[str]) -> int:
    found = re.search(r"Done (\d+) runs", run.stderr)
    assert run.returncode == 0, run.stderr[-4000:]
    assert found, run.stderr[-4000:]
    return int(found[1])


def test_the_inputs_that_are_kept_harm_no_codec() -> None:
    kept = sorted(CORPUS.iterdir())
    assert len(kept) > 100
    for path in kept:
        one_input(path.read_bytes())


@pytest.mark.parametrize("case", CODECS, ids=lambda case: case.name)
def test_every_codec_is_reached_by_its_own_first_byte(case: CodecCase) -> None:
    names = {chosen(byte).name for byte in range(256)}
    assert case.name in names


class Careless:
    """A decoder with three mistakes that only some bytes show."""

    def __init__(self, _on_fault: object) -> None:
        self._held = b""

    @property
    def buffered(self) -> int:
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        if data == b"cut here":
            return [data]  # found in one piece alone
        self._held += data if data.startswith(b"keep") else b""
        return [data[data.index(b"!") :]] if data.startswith(b"find") else []


@pytest.mark.parametrize(
    ("data", "error"), [(b"cut here", AssertionError), (b"keepkeep", AssertionError), (b"find", ValueError)]
)
def test_a_careless_codec_is_caught(data: bytes, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    case = CodecCase(name="careless: x", decoder=Careless, frames=[b"x"], most_buffered=4)
    monkeypatch.setattr("tests.fuzz.target.chosen", lambda _byte: case)
    with pytest.raises(error):
        one_input(b"\x00" + data)


@pytest.mark.proof
@pytest.mark.parametrize("seconds", [GATE_S, pytest.param(SOAK_S, marks=pytest.mark.soak)])
def test_no_bytes_make_a_codec_raise_or_hold_more_than_its_cap(seconds: int, tmp_path: Path) -> None:
    if find_spec("atheris") is None:
        missing("atheris is not installed: pip install atheris")
    count = tried(fuzzed(tmp_path, seconds, "-max_len=1024"))
    print(f"{count} inputs in {seconds} s")
    assert count > 1000
