"""Real deaths: a worker killed after its commit, a server killed under load, a disk that is really full.

What a worker was told stored is written down by it, byte by byte; afterwards the database must hold all of that, once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest
from cloud_bridge.storage import StorageFullError, open_storage, read_events
from cloud_bridge.storage.postgres import Server
from contracts.clock import ManualClock
from simulators.postgres_server import PostgresServer
from tests.cloud_bridge.wire import LEDGER, STREAM, Chain

EVENTS = 1500
WORKER = """
import asyncio, sys
from pathlib import Path
from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest
from cloud_bridge.storage import StorageAwayError, open_storage
from contracts.clock import SystemClock
from tests.cloud_bridge.wire import LEDGER, Chain

async def main(database: str, acked: Path, events: int) -> None:
    storage = open_storage(database)
    storage.open()
    ingest, chain = Ingest(storage=storage, clock=SystemClock(), counters=Counters()), Chain().grow(events)
    print("ready", flush=True)
    first = 1
    with acked.open("a", buffering=1) as told:
        while first <= events:
            try:
                ack = await ingest.batch(LEDGER, chain.batch(first, min(events, first + 19)))
            except StorageAwayError:
                await asyncio.sleep(0.02)
                continue
            told.write(f"{ack.watermark}\\n")
            first = ack.watermark + 1
    storage.close()

asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
"""


class Worker:
    """A process that stores one stream and notes each watermark that it was told after the commit."""

    def __init__(self, database: Path | str, folder: Path) -> None:
        self.acked = folder / "acked"
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(database), str(self.acked), str(EVENTS)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": "."},
        )

    def told(self) -> int:
        """The greatest watermark that was acknowledged."""
        lines = self.acked.read_text().split("\n")[:-1] if self.acked.exists() else []
        return max(map(int, lines), default=0)

    def wait_for(self, watermark: int) -> None:
        deadline_s = time.monotonic() + 60
        while self.told() < watermark:
            assert self.process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.005)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def kept(database: Path | str) -> list[int]:
    """The sequences stored, after a look at every byte of them."""
    chain = Chain().grow(EVENTS)
    found = list(read_events(database, "demo", "shop1"))
    assert [(e.raw, e.hash) for e in found] == [(chain.raws[e.seq - 1], chain.hashes[e.seq]) for e in found]
    return [e.seq for e in found]


def test_a_worker_that_is_killed_leaves_what_it_acknowledged_and_its_successor_doubles_nothing(
    database, tmp_path: Path
) -> None:
    for until in (100, 900):
        worker = Worker(database, tmp_path)
        try:
            worker.wait_for(until)
            worker.process.send_signal(signal.SIGKILL)  # anywhere: in a batch, at its commit, before its ack
            worker.process.wait(10)
        finally:
            worker.end()
        seqs = kept(database)
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) >= worker.told()
    last = Worker(database, tmp_path)  # begins at 1 again: all of it is overlap
    try:
        assert last.process.wait(60) == 0
    finally:
        last.end()
    assert kept(database) == list(range(1, EVENTS + 1))


def test_a_server_that_is_killed_again_and_again_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with PostgresServer() as server:
        url = server.url()
        worker = Worker(url, tmp_path)
        try:
            for until in (60, 700):
                worker.wait_for(until)
                server.kill()
                told = worker.told()
                server.start()
                assert len(kept(url)) >= told
            assert worker.process.wait(60) == 0
        finally:
            worker.end()
        assert kept(url) == list(range(1, EVENTS + 1))


@pytest.fixture
def small_disk(postgres_server: PostgresServer) -> str:
    """The URL of a database whose tables lie on a disk of a few megabytes. Needs root and its right to mount."""
    folder = postgres_server.folder / "small"
    folder.mkdir(exist_ok=True)
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=14m", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("only root may make a small disk")
    try:
        data = (postgres_server.folder / "data").stat()
        os.chown(folder, data.st_uid, data.st_gid)
        with closing(Server(postgres_server.url()).connect()) as admin:
            admin.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
            admin.execute("CREATE DATABASE cramped TABLESPACE small")
            yield postgres_server.url("cramped")
            admin.execute("DROP DATABASE cramped WITH (FORCE)")
            admin.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", folder], check=True)


async def test_a_full_disk_is_told_nothing_is_acknowledged_and_it_goes_on_when_there_is_room(small_disk: str) -> None:
    storage = open_storage(small_disk)
    storage.open()
    ingest = Ingest(storage=storage, clock=ManualClock(), counters=Counters())
    chain, told = Chain().grow(30_000), 0
    with pytest.raises(StorageFullError):  # noqa: PT012 - which batch is the one too many nobody knows
        while told < 30_000:
            told = (await ingest.batch(LEDGER, chain.batch(told + 1, told + 500))).watermark
    assert 0 < told < 30_000
    seqs = await storage.read(lambda db: db.rows("SELECT seq FROM events ORDER BY seq"))
    assert seqs == [(seq,) for seq in range(1, told + 1)]  # what was not told is not there
    with psycopg.connect(small_disk, autocommit=True) as admin:  # an operator makes room
        admin.execute("DELETE FROM events WHERE seq <= %s", (told - 10,))
        admin.execute("VACUUM FULL events")
    assert (await ingest.batch(LEDGER, chain.batch(told + 1, told + 10))).watermark == told + 10
    assert await storage.read(lambda db: db.one("SELECT stream FROM streams")) == (STREAM,)
    storage.close()
