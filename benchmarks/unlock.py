"""How long a door takes: from a staff release, and from a member's scan, to the unlock frame at its board.

The whole agent of a store runs, with its ledger on this disk and its drivers on real pseudo-terminals; the boards are
simulated in another process, which notes when each frame arrives. Store time runs ten times as fast, so that weighing
and latches do not make the run long; buses, disk and processor know only real time. There is no cloud: a store sells
without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from benchmarks.hardware import KEY, PIN, STOCK, store
from benchmarks.stand import BenchmarkError, options, run
from benchmarks.table import Figure, percentile, show
from contracts.clock import ScaledClock
from contracts.event_types import CabinetDoorOpened, Line
from contracts.member_code import mint_member_code
from device_drivers.capabilities import AdultReading
from edge.agent import Agent, opened
from edge.ports import Record, Transaction
from edge.sessions import hash_pin, load_policy
from edge.sessions.pins import check_pin

SPEED = 10.0
OPENING = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)  # nine in the morning on the store's wall
WITHIN_S = 20.0  # real; one visit, and getting ready
LONGEST_S = 75.0  # real; visits that do not fit are left out
REST_S = 0.15  # between two visits of a cabinet
HASHES = 10
SLOW_MS = 100.0  # what waits so long waited for a sense and not for disk, line or processor


@dataclass(slots=True)
class Marks:
    """What the hardware has said: of each door the last scan and the last frame, nanoseconds."""

    scanned: dict[str, int] = field(default_factory=dict)
    pulsed: dict[str, int] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Samples:
    """Milliseconds of everything that was measured; visits that did not open."""

    release: list[float] = field(default_factory=list)
    scan: list[float] = field(default_factory=list)
    query: list[float] = field(default_factory=list)
    commit: list[float] = field(default_factory=list)
    pin: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)  # by the cabinet's word


class Store:
    """An agent at work, and hardware that tells when it was reached."""

    def __init__(self, agent: Agent, hardware: asyncio.subprocess.Process, marks: Marks, until_s: float) -> None:
        self.agent = agent
        self.samples = Samples()
        self._hardware = hardware
        self._marks = marks
        self._until_s = until_s
        self._rng = Random(7)
        self._latch_s = load_policy(agent.config.policy).timeouts_s.latch / SPEED

    async def prepare(self) -> None:
        """Return when every door may be asked for and staff are on duty. Raises BenchmarkError."""
        self.agent.ledger.clock_quality = "synced"  # what the cloud would have told
        if why := await self.agent.staff.sign_in("amy", PIN, "benchmark"):
            raise BenchmarkError(f"staff could not sign in: {why}")
        self.agent.staff.know("amy", "f" * 32, self.agent.day_keys.today())  # as if her own card had been read
        runners = self.agent.runners.values()
        try:
            async with asyncio.timeout(WITHIN_S):
                while not all(c.available for runner in runners for c in runner.snapshot().compartments):  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.05)
        except TimeoutError:
            reasons = [c.reason for runner in runners for c in runner.snapshot().compartments]
            raise BenchmarkError(f"the store did not get ready: {reasons}") from None

    async def beat(self) -> None:
        """Keep staff on duty until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            self.agent.staff.beat("amy", "benchmark")

    async def limits(self) -> None:
        """Meanwhile, on the same lines and the same disk: bare status queries and bare commits."""
        locks = list(self.agent.devices.locks.values())
        while True:
            await asyncio.sleep(0.1 + 0.05 * self._rng.random())
            self.samples.query.append(await _timed(self._rng.choice(locks).door(1)))
            record = Record(CabinetDoorOpened(compartment="benchmark"), "benchmark")
            self.samples.commit.append(await _timed(self.agent.ledger.commit(Transaction(records=(record,)))))

    async def scans(self, cabinet: str, count: int) -> None:
        """Members who show a code, one after the other."""
        assert self._hardware.stdin is not None
        door = f"{cabinet}-door"
        for number in range(count):
            if self._over():
                return
            code = mint_member_code(f"{cabinet}-{number}", KEY)
            self._forget(door)
            self._hardware.stdin.write(f"scan scanner-{cabinet} {code}\n".encode())
            if await self._served(cabinet):
                self.samples.scan.append((self._marks.pulsed[door] - self._marks.scanned[door]) / 1e6)

    async def releases(self, cabinet: str, count: int) -> None:
        """Adults who buy one packet, each released by staff."""
        runner, door = self.agent.runners[cabinet], f"{cabinet}-door"
        basket = (Line(sku="smoke", qty=1, price_fen=990, shelf=f"{cabinet}-shelf"),)
        for number in range(count):
            if self._over():
                return
            self._forget(door)
            session = (await runner.request("staff_release", door, "")).session
            await runner.age_proof(session, AdultReading(True, True, f"{number:032x}"), "id_card")
            await runner.declare(session, basket)
            await asyncio.sleep(REST_S * self._rng.random())
            began_ns = time.monotonic_ns()
            word = await runner.release(session, "amy", PIN)
            if await self._served(cabinet, word.reason):
                self.samples.release.append((self._marks.pulsed[door] - began_ns) / 1e6)

    async def pins(self) -> None:
        """What checking one PIN costs, alone, as it is shipped."""
        stored = hash_pin(PIN)
        for _ in range(HASHES):
            self.samples.pin.append(await _timed(asyncio.to_thread(check_pin, PIN, stored)))

    # -------------------------------------------------------------- inside

    async def _served(self, cabinet: str, reason: str = "") -> bool:
        """Wait for the frame and the end of the session; False (counted) if there was none."""
        door = f"{cabinet}-door"
        try:
            async with asyncio.timeout(WITHIN_S):
                while door not in self._marks.pulsed or self._live(cabinet):  # noqa: ASYNC110 - a look for each visit
                    await asyncio.sleep(0.02)
        except TimeoutError:
            self.samples.failed[reason or "no frame"] += 1
            return False
        # No frame goes to a door before its last latch is over. That wait is a rule, and not what is measured here.
        await asyncio.sleep(self._latch_s + REST_S)
        return True

    def _live(self, cabinet: str) -> bool:
        session = self.agent.runners[cabinet].snapshot().session
        return session is not None and session.state != "done"

    def _forget(self, door: str) -> None:
        self._marks.scanned.pop(door, None)
        self._marks.pulsed.pop(door, None)

    def _over(self) -> bool:
        return time.monotonic() > self._until_s


async def _timed(work: Awaitable[object]) -> float:
    """Milliseconds until `work` is done."""
    began_s = time.perf_counter()
    await work
    return (time.perf_counter() - began_s) * 1000


@contextlib.asynccontextmanager
async def hardware(
    folder: Path, pairs: int, clock_file: Path, marks: Marks
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The boards, scales and scanners in their process, heard by `marks`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.hardware", str(folder), str(pairs)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "ZHANGGUI_CLOCK": str(clock_file)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    output = process.stdout

    async def hear() -> None:
        while line := await output.readline():
            word = json.loads(line)
            if word["kind"] == "ready":
                marks.ready.set()
            else:
                (marks.scanned if word["kind"] == "scanned" else marks.pulsed)[word["place"]] = word["ns"]

    hearing = asyncio.create_task(hear(), name="hear")
    try:
        async with asyncio.timeout(WITHIN_S * 3):
            await marks.ready.wait()
        yield process
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(WITHIN_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await hearing


async def measure(folder: Path, *, pairs: int, visits: int, within_s: float) -> Samples:
    """`visits` scans and as many releases, shared out among `pairs` cabinets of each kind."""
    clock_file = folder / "clock"
    clock, marks = ScaledClock.create(clock_file, speed=SPEED, start=OPENING), Marks()
    config = store(folder, pairs)
    async with (
        hardware(folder, pairs, clock_file, marks) as process,
        opened(config, clock=clock, rng=Random(7)) as agent,
        asyncio.TaskGroup() as group,
    ):
        work = Store(agent, process, marks, until_s=time.monotonic() + within_s)
        background = [group.create_task(agent.run(asyncio.Event()), name="agent")]
        try:
            await work.prepare()
            background += [group.create_task(work.beat(), name="beat")]
            background += [group.create_task(work.limits(), name="limits")]
            async with asyncio.TaskGroup() as visitors:
                for n in range(1, pairs + 1):
                    count = visits // pairs + (n <= visits % pairs)
                    visitors.create_task(work.scans(f"S{n}", count), name=f"scans:{n}")
                    visitors.create_task(work.releases(f"T{n}", count), name=f"releases:{n}")
            await work.pins()
        finally:
            for task in background:
                task.cancel()
    return work.samples


def figures(samples: Samples) -> list[Figure]:
    """Medians and p99, the medians against the bare exchange and the bare commit of the same run."""
    query, commit = statistics.median(samples.query), statistics.median(samples.commit)
    rows: list[Figure] = []
    for what, values in (("release", samples.release), ("member's scan", samples.scan)):
        name = f"{what} → unlock frame"
        p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
        rows += [
            Figure(f"{name}, p50 of {len(values)}", p50, "ms", p50 / query, "a bare status query and its reply"),
            Figure("the same", p50, "ms", p50 / commit, "a bare durable commit"),
            Figure(f"{name}, p99", p99, "ms", p99 / p50, "its p50"),
            Figure(f"{name}, share over {SLOW_MS:.0f} ms", 100 * sum(v > SLOW_MS for v in values) / len(values), "%"),
        ]
    return [
        *rows,
        Figure(f"limit: status query and reply, p50 of {len(samples.query)}", query, "ms"),
        Figure("limit: status query and reply, p99", percentile(samples.query, 0.99), "ms"),
        Figure(f"limit: durable commit, p50 of {len(samples.commit)}", commit, "ms"),
        Figure("limit: durable commit, p99", percentile(samples.commit, 0.99), "ms"),
        Figure("checking the PIN of a release (not in the rows above)", statistics.median(samples.pin), "ms"),
        Figure(f"visits whose door did not open{_words(samples.failed)}", samples.failed.total(), ""),
    ]


def _words(counts: Counter[str]) -> str:
    return f" ({', '.join(sorted(counts))})" if counts else ""


def main() -> int:
    """Measure and print; 1 if the store did not get ready or no door opened."""
    parser = options("unlock", __doc__, "--visits 200")
    parser.add_argument("--visits", type=int, default=200, help="scans, and as many releases")
    parser.add_argument("--pairs", type=int, default=6, help="cabinets of each kind, served side by side")
    asked = parser.parse_args()
    if asked.pairs < 1 or not 1 <= asked.visits <= asked.pairs * STOCK:
        parser.error(f"--visits: 1 to {STOCK} for each of --pairs, each takes a piece")
    logging.getLogger("zhanggui").setLevel(logging.CRITICAL)  # that there is no cloud is known
    pairs, visits = (2, 2) if asked.quick else (asked.pairs, asked.visits)
    with tempfile.TemporaryDirectory(prefix="zhanggui-unlock-") as name:
        try:
            samples = asyncio.run(measure(Path(name), pairs=pairs, visits=visits, within_s=LONGEST_S))
        except BaseExceptionGroup as group:
            known = group.subgroup(BenchmarkError)
            if known is None:
                raise
            print(known.exceptions[0], file=sys.stderr)
            return 1
    if not (samples.release and samples.scan):
        print(f"no door opened in {samples.failed.total()} visits{_words(samples.failed)}", file=sys.stderr)
        return 1
    show(f"unlock: {2 * pairs} cabinets", figures(samples), as_json=asked.json)
    return 0


if __name__ == "__main__":
    run(main)
