"""Coverage-guided fuzzing, seconds in the gate and minutes in the soak; its corpus is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest

from simulators.conformance.suite import CodecCase
from tests.device_drivers.test_conformance import CODECS
from tests.fuzz.report import Fuzzed, came_to, page
from tests.fuzz.target import chosen, one_input
from tests.must import missing
from tests.processes.report import put

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
SOAK_PAGE = ROOT / "docs/soak.md"
GATE_S, SOAK_S = 20, 600


def fuzzed(folder: Path, seconds: int, *more: str) -> tuple[Fuzzed, str]:
    """Run the fuzzer on a copy of the corpus, so that a run of the tests changes nothing; and the command of it."""
    options = [f"-max_total_time={seconds}", "-max_len=1024"]
    words = [sys.executable, "-m", "tests.fuzz.codecs", str(folder), str(CORPUS), *options, *more]
    own = ["-print_final_stats=1", f"-artifact_prefix={folder}/"]
    run = subprocess.run([*words, *own], cwd=ROOT, capture_output=True, text=True, timeout=seconds + 300)
    shown = f"python -m tests.fuzz.codecs NEW {CORPUS.relative_to(ROOT)} {' '.join([*options, *more])}"
    return came_to(run.stderr), shown


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
def test_no_bytes_make_a_codec_raise_or_hold_more_than_its_cap(tmp_path: Path) -> None:
    _installed()
    run, _ = fuzzed(tmp_path, GATE_S)
    print(f"{run.runs} inputs in {GATE_S} s")
    assert run.findings == []
    assert run.runs > 1000


@pytest.mark.soak
def test_ten_minutes_of_any_bytes(tmp_path: Path) -> None:
    _installed()
    run, command = fuzzed(tmp_path, SOAK_S)
    shown = page(
        run, command=command, seconds=SOAK_S, decoders=len(CODECS), load=os.getloadavg()[2], on=datetime.now(UTC)
    )
    put(SOAK_PAGE, "fuzzing", shown)
    assert run.findings == []


def _installed() -> None:
    if find_spec("atheris") is None:
        missing("atheris is not installed: pip install atheris")


QUIET = """\
#403	INITED cov: 1043 ft: 3299 corp: 321/7352b exec/s: 0 rss: 77Mb
#9000	NEW    cov: 1070 ft: 4500 corp: 623/40Kb lim: 1024 exec/s: 889 rss: 78Mb L: 4/4 MS: 1 Erase-
#9001	DONE   cov: 1071 ft: 4507 corp: 624/40Kb lim: 1024 exec/s: 889 rss: 78Mb
Done 9001 runs in 9 second(s)
stat::number_of_executed_units: 9001
stat::average_exec_per_sec:     889
stat::new_units_added:          367
"""
BROKEN = """\
#2002	NEW    cov: 6 ft: 7 corp: 3/9b lim: 21 exec/s: 0 rss: 40Mb L: 4/4 MS: 5 Erase-

 === Uncaught Python exception: ===
AssertionError: careless: holds 9
Traceback (most recent call last):
==8394== ERROR: libFuzzer: fuzz target exited
SUMMARY: libFuzzer: fuzz target exited
Base64: pQcHBw==
stat::number_of_executed_units: 4910
stat::new_units_added:          2
"""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (QUIET, Fuzzed(runs=9001, edges=1071, features=4507, corpus=624, new=367)),
        (BROKEN, Fuzzed(runs=4910, edges=6, features=7, corpus=3, new=2, findings=["AssertionError: careless: holds 9 (input in Base64: pQcHBw==)"])),
        # slower than the fuzzer lets it be: nothing was raised, and the input is longer than libFuzzer prints
        (BROKEN.replace(" === Uncaught Python exception: ===", "").replace("fuzz target exited", "timeout").replace("Base64: pQcHBw==\n", ""), Fuzzed(runs=4910, edges=6, features=7, corpus=3, new=2, findings=["timeout (input in Base64: too long to show)"])),
    ],
)  # fmt: skip
def test_what_the_fuzzer_says_is_read(said: str, expected: Fuzzed) -> None:
    assert came_to(said) == expected
    shown = page(expected, command="c", seconds=600, decoders=24, load=1.0, on=datetime(2026, 1, 2, tzinfo=UTC))
    assert f"| inputs tried | {expected.runs:,} |" in shown
    assert f"| findings | {len(expected.findings)} |" in shown
    assert all(finding in shown for finding in expected.findings)


def test_a_fuzzer_that_did_not_run_has_found_nothing_and_proven_nothing() -> None:
    with pytest.raises(ValueError, match="no run of the fuzzer: No module named atheris"):
        came_to("No module named atheris")
