"""What went wrong elsewhere, over real processes: rows of the list of pitfalls, each a test by its number."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloud_bridge.presence import HEARTBEAT_MS
from cloud_bridge.storage import open_reader
from contracts.clock import ScaledClock, SystemClock
from contracts.tasks import end
from simulators.chaos_proxy import Address, ChaosProxy, Fault
from tests.conftest import free_port
from tests.processes.crew import Crew, until
from tests.processes.run import READY_WITHIN_S
from tests.processes.servers import LOOPBACK, Mosquitto, answers
from tests.processes.test_storm import SHORT, SOAK_S, needs_mosquitto, needs_postgres, run

SPEED = 25.0  # store seconds a real second: a heartbeat is little more than one
HEARTBEAT_S = HEARTBEAT_MS / 1000
SLACK_S = HEARTBEAT_S / 2  # store seconds, for what a busy machine does late


# ------------------------------------------------------------------ 4: an outbox that cannot keep up


@pytest.mark.proof
@needs_mosquitto
def test_pitfall_04_two_hundred_events_a_second_lose_nothing(tmp_path: Path):
    """The short form; the ten minutes stand in the soak."""
    calm = replace(SHORT, seconds=3.0, database="sqlite", stores=1, bridges=1, ledger_rate=200.0, calm=1)
    assert run(replace(calm, telemetry_rate=0.0), tmp_path) == []


@pytest.mark.soak
@needs_mosquitto
@needs_postgres
def test_pitfall_04_two_hundred_events_a_second_for_ten_minutes(tmp_path: Path):
    calm = replace(SHORT, seconds=SOAK_S, stores=1, bridges=2, ledger_rate=200.0, calm=1)
    assert run(replace(calm, telemetry_rate=0.0), tmp_path) == []


# ------------------------------------------------------------------ 32: a status that is wrong for a month


@dataclass
class Watch:
    """A store, a bridge that takes in, one that shows; and what is shown of the store."""

    crew: Crew
    clock: ScaledClock
    port: int
    line: ChaosProxy
    database: Path

    def shown(self) -> bool | None:
        """Whether the API says that the store is online; None while it does not answer."""
        with contextlib.suppress(OSError, ValueError):
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/api/v1/fleet", timeout=2) as answer:
                stores = json.load(answer)["stores"]
            return bool(stores and stores[0]["online"])
        return None

    async def becomes(self, online: bool, what: str) -> float:
        """Wait until it is shown so; store seconds since now."""
        start_s = self.clock.now_s()

        async def asked() -> bool:
            return await asyncio.to_thread(self.shown) == online

        async with asyncio.timeout(READY_WITHIN_S):
            while not await asked():
                await asyncio.sleep(0.05)
        took_s = self.clock.now_s() - start_s
        print(f"{what}: shown {'online' if online else 'offline'} after {took_s / HEARTBEAT_S:.2f} heartbeats")
        return took_s

    def heard_boot(self) -> str:
        with contextlib.closing(open_reader(self.database)) as db:
            row = db.one("SELECT boot FROM presence WHERE store = 's0'")
        return str(row[0]) if row else ""


@contextlib.asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watch]:
    clock = ScaledClock.create(folder / "clock", speed=SPEED, start=datetime.now(UTC))
    env = {"ZHANGGUI_CLOCK": str(folder / "clock")}
    notes = folder / "s0"
    notes.mkdir()
    with Crew(folder) as crew:
        broker = Mosquitto.start(crew, port=free_port(), persistence=True)
        await until(lambda: answers(broker.port), "the broker", within_s=READY_WITHIN_S)
        line = ChaosProxy(listen=Address(LOOPBACK, 0), target=Address(LOOPBACK, broker.port), clock=SystemClock())
        database, port = folder / "cloud.db", free_port()
        async with line.running():
            for role, where in (("pages", ["--port", str(port)]), ("ingest", [])):
                argv = [sys.executable, "-m", "zhanggui", "cloud", "run", "--role", role, "--database", str(database)]
                crew.enlist(role, [*argv, "--mqtt", f"mqtt://{LOOPBACK}:{broker.port}", *where], env=env)
                if role == "pages":
                    await until(database.exists, "the database", within_s=READY_WITHIN_S)
            argv = [
                sys.executable, "-m", "tests.processes.store_process", "--folder", str(notes), "--notes", str(notes),
                "--store", "s0", "--life", "{life}", "--url", f"mqtt://{line.listen}", "--patience-s", "1",
                "--ledger-rate", "2", "--telemetry-rate", "2", "--heartbeat-s", str(HEARTBEAT_S),
            ]  # fmt: skip
            crew.enlist("s0", argv, env=env)
            yield Watch(crew, clock, port, line, database)


@pytest.mark.proof
@needs_mosquitto
async def test_pitfall_32_the_status_is_right_within_two_heartbeats(tmp_path: Path):
    """After kill −9, a clean stop, a cable that is pulled and a broker that restarts; and it names the boot."""
    within_s = 2 * HEARTBEAT_S + SLACK_S
    async with watched(tmp_path) as watch:
        await watch.becomes(True, "first start")
        assert watch.heard_boot() == "b0"

        watch.crew.kill("s0")
        assert await watch.becomes(False, "kill -9") <= within_s
        watch.crew.start("s0")
        await watch.becomes(True, "start after it")
        assert watch.heard_boot() == "b1"

        watch.crew.kill("s0", signal.SIGTERM)
        assert await watch.becomes(False, "clean stop") <= within_s
        watch.crew.start("s0")
        await watch.becomes(True, "start after it")

        pulled = asyncio.create_task(watch.line.strike(Fault(kind="stall", duration_s=600)), name="pulled")
        assert await watch.becomes(False, "cable pulled") <= within_s
        await end([pulled])
        await watch.becomes(True, "cable back")

        watch.crew.kill("broker")
        watch.crew.start("broker")  # it believes to know what was retained
        await asyncio.sleep(within_s / SPEED)
        assert await watch.becomes(True, "two heartbeats after the broker's restart") <= SLACK_S
        watch.crew.kill("s0", signal.SIGTERM)
        watch.crew.kill("broker")
        watch.crew.start("broker")
        await asyncio.sleep(within_s / SPEED)
        assert await watch.becomes(False, "stopped, then the broker's restart") <= SLACK_S
        assert watch.heard_boot() == "b2"
