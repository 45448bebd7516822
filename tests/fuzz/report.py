"""What a run of the fuzzer came to, read from what libFuzzer prints, and its part of `docs/soak.md`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

_END = re.compile(r"^#\d+\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/", re.MULTILINE)
_RUNS = re.compile(r"^stat::number_of_executed_units: (\d+)", re.MULTILINE)
_NEW = re.compile(r"^stat::new_units_added:\s+(\d+)", re.MULTILINE)
_RAISED = re.compile(r"=== Uncaught Python exception: ===\n(.*)")
_INPUT = re.compile(r"^Base64: (\S+)", re.MULTILINE)
_KILLED = re.compile(r"^SUMMARY: libFuzzer: (.*)", re.MULTILINE)  # too slow, too large, or ended from inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuzzed:
    """One run. `edges` are the ways through the code that were taken, `corpus` the inputs that reach all of them, `new`
    those that were added on the way, also where a smaller one came later; `findings` say what was raised, each with its input in Base64."""

    runs: int
    edges: int
    features: int
    corpus: int
    new: int
    findings: list[str] = field(default_factory=list)


def came_to(said: str) -> Fuzzed:
    """Read what a run with `-print_final_stats=1` printed. Raises ValueError if it is no such run."""
    runs, new, ends = _RUNS.search(said), _NEW.search(said), _END.findall(said)
    if runs is None or new is None or not ends:
        raise ValueError(f"no run of the fuzzer: {said[-4000:]}")
    edges, features, corpus = (int(number) for number in ends[-1])
    findings: list[str] = []
    if broken := _RAISED.search(said) or _KILLED.search(said):
        found = _INPUT.search(said)
        findings.append(f"{broken[1]} (input in Base64: {found[1] if found else 'too long to show'})")
    return Fuzzed(runs=int(runs[1]), edges=edges, features=features, corpus=corpus, new=int(new[1]), findings=findings)


def page(run: Fuzzed, *, command: str, seconds: int, decoders: int, load: float, on: datetime) -> str:
    """The part of the page."""
    lines = [
        "## Fuzzing",
        "",
        "Bytes of any kind to every decoder of `device_drivers`, guided by the code that they reach. Nothing may be raised, no",
        "more held than the cap, and the same frames are found however the bytes are cut; every frame can be read aloud.",
        "",
        "| | |",
        "|---|---|",
        f"| date | {on:%Y-%m-%d} |",
        f"| command | `{command}` |",
        f"| time | {seconds} s on one core, load of the machine {load:.1f} |",
        f"| decoders | {decoders} |",
        f"| inputs tried | {run.runs:,} |",
        f"| coverage | {run.edges:,} edges, {run.features:,} features |",
        f"| corpus | {run.corpus:,} inputs reach all of it; {run.new:,} were added on the way |",
        f"| findings | {len(run.findings)} |",
    ]
    if run.findings:
        lines += ["", "### Found", "", *(f"- {finding}" for finding in run.findings)]
    return "\n".join(lines)
