"""A child that appends as fast as it can and says each sequence once it is acknowledged. Killed by its test."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from contracts.clock import SystemClock
from contracts.event_types import AgentHealth, CommandAccepted
from edge.ledger import Ledger
from edge.ports import Record, Transaction


async def main(path: Path) -> None:
    ledger = await Ledger.open(
        path, clock=SystemClock(), tenant="t1", store="s1", boot="b1", machine="m1", telemetry_rows=50
    )
    tail = ledger.lane("ledger").tail.seq
    numbers = iter(range(int(dict(ledger.state("count")).get("n", b"0")) + 1, 1 << 40))
    os.write(1, b"ready\n")

    async def append() -> None:
        while True:
            n = next(numbers)
            records = [Record(CommandAccepted(command=str(n), kind="x")), Record(AgentHealth(boot="b1", counters={}))]
            await ledger.commit(
                Transaction(records=records, puts={("count", "n"): str(n).encode(), ("done", str(n)): b"1"})
            )
            os.write(1, f"{n}\n".encode())
            if n % 40 == 0:
                await ledger.confirm("ledger", max(tail, ledger.lane("ledger").tail.seq - 30))

    async with asyncio.TaskGroup() as tasks:
        for n in range(4):
            tasks.create_task(append(), name=f"append-{n}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
