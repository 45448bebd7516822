"""The store's side of the uplink's benchmark, in a process of its own: fills a ledger, drains it, measures waiting.

Each task prints one line of JSON. Not meant to be run by hand: see `python -m benchmarks.uplink --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.sales import sale_events
from benchmarks.stand import cpu_s, descendants, memory_mib
from cloud_bridge.storage import Connection, open_reader
from contracts.clock import SystemClock
from contracts.event_types import EventData
from edge.ledger import LaneView, Ledger
from edge.ports import Record, Transaction
from edge.uplink import Uplink

TENANT, STORE = "bench", "s001"
RECORDS_A_COMMIT = 256
COMMITS_AT_ONCE = 4
LOOK_EVERY_S = 0.25
POLL_S = 0.0005
READY_WITHIN_S = 30.0
ANSWER_WITHIN_S = 10.0


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Ledger]:
    """The ledger of the benchmark's store."""
    ledger = await Ledger.open(
        path, clock=SystemClock(), tenant=TENANT, store=STORE, boot="benchmark", machine="benchmark"
    )
    try:
        yield ledger
    finally:
        await ledger.close()


@contextlib.asynccontextmanager
async def uplinked(ledger: Ledger, url: str) -> AsyncIterator[Uplink]:
    """The real uplink, running."""
    uplink = Uplink(
        ledger=ledger,
        clock=SystemClock(),
        rng=Random(7),
        url=url,
        tenant=TENANT,
        store=STORE,
        instance="benchmark",
        boot="benchmark",
        agent_version="benchmark",
    )
    running = asyncio.create_task(uplink.run(), name="uplink")
    try:
        yield uplink
    finally:
        running.cancel()
        await asyncio.wait({running})


class Watch:
    """Memory of this process while something goes on, and processor time of all who take part."""

    def __init__(self, pids: dict[str, int]) -> None:
        self.rss_mib = [memory_mib(os.getpid())["rss"]]
        self._pids = {"store": os.getpid(), **pids}
        self._before = {name: _cpu_of(pid) for name, pid in self._pids.items()}
        self._looked_s = time.monotonic()

    def look(self) -> None:
        """Note how much memory is held, from time to time."""
        if time.monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = time.monotonic()
            self.rss_mib.append(memory_mib(os.getpid())["rss"])

    def told(self, events: int) -> dict[str, Any]:
        """Microseconds of processor an event by process; memory at first, at its highest and last."""
        self.rss_mib.append(memory_mib(os.getpid())["rss"])
        cpu = {name: (_cpu_of(pid) - self._before[name]) / max(1, events) * 1e6 for name, pid in self._pids.items()}
        rss = {"first": self.rss_mib[0], "largest": max(self.rss_mib), "last": self.rss_mib[-1]}
        return {"cpu_us": cpu, "rss_mib": rss}


def _cpu_of(pid: int) -> float:
    """Processor seconds of a process and its children that live (a database server has one a connection)."""
    return sum(cpu_s(one) for one in (pid, *descendants(pid)) if Path(f"/proc/{one}").exists())


async def fill(path: Path, events: int, seed: int) -> dict[str, Any]:
    """Append through the real ledger, as fast as it goes."""
    async with opened(path) as ledger:
        watch, began_s = Watch({}), time.perf_counter()
        sales: Iterator[EventData] = islice(sale_events(Random(seed)), events)

        async def append() -> None:
            while part := list(islice(sales, RECORDS_A_COMMIT)):
                await ledger.commit(Transaction(records=tuple(Record(event, "S1") for event in part)))
                watch.look()

        async with asyncio.TaskGroup() as group:
            for number in range(COMMITS_AT_ONCE):
                group.create_task(append(), name=f"append-{number}")
        took_s = time.perf_counter() - began_s
        return {"events": events, "took_s": took_s, **watch.told(events)}


async def drain(path: Path, url: str, events: int, within_s: float, pids: dict[str, int]) -> dict[str, Any]:
    """Run the uplink until the cloud has confirmed `events` more (0: everything)."""
    async with opened(path) as ledger:
        gc.freeze()
        lane = ledger.lane("ledger")
        from_seq = lane.freed.seq
        target = from_seq + events if events else lane.tail.seq
        watch, began_s = Watch(pids), time.perf_counter()
        async with uplinked(ledger, url) as uplink:
            while lane.freed.seq < target and time.perf_counter() - began_s < within_s:
                await asyncio.sleep(0.01)
                watch.look()
            took_s = time.perf_counter() - began_s
            done = lane.freed.seq - from_seq
            told = {"events": done, "all": lane.freed.seq >= target, "took_s": took_s, **watch.told(done)}
            return {**told, "waiting": lane.waiting, "counters": uplink.counters}


async def latency(path: Path, url: str, samples: int, database: str) -> dict[str, Any]:
    """Milliseconds from a commit's return until the cloud's database holds the event, and until the store knows."""
    rng, committed, freed = Random(3), [], []
    sales = sale_events(Random(5))
    async with opened(path) as ledger, uplinked(ledger, url):
        lane = ledger.lane("ledger")
        await _quiet(lane)
        with closing(open_reader(database)) as cloud:
            for _ in range(samples):
                await asyncio.sleep(0.02 + rng.random() * 0.06)
                await ledger.commit(Transaction(records=(Record(next(sales), "S1"),)))
                began_s = time.perf_counter()
                seq, held_s = lane.tail.seq, 0.0
                while lane.freed.seq < seq:
                    if not held_s and _held(cloud, lane.stream) >= seq:
                        held_s = time.perf_counter()
                    await asyncio.sleep(POLL_S)
                    if time.perf_counter() - began_s > ANSWER_WITHIN_S:
                        raise TimeoutError(f"event {seq} was not confirmed within {ANSWER_WITHIN_S:.0f} s")
                freed_s = time.perf_counter()
                committed.append(((held_s or freed_s) - began_s) * 1000)
                freed.append((freed_s - began_s) * 1000)
    return {"committed_ms": committed, "freed_ms": freed}


async def _quiet(lane: LaneView) -> None:
    """Wait until the cloud has everything that was there before."""
    async with asyncio.timeout(READY_WITHIN_S):
        while lane.freed.seq < lane.tail.seq:  # noqa: ASYNC110  # nothing tells of a confirmation
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)


def _held(cloud: Connection, stream: str) -> int:
    row = cloud.one("SELECT watermark FROM streams WHERE stream = ?", (stream,))
    return int(row[0]) if row else 0


def main() -> int:
    """Do one task and print what came of it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.uplink_store",
        description=__doc__,
        epilog="Example:  python -m benchmarks.uplink_store fill ledger.db --events 1000",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("task", choices=("fill", "drain", "latency"))
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--url", default="", help="the broker")
    parser.add_argument("--events", type=int, default=0, help="how many; 0 drains everything")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--within-s", type=float, default=600.0, help="a drain ends then, with what there is")
    parser.add_argument("--database", default="", help="the cloud's file, to see its commits")
    parser.add_argument("--watch", action="append", default=[], metavar="NAME=PID", help="whose processor time counts")
    asked = parser.parse_args()
    pids = {name: int(pid) for name, pid in (pair.split("=") for pair in asked.watch)}
    if asked.task == "fill":
        told = asyncio.run(fill(asked.ledger, asked.events, asked.seed))
        told["bytes"] = asked.ledger.stat().st_size
    elif asked.task == "drain":
        told = asyncio.run(drain(asked.ledger, asked.url, asked.events, asked.within_s, pids))
    else:
        told = asyncio.run(latency(asked.ledger, asked.url, asked.events, asked.database))
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
