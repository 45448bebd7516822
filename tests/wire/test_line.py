"""What the contract says of the line itself, on the real shells: who connects how, who says what when, over which MQTT."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from cloud_bridge.app import Settings, create_app
from cloud_bridge.bridge import Bridge
from cloud_bridge.counters import Counters
from cloud_bridge.ingest.window import FULL_WINDOW
from cloud_bridge.mqtt import MqttShell
from cloud_bridge.storage import SqliteStorage
from contracts.clock import ManualClock, SystemClock
from contracts.messages import (
    CONTENT_ENCODING,
    ZSTD_MAGIC,
    Ack,
    Hello,
    HelloAnswer,
    Presence,
    Request,
    Response,
    decode_message,
    encode_message,
)
from contracts.tasks import end
from contracts.topics import StoreTopics
from edge.uplink.client import HEARTBEAT_S
from edge.uplink.requests import Requests
from mqtt_link import AiomqttPort, BrokerUrl
from tests.cloud_bridge.test_router import Bench
from tests.cloud_bridge.wire import Chain, Place
from tests.edge_uplink.fake_bridge import until
from tests.edge_uplink.test_client import Store
from tests.wire.fake_port import FakePort

V5, V311 = aiomqtt.ProtocolVersion.V5, aiomqtt.ProtocolVersion.V311


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@contextlib.asynccontextmanager
async def bridge_on(url: str, folder: Path) -> AsyncIterator[Bridge]:
    """The real bridge at the broker."""
    settings = Settings(database=folder / "cloud.db", mqtt_url=url, pages=False)
    app = create_app(settings, clock=SystemClock(), rng=random.Random(4))
    async with app.router.lifespan_context(app):
        bridge: Bridge = app.state.bridge
        await asyncio.wait_for(bridge.shell.connected.wait(), 20)
        yield bridge


# ------------------------------------------------------------------ MQTT


async def test_a_store_that_speaks_mqtt_3_1_1_is_served_the_codec_told_by_its_magic(
    two_versions, tmp_path: Path
) -> None:
    """3.1.1 has no user properties: nothing but the frame's first bytes says that it is compressed."""
    topics = StoreTopics("demo", "old-mqtt")
    chain = Chain(place=Place("demo", "old-mqtt", "ledger")).grow(200)
    packed, encoding = encode_message(chain.batch(1, 200))
    assert (encoding, packed[:4]) == ("zstd", ZSTD_MAGIC)
    async with (
        bridge_on(f"mqtt://127.0.0.1:{two_versions.mqtt5}", tmp_path),
        aiomqtt.Client("127.0.0.1", two_versions.mqtt311, protocol=V311, clean_session=True) as client,
    ):
        await client.subscribe(topics.all_down, qos=1)
        hello = Hello(
            stream=chain.stream, instance="i1", nonce="n1", next_seq=201, tail_hash=chain.hashes[-1].hex(), t0=1
        )
        await client.publish(topics.hello_up("ledger"), encode_message(hello)[0], qos=1)
        await client.publish(topics.events("ledger"), packed, qos=1)
        async with asyncio.timeout(20):
            answer, ack = await anext(client.messages), await anext(client.messages)
        assert decode_message(answer.payload, HelloAnswer).nonce == "n1"
        said = decode_message(ack.payload, Ack)
        assert (said.watermark, said.hash_at_watermark) == (200, chain.hashes[200].hex())


async def test_everything_goes_with_qos_1_is_json_or_named_zstd_and_only_presence_is_retained(
    broker, store, tmp_path: Path
) -> None:
    tapped: list[aiomqtt.Message] = []

    async def tap(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            tapped.append(message)  # noqa: PERF401 - the messages never end

    everything = f"{store.topics.base}/#"
    async with (
        aiomqtt.Client("127.0.0.1", broker.port, protocol=V5) as listener,
        asyncio.TaskGroup() as tasks,
        bridge_on(broker.url, tmp_path),
    ):
        await listener.subscribe(everything, qos=1)
        tapping = tasks.create_task(tap(listener), name="tap")
        async with store.on(broker.url):
            await until(lambda: store.uplink.online)
            await asyncio.gather(*(store.sell(10) for _ in range(20)))
            await store.measure(3)
            await until(store.drained)
            assert await store.uplink.ask("recognise", {"member": "m"}, 5.0) is not None
        await until(lambda: sum(str(m.topic).endswith("presence") for m in tapped) >= 2)
        await end([tapping])
        async with aiomqtt.Client("127.0.0.1", broker.port, protocol=V5) as late:
            await late.subscribe(everything, qos=1)
            async with asyncio.timeout(20):
                kept = [await anext(late.messages)]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    kept.append(await anext(late.messages))
    assert [(str(m.topic), bool(m.retain)) for m in kept] == [(store.topics.presence, True)]
    assert not decode_message(kept[0].payload, Presence).online  # its farewell
    kinds = {str(m.topic).removeprefix(f"{store.topics.base}/").split("/")[1] for m in tapped}
    assert kinds == {"presence", "hello", "events", "ack", "request", "response"}
    assert {m.qos for m in tapped} == {1}
    packed = 0
    for message in tapped:
        named = dict(getattr(message.properties, "UserProperty", [])).get(CONTENT_ENCODING, "")
        assert (named == "zstd") == message.payload.startswith(ZSTD_MAGIC), message.topic
        packed += named == "zstd"
        if not named:
            assert len(message.payload) <= 1024
            msgspec.json.decode(message.payload)
    assert packed >= 1


async def test_a_session_is_clean_and_ends_with_its_connection(broker) -> None:
    """Nothing that was published meanwhile comes in late: a command would be stale, an ack of another hello."""
    port = AiomqttPort(BrokerUrl.parse(broker.url), timeout_s=5.0)
    for n in range(2):
        async with port.connect(client_id="clean-session", on_dropped=lambda: None) as link:
            if n == 0:
                await link.subscribe("clean/#")
                continue
            await link.subscribe("again/#")
            async with aiomqtt.Client("127.0.0.1", broker.port, protocol=V5) as other:
                await other.publish("clean/x", b"missed", qos=1)
                await other.publish("again/x", b"now", qos=1)
            async with asyncio.timeout(20):
                async for message in link.messages():
                    assert message.topic == "again/x"  # the subscription of before is gone too
                    break
        async with aiomqtt.Client("127.0.0.1", broker.port, protocol=V5) as other:
            await other.publish("clean/x", b"while away", qos=1)


# ------------------------------------------------------------------ the store


async def test_the_client_id_is_the_store_and_its_instance_and_the_will_its_farewell(store) -> None:
    port = FakePort()
    async with store.on("mqtt://127.0.0.1:9", port=port):
        await until(lambda: port.connections == 1)
    assert port.client_ids == [f"{store.id}.m1"]
    will = port.wills[0]
    assert will is not None
    assert will.topic == store.topics.presence
    said = decode_message(will.payload, Presence)
    assert (said.online, said.boot, said.conn, said.instance) == (False, "b1", 1, "m1")


async def test_presence_is_said_after_each_connect_again_every_30_s_and_retained(store) -> None:
    port, clock = FakePort(), ManualClock()
    assert HEARTBEAT_S == 30.0

    def said() -> list[Presence]:
        assert all(s.retain for s in port.said if s.topic == store.topics.presence)
        return [decode_message(s.payload, Presence) for s in port.said if s.topic == store.topics.presence]

    async with store.on("mqtt://127.0.0.1:9", port=port, clock=clock):
        await until(lambda: len(said()) == 1)
        await clock.advance(HEARTBEAT_S - 0.1)
        assert len(said()) == 1
        await clock.advance(0.2)
        await until(lambda: len(said()) == 2)
        await clock.advance(3 * HEARTBEAT_S)
        await until(lambda: len(said()) == 5)
        port.drop()
        await until(lambda: said()[-1].conn == 2)
    assert [p.conn for p in said()][:6] == [1, 1, 1, 1, 1, 2]


async def test_a_hello_of_each_lane_follows_each_connect_and_says_all_the_contract_names(store) -> None:
    port = FakePort()

    def hellos(lane: str) -> list[dict[str, object]]:
        return [msgspec.json.decode(s.payload) for s in port.said if s.topic == store.topics.hello_up(lane)]

    async with store.on("mqtt://127.0.0.1:9", port=port, progress_timeout_s=1000.0):
        await store.sell(2)
        for n in (1, 2, 3):
            await until(lambda n=n: all(len(hellos(lane)) == n for lane in ("ledger", "telemetry")))
            port.drop()
        lane = store.ledger.lane("ledger")
        last = hellos("ledger")[-1]
        assert set(last) == {"stream", "instance", "nonce", "next_seq", "tail_hash", "t0"}  # no parent: not a fork
        assert (last["stream"], last["instance"]) == (lane.stream, "m1")
        assert (last["next_seq"], last["tail_hash"]) == (lane.tail.seq + 1, lane.tail.hash.hex())
    nonces = [h["nonce"] for name in ("ledger", "telemetry") for h in hellos(name)]
    assert len(set(nonces)) == len(nonces)


async def test_a_batch_carries_the_nonce_of_the_hello_that_was_answered(store) -> None:
    port = FakePort()
    async with store.on("mqtt://127.0.0.1:9", port=port, progress_timeout_s=1000.0):
        await store.sell(3)
        await until(lambda: any(s.topic == store.topics.hello_up("ledger") for s in port.said))
        hello = decode_message(next(s.payload for s in port.said if s.topic == store.topics.hello_up("ledger")), Hello)
        assert not any("/events/" in s.topic for s in port.said)  # nothing before the answer
        root = store.ledger.lane("ledger").hash_at(0)
        assert root is not None
        answer = HelloAnswer(
            nonce=hello.nonce, stream=hello.stream, watermark=0, hash_at_watermark=root.hex(), active=True,
            window=2, t0=hello.t0, t1=hello.t0, t2=hello.t0,
        )  # fmt: skip
        port.hear(store.topics.hello_down("ledger"), encode_message(answer)[0])
        await until(lambda: any("/events/" in s.topic for s in port.said))
    batches = [msgspec.json.decode(s.payload) for s in port.said if "/events/" in s.topic]
    assert {b["nonce"] for b in batches} == {hello.nonce}
    assert sum(len(b["events"]) for b in batches) == 2  # and the window of that answer


# ------------------------------------------------------------------ the bridge, when its broker will not have it


class Napping(ManualClock):
    """Sleeps are over at once and remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.naps: list[float] = []

    async def sleep(self, duration_s: float) -> None:
        self.naps.append(duration_s)
        self.step(duration_s)
        await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(2))
async def test_the_bridge_waits_longer_and_longer_for_a_broker_that_accepts_and_drops_at_once(seed: int) -> None:
    clock, port = Napping(), FakePort(lasts=False)
    shell = MqttShell(
        url="mqtt://127.0.0.1:9", router=None, clock=clock, rng=random.Random(seed), counters=Counters(), port=port
    )
    task = asyncio.create_task(shell.run(), name="shell")
    await until(lambda: len(clock.naps) >= 60)
    await end([task])
    cap_s = shell._backoff.cap_s
    assert cap_s <= 30.0
    ceilings = [min(cap_s, 0.5 * 2.0**n) for n in range(60)]
    assert all(nap <= most for nap, most in zip(clock.naps, ceilings, strict=False))
    assert max(clock.naps[10:]) > 0.6 * cap_s
    assert min(clock.naps[10:]) < 0.4 * cap_s  # full jitter: they do not come back together


async def test_the_bridge_begins_with_short_pauses_again_only_after_a_minute_that_held() -> None:
    clock, port = Napping(), FakePort(lasts=False)
    shell = MqttShell(
        url="mqtt://127.0.0.1:9", router=None, clock=clock, rng=random.Random(1), counters=Counters(), port=port
    )
    task = asyncio.create_task(shell.run(), name="shell")
    await until(lambda: len(clock.naps) >= 20)
    port.lasts = True
    for held_s, failures in ((59.0, True), (61.0, False)):
        before = port.connections
        await until(shell.connected.is_set)
        clock.step(held_s)
        port.drop()
        await until(lambda before=before: port.connections > before or not shell.connected.is_set())
        await until(shell.connected.is_set)
        assert (shell._backoff.failures > 1) == failures
    await end([task])


async def test_a_bridge_whose_queue_fills_announces_less_in_its_acks_and_stores_everything(tmp_path: Path) -> None:
    place, held = Place("demo", "busy", "ledger"), asyncio.Event()

    class Waiting(SqliteStorage):
        """A database that is stuck until the test lets go of it."""

        async def write(self, work):
            await held.wait()
            return await super().write(work)

    storage, port, topics = Waiting(tmp_path / "cloud.db"), FakePort(), StoreTopics("demo", "busy")
    storage.open()
    bench = Bench(storage, SystemClock())
    shell = MqttShell(
        url="mqtt://127.0.0.1:9", router=bench.router, clock=SystemClock(), rng=random.Random(1),
        counters=bench.counters, port=port, on_queued=bench.ingest.queued,
    )  # fmt: skip
    task = asyncio.create_task(shell.run(), name="shell")
    try:
        await until(shell.connected.is_set)
        chain = Chain(place=place).grow(100)
        for n in range(1, 101):
            port.hear(topics.events("ledger"), encode_message(chain.batch(n, n))[0])
        await until(port.inbox.empty)
        held.set()
        await until(lambda: len(port.said) == 100)
    finally:
        await end([task])
        storage.close()
    acks = [decode_message(s.payload, Ack) for s in port.said]
    assert acks[-1].watermark == 100
    assert {ack.window for ack in acks} == {FULL_WINDOW // 2}
    assert bench.counters["dropped_worker_queue_full"] == 0


# ------------------------------------------------------------------ questions


async def test_a_ttl_is_measured_by_a_clock_that_no_calendar_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's monotonic clock: when it has moved by the ttl the answer is late, whatever the calendar says."""
    loop, counters = asyncio.get_running_loop(), Counter()
    ahead_s, sound = 0.0, loop.time
    monkeypatch.setattr(loop, "time", lambda: sound() + ahead_s)
    asked: list[Request] = []

    async def publish(_method: str, request: Request) -> None:
        nonlocal ahead_s
        asked.append(request)
        ahead_s += 5.1
        await asyncio.sleep(0)

    requests = Requests(publish=publish, counters=counters)
    assert await requests.ask("recognise", {"member": "m"}, 5.0) is None
    assert asked[0].ttl_ms == 5000
    requests.answered(Response(id=asked[0].id, ok=True))
    assert (counters["request_timeout"], counters["response_late"]) == (1, 1)
