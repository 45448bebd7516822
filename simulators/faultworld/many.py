"""Many seeds in a few processes: what was run, what really happened, and which seeds broke a rule."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from simulators.faultworld.generate import generate
from simulators.faultworld.world import Outcome, keep_files_in, new_place, run

CHUNK = 20


@dataclass(frozen=True, slots=True)
class Broken:
    """A seed that broke a rule."""

    seed: int
    rule: str
    detail: str


@dataclass(slots=True)
class Summary:
    """Everything that a number of runs came to; `virtual_s` and `rest_s` are virtual seconds, `real_s` real ones."""

    runs: int = 0
    events: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    longest_rest_s: float = 0.0
    real_s: float = 0.0
    happened: Counter[str] = field(default_factory=Counter)
    broken: list[Broken] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one run."""
        self.runs += 1
        self.events += outcome.events
        self.steps += outcome.steps
        self.virtual_s += outcome.virtual_s
        self.longest_rest_s = max(self.longest_rest_s, outcome.rest_s)
        self.happened.update(outcome.happened)
        if outcome.violation is not None:
            violation = outcome.violation
            self.broken.append(Broken(outcome.schedule.seed, violation.rule, violation.detail))

    def join(self, other: Summary) -> None:
        """Count the runs of another process."""
        self.runs += other.runs
        self.events += other.events
        self.steps += other.steps
        self.virtual_s += other.virtual_s
        self.longest_rest_s = max(self.longest_rest_s, other.longest_rest_s)
        self.happened.update(other.happened)
        self.broken.extend(other.broken)

    def lines(self) -> Iterator[str]:
        """The summary for a person to read."""
        yield (
            f"{self.runs:,} schedules in {self.real_s:.0f} s: {self.virtual_s / 3600:,.1f} virtual hours, "
            f"{self.steps:,} steps, {self.events:,} events in the cloud, at rest at most {self.longest_rest_s:.0f} s "
            "after the last fault"
        )
        width = max((len(name) for name in self.happened), default=0)
        for name, count in sorted(self.happened.items(), key=lambda item: (-item[1], item[0])):
            yield f"  {name:<{width}}  {count:>9,}"


def run_many(
    seeds: Iterable[int],
    *,
    jobs: int = 1,
    within_s: float = float("inf"),
    told: Callable[[Summary], None] | None = None,
) -> Summary:
    """Run seeds, in order, until they or the time are over. `told` hears of the whole after each part."""
    summary, began_s = Summary(), time.monotonic()
    parts = iter(_parts(seeds))
    if jobs <= 1:
        for part in parts:
            summary.join(run_part(part))
            summary.real_s = time.monotonic() - began_s
            if told is not None:
                told(summary)
            if summary.real_s >= within_s:
                break
        return summary
    context = multiprocessing.get_context("spawn")
    place = new_place()
    try:
        with context.Pool(jobs, initializer=keep_files_in, initargs=(place,)) as pool:
            waiting = [pool.apply_async(run_part, (part,)) for part in itertools.islice(parts, jobs * 2)]
            while waiting:
                summary.join(waiting.pop(0).get())
                summary.real_s = time.monotonic() - began_s
                if told is not None:
                    told(summary)
                if summary.real_s >= within_s:
                    break
                waiting.extend(pool.apply_async(run_part, (part,)) for part in itertools.islice(parts, 1))
            pool.terminate()
    finally:
        shutil.rmtree(place, ignore_errors=True)
    summary.broken.sort(key=lambda broken: broken.seed)
    return summary


def run_part(seeds: list[int]) -> Summary:
    """Run a few seeds in this process."""
    summary = Summary()
    gc.disable()  # a run leaves few cycles; they are collected after it, while they are still in the processor's cache
    gc.freeze()  # what was there before need not be looked through each time
    try:
        for seed in seeds:
            summary.add(run(generate(seed)))
            gc.collect()
    finally:
        gc.unfreeze()
        gc.enable()
    return summary


def _parts(seeds: Iterable[int]) -> Iterator[list[int]]:
    walk = iter(seeds)
    while part := list(itertools.islice(walk, CHUNK)):
        yield part
