"""`python -m simulators.faultworld`: one seed, many seeds, or a written schedule."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from simulators.faultworld import report
from simulators.faultworld.generate import generate
from simulators.faultworld.schedule import load


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 if every rule held, 1 if one broke, 2 for a file that cannot be read."""
    parser = argparse.ArgumentParser(
        prog=report.COMMAND,
        description=__doc__,
        epilog=f"Example:  {report.COMMAND} --seed 7 --trace    Example:  {report.COMMAND} --count 2000 --jobs 2",
    )
    parser.add_argument("--seed", type=int, help="run this seed alone")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run the schedule in a file")
    parser.add_argument("--trace", action="store_true", help="print every step")
    parser.add_argument("--shrink", action="store_true", help="make a failing seed or file small")
    parser.add_argument("--count", type=int, help="run so many seeds")
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="SEED", help="the first of them")
    parser.add_argument("--minutes", type=float, help="run as many as fit")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--folder", type=Path, default=Path("var"), help="where shrunk schedules go")
    parser.add_argument("--shrink-s", type=float, default=60.0, help="seconds to spend on shrinking the first failure")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that files in memory go with the process
    if given.seed is None and given.replay is None:
        count = given.count if given.count or given.minutes else 100
        return report.many(
            first=given.first,
            count=count,
            jobs=given.jobs,
            minutes=given.minutes,
            folder=given.folder,
            say=print,
            shrink_s=given.shrink_s,
        )
    if given.shrink:
        schedule = generate(given.seed) if given.replay is None else load(given.replay)
        return report.smaller(schedule, within_s=given.shrink_s, folder=given.folder, say=print)
    if given.replay is not None:
        return report.replay(given.replay, traced=given.trace, say=print)
    named = f"{report.COMMAND} --seed {given.seed} --trace"
    return report.one(generate(given.seed), traced=given.trace, say=print, named=named)


if __name__ == "__main__":
    sys.exit(main())
