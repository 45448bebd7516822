"""A child that takes a large backlog over, drains it, and says how much memory and room that took."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path

from contracts.clock import SystemClock
from contracts.event_types import CommandAccepted
from edge.ledger import Ledger
from edge.ports import Record, Transaction

MIB = 1 << 20


def peak_mib() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def size_bytes(path: Path) -> int:
    return path.stat().st_size


def sale(kind: str = "x") -> Transaction:
    return Transaction(records=[Record(CommandAccepted(command="c", kind=kind))])


async def opened(path: Path) -> Ledger:
    return await Ledger.open(path, clock=SystemClock(), tenant="t1", store="s1", boot="b1", machine="m1")


async def fill(path: Path, size_mib: int, event_bytes: int) -> None:
    """Write the backlog, in a process of its own."""
    ledger = await opened(path)
    for _ in range(size_mib * MIB // (event_bytes * 64)):
        await asyncio.gather(*(ledger.commit(sale("k" * event_bytes)) for _ in range(64)))
    await ledger.close()


async def drain(path: Path) -> None:
    """Open it, send all of it in batches, sell in between, and give the room back."""
    await (await opened(path.with_name("small.db"))).close()
    before_mib = peak_mib()
    ledger = await opened(path)
    opened_mib = peak_mib()
    lane, file_bytes, events, sold = ledger.lane("ledger"), size_bytes(path), 0, 0
    while lane.waiting > sold:
        part = await lane.read(lane.freed.seq, 512, MIB)
        events += len(part.events)
        await ledger.confirm("ledger", part.last_seq)
        await ledger.tidy()
        if events % 16 == 0:
            await ledger.commit(sale())
            sold += 1
    while (await ledger.tidy()).more:
        await ledger.commit(sale())
    said = {
        "before_mib": before_mib,
        "opened_mib": opened_mib,
        "drained_mib": peak_mib(),
        "events": events,
        "file_bytes": file_bytes,
        "left_bytes": size_bytes(path),
    }
    await ledger.close()
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    what, where, *numbers = sys.argv[1:]
    asyncio.run(fill(Path(where), *map(int, numbers)) if what == "fill" else drain(Path(where)))
