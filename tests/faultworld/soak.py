"""The long run of schedules: it goes on where it was stopped, and writes what it came to into `docs/soak.md`."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from simulators.faultworld import report
from simulators.faultworld.many import Broken, Summary, run_many
from tests.faultworld.words import said
from tests.processes.report import put

ROOT = Path(__file__).parents[2]
SEEDS = 100_000
NOTED_EVERY_S = 30.0
_CODE = ("contracts", "edge", "cloud_bridge", "mqtt_link", "simulators/faultworld")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `code` stands for the sources that it runs: a run of other sources is another run."""

    first: int
    count: int
    code: str


class Noted(msgspec.Struct, kw_only=True):
    """How far a run had come when it was stopped."""

    plan: Plan
    stops: int
    counts: dict[str, Any]
    happened: dict[str, int]
    broken: list[Broken]


@dataclass(frozen=True, slots=True)
class Options:
    """How to run it, and where it is written."""

    jobs: int = 2
    within_s: float = float("inf")
    command: str = ""
    page: Path = ROOT / "docs/soak.md"
    notes: Path = Path("var/soak-schedules.json")


def asked(environment: Mapping[str, str] = os.environ) -> tuple[Plan, Options]:
    """`FAULTWORLD_SEEDS` schedules from the seed `FAULTWORLD_FROM` on, in `FAULTWORLD_JOBS` processes, stopped after
    `FAULTWORLD_MINUTES`."""
    given = {name: value for name, value in sorted(environment.items()) if name.startswith("FAULTWORLD_")}
    first, count = int(given.get("FAULTWORLD_FROM", "0")), int(given.get("FAULTWORLD_SEEDS", SEEDS))
    words = [
        *(f"{name}={value}" for name, value in given.items()),
        "python -m pytest -m soak tests/faultworld/test_proof.py",
    ]
    options = Options(
        jobs=int(given.get("FAULTWORLD_JOBS", "2")),
        within_s=float(given.get("FAULTWORLD_MINUTES", "inf")) * 60.0,
        command=" ".join(words),
    )
    return Plan(first=first, count=count, code=_fingerprint()), options


def soak(plan: Plan, options: Options, many: Callable[..., Summary] = run_many) -> Summary:
    """Run what is left of a plan, and write all of it into the page."""
    before, stops = _before(plan, options.notes)
    whole, noted_s = before, time.monotonic()

    def told(part: Summary) -> None:
        nonlocal whole, noted_s
        whole = _both(before, part)
        if time.monotonic() - noted_s >= NOTED_EVERY_S:
            noted_s = time.monotonic()
            _note(plan, whole, stops + 1, options.notes)

    seeds = range(plan.first + before.runs, plan.first + plan.count)
    whole = _both(before, many(seeds, jobs=options.jobs, within_s=options.within_s, told=told))
    put(options.page, "schedules", page(plan, options, whole, stops=stops, on=datetime.now(UTC)))
    if whole.runs < plan.count:
        _note(plan, whole, stops + 1, options.notes)
    else:
        options.notes.unlink(missing_ok=True)
    return whole


def page(plan: Plan, options: Options, whole: Summary, *, stops: int, on: datetime) -> str:
    """The part of the page: what was asked, what was run, what happened, what broke."""
    last = plan.first + whole.runs - 1
    run = f"{whole.runs:,}" if whole.runs == plan.count else f"{whole.runs:,} of the {plan.count:,} that were asked for"
    lines = [
        "## Simulated schedules",
        "",
        "Whole companies in one process and in virtual time, each with the faults of its seed, and judged at every step:",
        "[simulation.md](simulation.md) says by which rules.",
        "",
        "| | |",
        "|---|---|",
        f"| date | {on:%Y-%m-%d} |",
        f"| command | `{options.command}` |",
        f"| schedules | {run}: seeds {plan.first:,} to {last:,} |",
        f"| wall time | {whole.real_s:,.0f} s, {options.jobs} at a time: {whole.runs / max(whole.real_s, 0.001):.1f} a second |",
        f"| virtual time | {whole.virtual_s / 3600:,.0f} hours |",
        f"| events in the cloud | {whole.events:,} |",
        f"| at rest | at most {whole.longest_rest_s:.0f} virtual seconds after the last fault |",
        f"| rules broken | {len(whole.broken) or '0: every rule held in every schedule'} |",
    ]
    if stops:
        lines.append(f"| stopped and gone on | {stops} times |")
    lines += ["", "| what happened | times |", "|---|---|"]
    lines += [f"| {words} | {count:,} |" for words, count in sorted((said(n), c) for n, c in whole.happened.items())]
    if whole.broken:
        lines += ["", "### Broken", ""]
        lines += [
            f"- `{one.rule}`: {one.detail} (`{report.COMMAND} --seed {one.seed} --trace`)" for one in whole.broken
        ]
    return "\n".join(lines)


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for file in sorted(file for folder in _CODE for file in (ROOT / folder).rglob("*.py")):
        digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


_COUNTS = ("runs", "events", "steps", "virtual_s", "longest_rest_s", "real_s")


def _both(before: Summary, part: Summary) -> Summary:
    whole = Summary(real_s=before.real_s + part.real_s)
    whole.join(before)
    whole.join(part)
    return whole


def _note(plan: Plan, whole: Summary, stops: int, notes: Path) -> None:
    counts = {name: getattr(whole, name) for name in _COUNTS}
    noted = Noted(plan=plan, stops=stops, counts=counts, happened=dict(whole.happened), broken=whole.broken)
    notes.parent.mkdir(parents=True, exist_ok=True)
    fresh = notes.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(noted))
    fresh.replace(notes)


def _before(plan: Plan, notes: Path) -> tuple[Summary, int]:
    """What of this very plan was run already, and how often it was stopped."""
    try:
        noted = msgspec.json.decode(notes.read_bytes(), type=Noted)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Summary(), 0
    if noted.plan != plan:
        return Summary(), 0
    return Summary(**noted.counts, happened=Counter(noted.happened), broken=noted.broken), noted.stops
