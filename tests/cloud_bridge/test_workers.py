"""Several bridges on one database, and one process by role: what each takes, leaves, and can be asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from cloud_bridge.bridge import Bridge
from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest
from cloud_bridge.run import CloudError, check_database, serve
from cloud_bridge.settings import Role, Settings
from cloud_bridge.storage import Storage, open_reader, open_storage, open_writer
from cloud_bridge.worker import Health, work
from contracts.clock import ManualClock, SystemClock
from contracts.messages import Presence, Request, encode_message
from contracts.topics import ALL_UP, StoreTopics
from tests.cloud_bridge.wire import LEDGER, Chain, rows

TOPICS = StoreTopics("demo", "shop1")
EVENTS = 80


class Worker:
    """One bridge's ingest with a connection pool of its own."""

    def __init__(self, database: Path | str) -> None:
        self.counters = Counters()
        self.storage: Storage = open_storage(database)
        self.storage.open()
        self.ingest = Ingest(storage=self.storage, clock=ManualClock(), counters=self.counters)


@pytest.fixture
def workers(database: Path | str) -> Iterator[list[Worker]]:
    made = [Worker(database) for _ in range(3)]
    yield made
    for worker in made:
        worker.storage.close()


def watermark(database: Path | str) -> int:
    with closing(open_reader(database)) as db:
        row = db.one("SELECT watermark FROM streams")
    return int(row[0]) if row else 0


@pytest.mark.parametrize("seed", range(4))
async def test_three_workers_put_one_stream_together(seed: int, database: Path | str, workers: list[Worker]) -> None:
    """Batches of one store spread over three workers, out of order, some twice, some lost with a worker that dies.

    Whoever closes a gap consumes what the others have parked; the store sends again from the watermark.
    """
    rng = Random(seed)
    chain = Chain(place=LEDGER).grow(EVENTS)
    for round_ in range(50):
        first = watermark(database) + 1
        if first > EVENTS:
            break
        spans = []
        while first <= EVENTS:
            last = min(EVENTS, first + rng.randint(0, 8))
            spans += [(first, last)] * rng.choice((1, 1, 2))
            first = last + 1
        kept = [span for span in spans if round_ > 3 or rng.random() < 0.8]  # the rest was with a worker that died
        rng.shuffle(kept)
        await asyncio.gather(
            *(rng.choice(workers).ingest.batch(LEDGER, chain.batch(*span)) for span in kept)  # at the same moment
        )
    with closing(open_reader(database)) as db:
        assert rows(db) == [(n, chain.raws[n - 1], chain.hashes[n], None) for n in range(1, EVENTS + 1)]
        assert db.one("SELECT count(*) FROM parked WHERE last > ?", (EVENTS,)) == (0,)
    assert sum(worker.counters["batch_parked"] for worker in workers) > 0
    assert sum(worker.counters["events_stored"] for worker in workers) == EVENTS


async def test_one_closes_the_gap_for_what_another_has_parked(database: Path | str, workers: list[Worker]) -> None:
    chain = Chain(place=LEDGER).grow(30)
    assert (await workers[0].ingest.batch(LEDGER, chain.batch(21, 30))).watermark == 0
    assert (await workers[1].ingest.batch(LEDGER, chain.batch(11, 20))).watermark == 0
    workers[0].storage.close()  # dead: what it has parked stands in the database
    assert (await workers[2].ingest.batch(LEDGER, chain.batch(1, 10))).watermark == 30


async def test_a_new_stream_met_by_three_workers_at_once_is_one(database: Path | str, workers: list[Worker]) -> None:
    chain = Chain(place=LEDGER).grow(5)
    acks = await asyncio.gather(*(worker.ingest.batch(LEDGER, chain.batch(1, 5)) for worker in workers))
    assert [ack.watermark for ack in acks] == [5, 5, 5]
    with closing(open_reader(database)) as db:
        assert len(rows(db)) == 5
        assert db.one("SELECT count(*) FROM streams") == (1,)


# ------------------------------------------------------------------ roles


def bridge(database: Path | str, role: Role) -> Bridge:
    settings = Settings(database=database, mqtt_url="mqtt://127.0.0.1:1", role=role)
    return Bridge(settings, clock=SystemClock(), rng=Random(1))


@contextlib.asynccontextmanager
async def both(database: Path | str) -> AsyncIterator[tuple[Bridge, Bridge]]:
    """A bridge that takes in, and one that shows, on one database."""
    taking, showing = bridge(database, "ingest"), bridge(database, "pages")
    async with taking.running(), showing.running():
        yield taking, showing


@pytest.mark.parametrize(
    ("role", "subscription"),
    [
        ("all", ALL_UP),  # also what the broker retained
        ("ingest", "$share/bridge/zg/v1/+/+/up/#"),
        ("pages", "$share/pages/zg/v1/+/+/up/request/+"),
    ],
)
def test_each_role_listens_to_its_part(role: Role, subscription: str, tmp_path: Path) -> None:
    assert bridge(tmp_path / "cloud.db", role).shell._subscription == subscription


async def test_what_one_takes_in_the_other_shows(database: Path | str) -> None:
    chain = Chain(place=LEDGER).grow(7)
    said = Presence(online=True, boot="b1", conn=1, instance="i", agent_version="1", since=1)
    async with both(database) as (taking, showing):
        await taking.router.handle(TOPICS.presence, encode_message(said)[0])
        await taking.router.handle(TOPICS.events("ledger"), encode_message(chain.batch(1, 7))[0])
        assert taking.models.fleet()[0].last_seen_ms  # what it heard itself; nothing of events
        assert taking.models.row == 0
        async with asyncio.timeout(20):
            while showing.models.row < 7 or not showing.models.fleet()[0].online:
                await asyncio.sleep(0.05)
        view = showing.models.store("demo", "shop1")
        assert view is not None
        assert view.watermarks["ledger"] == 7


async def test_questions_are_left_to_the_bridge_that_knows(database: Path | str) -> None:
    question = encode_message(Request(id="r1", ttl_ms=1000, args={"member": "m1"}))[0]
    async with both(database) as (taking, showing):
        assert await taking.router.handle(TOPICS.request("recognise"), question) is None
        assert taking.counters["left_to_pages_request"] == 1
        answer = await showing.router.handle(TOPICS.request("recognise"), question)
        assert answer is not None
        assert answer.topic == TOPICS.response("r1")


async def test_each_role_is_pinged_for_what_it_does(tmp_path: Path) -> None:
    async with both(tmp_path / "cloud.db") as (taking, showing):
        shown, taken = await showing.pings(), await taking.pings()
    assert {"storage", "mqtt"} <= taken.keys()
    assert shown.keys() - taken.keys() == {"read_models", "presence"}


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /healthz HTTP/1.1", 503),  # the broker is away
        (b"GET / HTTP/1.1", 404),
        (b"POST /healthz HTTP/1.1", 404),
        (b"", 404),
    ],
)
async def test_a_worker_answers_for_its_health_alone(line: bytes, status: int, tmp_path: Path) -> None:
    taking = bridge(tmp_path / "cloud.db", "ingest")
    async with taking.running():
        head, _, body = (await Health(taking).answer(line)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    told = json.loads(body)
    if status == 503:
        assert told["services"]["storage"]["ok"]
        assert not told["services"]["mqtt"]["ok"]


async def test_a_worker_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    import os
    import signal

    from cloud_bridge.run import listen

    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    settings = Settings(database=tmp_path / "cloud.db", mqtt_url="mqtt://127.0.0.1:1", role="ingest", port=port)
    task = asyncio.create_task(work(settings, clock=SystemClock(), listener=listener), name="work")
    for request in (b"GET /healthz HTTP/1.1\r\n\r\n", b"x" * 10_000, b"GET"):  # the last two are no requests
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            assert (await reader.read()).startswith(b"HTTP/1.1 503") == (request[-1:] == b"\n")
        writer.close()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(20):
        await task


def test_a_role_that_shows_needs_a_port(tmp_path: Path) -> None:
    settings = Settings(database=tmp_path / "cloud.db", mqtt_url="mqtt://127.0.0.1:1", role="pages", port=None)
    with pytest.raises(CloudError, match="give it a port"):
        serve(settings)


def test_two_processes_may_make_one_file_at_once(tmp_path: Path) -> None:
    """Workers are started together on an empty folder."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        for n in range(3):
            made = [pool.submit(_make, tmp_path / f"cloud{n}.db") for _ in range(4)]
            assert [one.result(timeout=60) for one in made] == [True] * 4


def _make(path: Path) -> bool:
    check_database(path)
    with closing(open_writer(path)) as db:
        return db.one("SELECT count(*) FROM streams") == (0,)
