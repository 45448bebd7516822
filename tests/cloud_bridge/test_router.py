"""The router takes what stores say, and bytes of any kind; the MQTT shell carries it over a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import aiomqtt
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest
from cloud_bridge.mqtt import BEGUN_A_WORKER, MESSAGES_A_WORKER, MqttShell, _worker_of
from cloud_bridge.presence import PresenceBook
from cloud_bridge.recommend import Offers
from cloud_bridge.requests import Requests
from cloud_bridge.router import Publication, Router
from cloud_bridge.storage import Storage, StorageError, read_events
from contracts.clock import ManualClock, SystemClock
from contracts.envelope import Origin, next_hash, root_hash
from contracts.event_types import StoreOpened
from contracts.messages import Ack, Hello, HelloAnswer, Presence, Request, Response, decode_message, encode_message
from contracts.topics import StoreTopics
from mqtt_link import AiomqttPort, BrokerUrl
from tests.cloud_bridge.wire import STREAM, Chain

TOPICS = StoreTopics("demo", "shop1")


class Nothing:
    def offers(self, tenant: str, store: str) -> Offers:
        return Offers()

    def points_earned(self, tenant: str, member_ref: str) -> int:
        return 0


class Bench:
    """A router with everything it needs."""

    def __init__(self, storage: Storage, clock) -> None:
        self.counters = Counters()
        self.storage = storage
        self.presence = PresenceBook(self.counters)
        self.ingest = Ingest(storage=storage, clock=clock, counters=self.counters)
        self.router = Router(
            storage=storage,
            ingest=self.ingest,
            presence=self.presence,
            requests=Requests(storage=storage, facts=Nothing(), clock=clock, counters=self.counters),
            clock=clock,
            counters=self.counters,
        )

    async def say(self, topic: str, message, **kw) -> Publication | None:
        return await self.router.handle(topic, encode_message(message)[0], **kw)


@pytest.fixture
def bench(storage: Storage, clock: ManualClock) -> Bench:
    return Bench(storage, clock)


def hello() -> Hello:
    chain = Chain()
    return Hello(stream=STREAM, instance="box1", nonce="h1", next_seq=1, tail_hash=chain.hashes[0].hex(), t0=1)


PRESENT = Presence(online=True, boot="b1", conn=1, instance="box1", agent_version="0.1", since=1)


async def test_each_kind_finds_its_way_and_its_answer(bench: Bench, clock: ManualClock) -> None:
    answer = await bench.say(TOPICS.hello_up("ledger"), hello())
    assert answer is not None
    assert answer.topic == TOPICS.hello_down("ledger")
    assert decode_message(answer.payload, HelloAnswer).nonce == "h1"

    chain = Chain().grow(30)
    answer = await bench.router.handle(TOPICS.events("ledger"), encode_message(chain.batch(1, 30))[0])  # compressed
    assert answer is not None
    assert answer.topic == TOPICS.ack("ledger")
    assert decode_message(answer.payload, Ack).watermark == 30

    answer = await bench.say(TOPICS.request("recognise"), Request(id="r7", ttl_ms=1000, args={"member": "m-1"}))
    assert answer is not None
    assert answer.topic == TOPICS.response("r7")
    assert decode_message(answer.payload, Response).reason == "unknown_member"

    assert await bench.say(TOPICS.presence, PRESENT) is None
    assert bench.presence.online("demo", "shop1", 1 + int(clock.wall().timestamp() * 1000))
    rows = await bench.storage.read(lambda db: db.rows("SELECT store, boot, conn FROM presence"))
    assert rows == [("shop1", "b1", 1)]


@pytest.mark.parametrize(
    ("topic", "payload", "count"),
    [
        ("zg/v1/demo/shop1/down/ack/ledger", b"{}", "dropped_unknown_topic"),  # not from a store
        ("zg/v1/demo/sh op/up/presence", b"{}", "dropped_unknown_topic"),  # ids must match
        ("zg/v1/demo/shop1/up/other/x", b"{}", "dropped_unknown_topic"),
        (
            TOPICS.events("diary"),
            encode_message(Chain().grow(1).batch(1, 1))[0],
            "dropped_malformed_events",
        ),  # no such lane
        (TOPICS.events("ledger"), b"{", "dropped_malformed_events"),
        (
            TOPICS.events("ledger"),
            b"\x28\xb5\x2f\xfd" + b"\x00" * 20,
            "dropped_malformed_events",
        ),  # no zstd after its magic
        (TOPICS.events("ledger"), b"x" * 400_000, "dropped_malformed_events"),
        (TOPICS.hello_up("ledger"), b"[]", "dropped_malformed_hello"),
        (TOPICS.request("recognise"), b"", "dropped_malformed_request"),
        (TOPICS.presence, b"\xff", "dropped_malformed_presence"),
        (f"{TOPICS.base}/up/twin", b"{}", "ignored_twin"),
    ],
)
async def test_what_is_malformed_is_counted_and_dropped(bench: Bench, topic: str, payload: bytes, count: str) -> None:
    assert await bench.router.handle(topic, payload) is None
    assert bench.counters.snapshot() == {count: 1}
    assert list(bench.presence.stores()) == []  # nor is it a sign of life


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["presence", "hello/ledger", "events/telemetry", "request/recognise", "twin", "x"]),
    payload=st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=60).map(lambda tail: b"\x28\xb5\x2f\xfd" + tail),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["stream", "events", "nonce", "boot"]), inner)
            ),
            max_leaves=8,
        ).map(lambda v: json.dumps(v).encode()),
    ),
)
def test_no_bytes_stop_the_router(kind: str, payload: bytes) -> None:
    class Never:
        """Random bytes are no message: nothing reaches the database."""

        async def write(self, work):
            raise AssertionError("a write")

        read = write

    bench = Bench(Never(), ManualClock())
    assert asyncio.run(bench.router.handle(f"{TOPICS.base}/up/{kind}", payload)) is None
    assert sum(bench.counters.snapshot().values()) == 1


async def test_without_a_commit_there_is_no_answer_and_one_line_in_the_log(bench: Bench, caplog, monkeypatch) -> None:
    async def full(work):
        raise StorageError("database or disk is full")

    batch = Chain().grow(1).batch(1, 1)
    with monkeypatch.context() as patch, caplog.at_level(logging.INFO, "zhanggui.cloud_bridge"):
        patch.setattr(bench.storage, "write", full)
        for _ in range(3):
            assert await bench.say(TOPICS.events("ledger"), batch) is None
    with caplog.at_level(logging.INFO, "zhanggui.cloud_bridge"):
        assert await bench.say(TOPICS.events("ledger"), batch) is not None
        assert await bench.say(TOPICS.events("ledger"), batch) is not None
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert bench.counters["unanswered_storage_failed"] == 3


def test_one_store_has_one_worker() -> None:
    workers = {_worker_of(topic) for topic in (TOPICS.presence, TOPICS.events("ledger"), TOPICS.hello_up("telemetry"))}
    assert len(workers) == 1
    assert len({_worker_of(f"zg/v1/demo/shop{n}/up/presence") for n in range(99)}) > 4


# ------------------------------------------------------------------ over a real broker


@pytest.mark.parametrize("url", ["http://host", "mqtt://", "host:1883"])
def test_an_address_that_is_none_is_refused(url: str, clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="mqtt url"):
        MqttShell(url=url, router=None, clock=clock, rng=Random(1), counters=Counters())


@contextlib.asynccontextmanager
async def running(shell: MqttShell) -> AsyncIterator[None]:
    task = asyncio.create_task(shell.run(), name="shell")
    try:
        await asyncio.wait_for(shell.connected.wait(), 20)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _next(client: aiomqtt.Client) -> aiomqtt.Message:
    return await asyncio.wait_for(anext(aiter(client.messages)), 20)


async def test_over_a_broker_a_batch_is_stored_and_acknowledged(broker, storage: Storage, database) -> None:
    bench = Bench(storage, SystemClock())
    shell = MqttShell(url=broker.url, router=bench.router, clock=SystemClock(), rng=Random(7), counters=bench.counters)
    topics = StoreTopics("demo", "broker1")
    chain = Chain(place=type(Chain().place)("demo", "broker1", "ledger")).grow(40)
    async with running(shell), aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as store:
        await store.subscribe(topics.all_down, qos=1)
        await store.publish(topics.events("ledger"), b"nonsense", qos=1)
        await store.publish(topics.hello_up("ledger"), encode_message(hello())[0], qos=1)
        answer = await _next(store)
        assert str(answer.topic) == topics.hello_down("ledger")
        assert decode_message(answer.payload, HelloAnswer).active
        await store.publish(topics.events("ledger"), encode_message(chain.batch(1, 40))[0], qos=1)
        ack = decode_message((await _next(store)).payload, Ack)
        assert (ack.watermark, ack.hash_at_watermark) == (40, chain.hashes[40].hex())
        assert len(list(read_events(database, "demo", "broker1"))) == 40
        assert bench.counters["dropped_malformed_events"] == 1
        # retained presence says the pair and nothing of now
        await store.publish(topics.presence, encode_message(PRESENT)[0], qos=1, retain=True)
        await store.publish(topics.request("x"), encode_message(Request(id="r", ttl_ms=1, args={}))[0], qos=1)
        assert decode_message((await _next(store)).payload, Response).reason == "unknown_method"
    assert not shell.connected.is_set()


async def test_it_comes_back_and_says_so_once(broker, bench: Bench, caplog) -> None:
    class Hurried(SystemClock):
        async def sleep(self, duration_s: float) -> None:
            await asyncio.sleep(0.01)

    shell = MqttShell(
        url="mqtt://127.0.0.1:1", router=bench.router, clock=Hurried(), rng=Random(3), counters=bench.counters
    )
    with caplog.at_level(logging.INFO, "zhanggui.cloud_bridge"):
        task = asyncio.create_task(shell.run(), name="shell")
        while bench.counters["broker_connections_lost"] < 3:
            await asyncio.sleep(0.01)
        shell._port = AiomqttPort(BrokerUrl.parse(broker.url))
        await asyncio.wait_for(shell.connected.wait(), 20)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_store_that_floods_holds_up_no_other(broker) -> None:
    class Stuck:
        """Never done with a message of the first store."""

        def __init__(self) -> None:
            self.others: list[str] = []

        async def handle(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
            if "/flood/" in topic:
                await asyncio.Event().wait()
            self.others.append(topic)

    stuck, counters = Stuck(), Counters()
    shell = MqttShell(url=broker.url, router=stuck, clock=SystemClock(), rng=Random(7), counters=counters)
    flood, other = StoreTopics("demo", "flood").request("x"), StoreTopics("demo", "other").request("x")
    assert _worker_of(flood) != _worker_of(other)
    async with running(shell), aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as store:
        for _ in range(MESSAGES_A_WORKER + BEGUN_A_WORKER + 12):
            await store.publish(flood, b"x", qos=1)
        await store.publish(other, b"x", qos=1)
        async with asyncio.timeout(20):
            while other not in stuck.others:
                await asyncio.sleep(0.01)
    assert counters["dropped_worker_queue_full"] >= 9  # a few are begun already


def test_a_dropped_message_is_counted(bench: Bench) -> None:
    shell = MqttShell(url="mqtt://h", router=bench.router, clock=ManualClock(), rng=Random(1), counters=bench.counters)
    shell._dropped()
    assert bench.counters["dropped_inbound_queue_full"] == 1


UNBOUND = 2**63  # more than a database can hold
A_HELLO = {"stream": STREAM, "instance": "i", "nonce": "n", "next_seq": 1, "tail_hash": "0" * 64, "t0": 0}
A_PARENT = {"stream": STREAM, "common": 1, "hash": "0" * 64}
A_GAP = {"from": 1, "to": UNBOUND, "reason": "x", "count": 1, "last_hash": "0" * 64}
A_PRESENCE = {"online": True, "boot": "b", "conn": 1, "instance": "i", "agent_version": "1", "since": 0}


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        (TOPICS.presence, A_PRESENCE | {"conn": UNBOUND}),  # retained: it would meet the bridge at every start
        (TOPICS.hello_up("ledger"), A_HELLO | {"probe": UNBOUND}),
        (TOPICS.hello_up("ledger"), A_HELLO | {"next_seq": UNBOUND}),
        (TOPICS.hello_up("ledger"), A_HELLO | {"parent": A_PARENT | {"common": UNBOUND}}),
        (
            TOPICS.events("telemetry"),
            {
                "stream": STREAM,
                "nonce": "n",
                "first_seq": UNBOUND + 1,
                "prev_hash": root_hash(STREAM).hex(),
                "events": [{}],
                "last_hash": next_hash(bytes(32), b"{}").hex(),
                "gap": A_GAP,
            },
        ),
    ],
)
async def test_a_number_without_measure_is_dropped_like_any_nonsense(
    bench: Bench, topic: str, message: dict[str, Any]
) -> None:
    assert await bench.router.handle(topic, msgspec.json.encode(message), retained=True) is None
    assert bench.counters[f"dropped_malformed_{topic.split('/')[5]}"] == 1


async def test_an_event_whose_origin_has_no_measure_is_a_dead_letter(bench: Bench, storage: Storage, database) -> None:
    """One bad event never blocks a lane."""
    chain = Chain().grow(1)
    chain.say(StoreOpened(staff_id="s"), origin=Origin(stream=STREAM, seq=UNBOUND, hash="0" * 64))
    answer = await bench.say(TOPICS.events("ledger"), chain.batch(1, 2))
    assert answer is not None
    assert decode_message(answer.payload, Ack).watermark == 2
    first, second = (event.dead for event in read_events(database, "demo", "shop1"))
    assert first is None
    assert "origin" in (second or "")
