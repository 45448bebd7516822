"""How long from the command to the first pages: `zhanggui demo` until both addresses answer with a page.

Warm: everything has run before on this machine. Cold: the interpreter finds no compiled bytecode, as after an
install or an update. The data folder is a new one each time. `--from-nothing` clones this checkout into a temporary
folder and runs `make demo` there: a new environment, downloads included, as a newcomer meets it; that takes minutes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.stand import LOOPBACK, BenchmarkError, answers, free_port, options, run, running, wait_for
from benchmarks.table import Figure, show

ROOT = Path(__file__).parents[1]
START_WITHIN_S = 60.0
FROM_NOTHING_WITHIN_S = 900.0


def first_pages(
    command: Sequence[str],
    options_of_demo: Sequence[str],
    *,
    folder: Path,
    work: Path,
    env: Mapping[str, str],
    within_s: float,
) -> float:
    """Seconds until the operators' and the store's first page both answer 200; then everything is stopped."""
    operators, store, log = free_port(), free_port(), folder / "demo.log"
    arguments = ["--data", str(folder / "demo"), "--port", str(operators), "--store-port", str(store), *options_of_demo]
    whole = [*command, *arguments] if command[0] != "make" else [*command, f"ARGS={' '.join(arguments)}"]
    waiting = [f"http://{LOOPBACK}:{port}/" for port in (operators, store)]

    def ready() -> bool:
        while waiting and answers(waiting[0]):
            waiting.pop(0)
        return not waiting

    began_s = time.perf_counter()
    with running(whole, log=log, folder=work, env=env) as process:
        wait_for("the demo", ready, process=process, log=log, within_s=within_s)
        return time.perf_counter() - began_s


def demo(extra: Sequence[str], *, compiled: bool) -> float:
    """One start of the demo from this environment."""
    with tempfile.TemporaryDirectory(prefix="zhanggui-start-") as name:
        folder = Path(name)
        env = {} if compiled else {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        command = [sys.executable, "-m", "zhanggui", "demo"]
        return first_pages(command, extra, folder=folder, work=ROOT, env=env, within_s=START_WITHIN_S)


def from_nothing() -> float:
    """Clone, then `make demo` with a new environment. The clone itself does not count."""
    with tempfile.TemporaryDirectory(prefix="zhanggui-new-") as name:
        folder = Path(name)
        clone = folder / "zhanggui"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
        env = {"ZHANGGUI_CACHE": str(folder / "cache")}  # the detector's weights are fetched anew, too
        return first_pages(["make", "demo"], [], folder=folder, work=clone, env=env, within_s=FROM_NOTHING_WITHIN_S)


def figures(warm: Sequence[float], cold: Sequence[float], nothing: float | None) -> list[Figure]:
    """Medians, the cold start against the warm one."""
    usual = statistics.median(warm)
    rows = [Figure(f"warm: median of {len(warm)}", usual, "s"), Figure("warm: longest", max(warm), "s")]
    if cold:
        first = statistics.median(cold)
        rows.append(Figure(f"cold: nothing compiled, median of {len(cold)}", first, "s", first / usual, "warm"))
    if nothing is not None:
        rows.append(Figure("make demo in a fresh clone, downloads included", nothing, "s", nothing / usual, "warm"))
    return rows


def main() -> int:
    """Measure and print; 1 if the demo did not start."""
    parser = options("start", __doc__, "--runs 5")
    parser.add_argument("--runs", type=int, default=3, help="starts of each kind")
    parser.add_argument("--from-nothing", action="store_true", help="also clone and `make demo`: minutes, downloads")
    asked = parser.parse_args()
    try:
        if asked.quick:
            warm, cold = [demo(["--no-camera"], compiled=True)], []
        else:
            demo([], compiled=True)  # whatever was never loaded on this machine is loaded now
            warm = [demo([], compiled=True) for _ in range(asked.runs)]
            cold = [demo([], compiled=False) for _ in range(asked.runs)]
        nothing = from_nothing() if asked.from_nothing else None
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    show("start: from the command to both first pages", figures(warm, cold, nothing), as_json=asked.json)
    return 0


if __name__ == "__main__":
    run(main)
