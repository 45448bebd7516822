"""What the command line does: run one seed, a file or many seeds; print, replay, shrink. Returns an exit code."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from simulators.faultworld.generate import generate
from simulators.faultworld.many import Summary, run_many
from simulators.faultworld.schedule import Schedule, load, save
from simulators.faultworld.shrink import shrink
from simulators.faultworld.world import Outcome, run

COMMAND = "python -m simulators.faultworld"
Say = Callable[[str], None]
BAR = 30


def one(schedule: Schedule, *, traced: bool, say: Say, named: str) -> int:
    """Run one schedule. 1 if a rule broke, else 0. `named` is the command that replays it."""
    outcome = run(schedule, traced=traced)
    for line in outcome.trace:
        say(line)
    say(_told(outcome))
    if outcome.violation is None:
        return 0
    say(f"BROKEN  {outcome.violation}")
    say(f"replay  {named}")
    return 1


def replay(path: Path, *, traced: bool, say: Say) -> int:
    """Run the schedule in a file. 2 if it cannot be read."""
    try:
        schedule = load(path)
    except (OSError, msgspec.MsgspecError) as error:
        say(f"{path}: {error}")
        return 2
    return one(schedule, traced=traced, say=say, named=f"{COMMAND} --replay {path} --trace")


def many(
    *, first: int, count: int | None, jobs: int, minutes: float | None, folder: Path, say: Say, shrink_s: float
) -> int:
    """Run seeds from `first` on; shrink the first that breaks. 1 if a rule broke, else 0."""
    seeds = itertools.count(first) if count is None else range(first, first + count)
    within_s = float("inf") if minutes is None else minutes * 60.0
    bar = _bar(count, within_s) if sys.stderr.isatty() else None
    summary = run_many(seeds, jobs=jobs, within_s=within_s, told=bar)
    if bar is not None:
        sys.stderr.write("\n")
    for line in summary.lines():
        say(line)
    for broken in summary.broken:
        say(f"BROKEN  {broken.rule}: {broken.detail}")
        say(f"replay  {COMMAND} --seed {broken.seed} --trace")
    if not summary.broken:
        say(f"all {summary.runs:,} schedules kept every rule")
        return 0
    if shrink_s > 0:
        smaller(generate(summary.broken[0].seed), within_s=shrink_s, folder=folder, say=say)
    return 1


def smaller(schedule: Schedule, *, within_s: float, folder: Path, say: Say) -> int:
    """Shrink a failing schedule into a file that replays it. 1 as the rule is broken; 0 if none is."""
    violation = run(schedule).violation
    if violation is None:
        say("every rule holds: there is nothing to make small")
        return 0
    least = shrink(schedule, violation.rule, within_s=within_s)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"faultworld-{schedule.seed}.json"
    save(least, path)
    say(f"shrunk  {schedule.size} entries to {least.size}, written to {path}")
    say(f"replay  {COMMAND} --replay {path} --trace")
    return 1


def _told(outcome: Outcome) -> str:
    schedule = outcome.schedule
    happened = ", ".join(f"{name} {count}" for name, count in sorted(outcome.happened.items()))
    return (
        f"seed {schedule.seed}: {schedule.stores} stores, {schedule.workers} bridges, "
        f"{outcome.virtual_s:.0f} virtual s, {outcome.steps} steps, {outcome.events} events; "
        f"{happened or 'nothing went wrong'}"
    )


def _bar(count: int | None, within_s: float) -> Callable[[Summary], None]:
    def told(summary: Summary) -> None:
        done = summary.runs / count if count else min(1.0, summary.real_s / within_s)
        filled = int(done * BAR)
        per_s = summary.runs / max(0.001, summary.real_s)
        sys.stderr.write(
            f"\r[{'#' * filled}{'.' * (BAR - filled)}] {summary.runs:,} schedules, {per_s:.1f}/s, "
            f"{len(summary.broken)} broken "
        )
        sys.stderr.flush()

    return told
