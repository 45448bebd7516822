"""What the long run of walks came to, and its part of `docs/soak.md`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(kw_only=True)
class Walked:
    """Walks of so many seconds from the seed `first` on; `walks` and `steps` by configuration."""

    seconds: float
    first: int
    last: int = 0
    walks: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def walked(self, config: str, seed: int, steps: int, why: str) -> None:
        """One more; `why` is the difference, empty if there was none."""
        self.last = max(self.last, seed)
        self.walks[config] += 1
        self.steps[config] += steps
        self.differences += [why] if why else []


def page(run: Walked, *, load: float, on: datetime) -> str:
    """The part of the page."""
    lines = [
        "## Walks of the contract's model",
        "",
        "The model of the [contract](wire.md) walks at random, and the real ledger, uplink, bridge and database carry out each",
        "step; all that both know is compared after it. In every fourth seed answers come that are too late.",
        "",
        "| | |",
        "|---|---|",
        f"| date | {on:%Y-%m-%d} |",
        "| command | `python -m pytest -m soak tests/wire_model/test_replay.py` |",
        f"| time | {run.seconds:.0f} s on one core, load of the machine {load:.1f} |",
        f"| walks | {run.walks.total():,}, seeds {run.first:,} to {run.last:,} |",
        f"| steps, each compared | {run.steps.total():,} |",
        f"| differences | {len(run.differences)} |",
        "",
        "| configuration | walks | steps |",
        "|---|---|---|",
        *(f"| `{config}` | {run.walks[config]:,} | {run.steps[config]:,} |" for config in sorted(run.walks)),
    ]
    if run.differences:
        lines += ["", "### Differences", "", *(f"```\n{one}\n```" for one in run.differences)]
    return "\n".join(lines)
