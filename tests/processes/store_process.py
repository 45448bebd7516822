"""A store without hardware: appends at a rate, sends up, and writes down what it was told. Killed by its run.

One line in the truth file for each event whose append has come back: `+ TOKEN` accepted, `- TOKEN` refused. A token
without a line was under way when the process died: it may be in the cloud or not. Written without fsync: processes
die here, the machine does not. A file named `quiet` in the folder ends the appending, not the sending.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path
from random import Random

from contracts.clock import SystemClock, clock_from_env
from contracts.event_types import EventData, PaymentCaptured, WeightReading
from contracts.tasks import end
from edge.ledger import Ledger, LedgerOpenError
from edge.ports import LedgerFullError, Record, Transaction
from edge.uplink import Uplink
from tests.processes import mutants

MAX_UNDER_WAY = 64
TICK_S = 0.02
TRY_AGAIN_S = 0.3
log = logging.getLogger("store")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="holds ledger.db")
    parser.add_argument("--notes", type=Path, required=True, help="holds truth.LIFE and quiet")
    parser.add_argument("--url", required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("--life", type=int, required=True)
    parser.add_argument("--ledger-rate", type=float, default=50.0)
    parser.add_argument("--telemetry-rate", type=float, default=20.0)
    parser.add_argument("--telemetry-rows", type=int, default=300)
    parser.add_argument("--patience-s", type=float, default=2.0, help="T, and the longest pause between tries")
    parser.add_argument("--heartbeat-s", type=float, default=2.0)
    return parser.parse_args(argv)


class Appender:
    """Appends at a rate and writes down each outcome."""

    def __init__(self, ledger: Ledger, truth: int, store: str, life: int) -> None:
        self._ledger = ledger
        self._truth = truth
        self._prefix = f"{store}.{life}"
        self._number = 0
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, *, ledger_rate: float, telemetry_rate: float, quiet: Path) -> None:
        """Until the file `quiet` is there and everything has come back."""
        clock = SystemClock()
        last_s, ledger_due, telemetry_due = clock.now_s(), 0.0, 0.0
        while not quiet.exists():  # noqa: ASYNC240 - one stat
            await asyncio.sleep(TICK_S)
            passed_s, last_s = clock.now_s() - last_s, clock.now_s()
            ledger_due = min(ledger_due + passed_s * ledger_rate, MAX_UNDER_WAY)
            telemetry_due = min(telemetry_due + passed_s * telemetry_rate, MAX_UNDER_WAY)
            while (ledger_due >= 1 or telemetry_due >= 1) and len(self._under_way) < MAX_UNDER_WAY:
                if ledger_due >= 1:
                    ledger_due -= 1
                    self._append(self._payment())
                if telemetry_due >= 1:
                    telemetry_due -= 1
                    self._append(self._weight())
        await asyncio.gather(*self._under_way)

    def _token(self, lane: str) -> str:
        self._number += 1
        return f"{self._prefix}.{lane}{self._number}"

    def _payment(self) -> PaymentCaptured:
        token = self._token("L")
        return PaymentCaptured(session=token, key=token, amount_fen=100 + self._number % 900)

    def _weight(self) -> WeightReading:
        return WeightReading(shelf=self._token("T"), gross_g=float(self._number), stable=True)

    def _append(self, data: EventData) -> None:
        task = asyncio.create_task(self._commit(data), name="append")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _commit(self, data: EventData) -> None:
        token = data.session if isinstance(data, PaymentCaptured) else data.shelf  # type: ignore[attr-defined]
        try:
            await self._ledger.commit(Transaction(records=[Record(data)]))
        except LedgerFullError:
            os.write(self._truth, f"- {token}\n".encode())
        else:
            os.write(self._truth, f"+ {token}\n".encode())


async def opened(options: argparse.Namespace) -> Ledger:
    """The ledger, as soon as it can be opened: on a full disk that may take a while."""
    while True:
        try:
            return await mutants.ledger_class().open(
                options.folder / "ledger.db",
                clock=clock_from_env(),
                tenant="t1",
                store=options.store,
                boot=f"b{options.life}",
                machine=options.store,
                telemetry_rows=options.telemetry_rows,
            )
        except LedgerOpenError as error:
            log.warning("cannot open yet: %s", error)
            await asyncio.sleep(TRY_AGAIN_S)


async def main(options: argparse.Namespace) -> None:
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    truth = os.open(options.notes / f"truth.{options.life}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ledger = await opened(options)
    mutants.spoil_uplink()
    uplink = Uplink(
        ledger=ledger,
        clock=clock_from_env(),
        rng=Random(),
        url=options.url,
        tenant="t1",
        store=options.store,
        instance=options.store,
        boot=f"b{options.life}",
        agent_version="test",
        progress_timeout_s=options.patience_s,
        heartbeat_s=options.heartbeat_s,
        reconnect_base_s=0.2,
        reconnect_cap_s=options.patience_s,
        network_timeout_s=max(3.0, options.patience_s),
    )
    for runner in uplink._lanes.values():  # the product may wait for 30 s; a run has not so much time
        runner.machine._backoff.cap_s = options.patience_s
    appender = Appender(ledger, truth, options.store, options.life)
    tasks = [
        asyncio.create_task(uplink.run(), name="uplink"),
        asyncio.create_task(
            appender.run(
                ledger_rate=options.ledger_rate,
                telemetry_rate=options.telemetry_rate,
                quiet=options.notes / "quiet",
            ),
            name="appender",
        ),
    ]
    stop = asyncio.create_task(ending.wait(), name="stop")
    try:
        await asyncio.wait([stop, tasks[0]], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end([*tasks, stop])
        with contextlib.suppress(LedgerFullError):
            await ledger.close()
    for task in tasks:
        if not task.cancelled() and task.exception() is not None:
            raise RuntimeError(f"{task.get_name()} fell") from task.exception()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(main(parse()))
