"""The shell over a real broker: what the machine decides arrives, and the line comes back after every cut."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import msgspec
import pytest

from contracts.clock import SystemClock
from contracts.envelope import decode_data, decode_envelope
from contracts.event_types import AgentHealth, ClockEstimated, CommandAccepted, StreamForked
from contracts.messages import Ack, Command, Response
from contracts.tasks import end
from contracts.topics import StoreTopics
from edge.ledger import Ledger
from edge.ports import Record, Transaction
from edge.uplink import Uplink
from tests.edge_uplink.fake_bridge import FakeBridge, Proxy, until
from tests.edge_uplink.model import Cloud

_stores = count(1)


class Store:
    """A ledger and its uplink, under a store id that no other test uses."""

    def __init__(self, folder: Path) -> None:
        self.id = f"s{next(_stores)}"
        self.folder = folder
        self.topics = StoreTopics("t1", self.id)
        self.ledger: Ledger
        self.uplink: Uplink

    @contextlib.asynccontextmanager
    async def on(self, url: str, **kw) -> AsyncIterator[Store]:
        clock = SystemClock()
        self.ledger = await Ledger.open(
            self.folder / "ledger.db",
            clock=clock,
            tenant="t1",
            store=self.id,
            boot="b1",
            machine="m1",
            telemetry_rows=100,
        )
        line = {
            "ledger": self.ledger,
            "clock": clock,
            "rng": random.Random(3),
            "url": url,
            "tenant": "t1",
            "store": self.id,
            "instance": "m1",
            "boot": "b1",
            "agent_version": "0.1",
            "progress_timeout_s": 0.4,
            "reconnect_base_s": 0.02,
            "reconnect_cap_s": 0.1,
            "network_timeout_s": 1.0,
        }
        self.uplink = Uplink(**{**line, **kw})
        task = asyncio.get_running_loop().create_task(self.uplink.run(), name="uplink")
        try:
            yield self
        finally:
            await end([task])
            await self.ledger.close()

    async def sell(self, n: int) -> None:
        """`n` events of the ledger lane, numbered on."""
        for _ in range(n):
            await self.ledger.commit(
                Transaction(records=[Record(CommandAccepted(command=str(next(_numbers)), kind="x"))])
            )

    async def measure(self, n: int) -> None:
        for k in range(n):
            await self.ledger.commit(Transaction(records=[Record(AgentHealth(boot="b1", counters={"n": k}))]))

    def drained_ledger(self) -> bool:
        lane = self.ledger.lane("ledger")
        return lane.freed.seq == lane.tail.seq > 0

    def drained(self) -> bool:
        lanes = [self.ledger.lane("ledger"), self.ledger.lane("telemetry")]
        return all(lane.freed.seq == lane.tail.seq and lane.tail.seq for lane in lanes)


_numbers = count(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def sold(bridge: FakeBridge) -> list[int]:
    """The numbers of the sales that the cloud holds, in its order."""
    found = [decode_data(decode_envelope(raw)) for raw in bridge.events("ledger")]
    return [int(e.command) for e in found if isinstance(e, CommandAccepted)]


async def test_both_lanes_arrive_once_each_in_order_with_their_exact_bytes_and_are_freed(broker, store) -> None:
    async with FakeBridge(store.topics).on(broker.url) as bridge, store.on(broker.url):
        await store.sell(30)
        await store.measure(5)
        await until(store.drained)
        await store.sell(10)  # growth wakes the lane, no timer is needed
        await until(store.drained)
        assert len(sold(bridge)) == 40
        assert sold(bridge) == sorted(sold(bridge))
        for name in ("ledger", "telemetry"):  # the cloud's hash over the bytes it got is ours over those we wrote
            lane = store.ledger.lane(name)
            assert bridge.clouds[name].of(lane.stream).hashes[-1] == lane.tail.hash
        assert store.uplink.online
        assert not store.uplink.standby


async def test_everything_of_an_outage_arrives_after_it_though_the_agent_was_restarted(broker, store) -> None:
    """Pitfalls 3 and 12: cloud away, agent restarted, nothing is lost."""
    async with store.on("mqtt://127.0.0.1:9"):  # nobody listens there
        await store.sell(20)
        await until(lambda: store.uplink.counters.get("disconnected", 0) >= 2)
        assert not store.uplink.online
    async with FakeBridge(store.topics).on(broker.url) as bridge, store.on(broker.url):
        await until(lambda: len(sold(bridge)) == 20)


async def test_a_broker_without_a_cloud_behind_it_gets_hellos_only(broker, store) -> None:
    async with store.on(broker.url):
        await store.sell(3)
        await until(lambda: store.uplink.counters.get("ledger_hellos", 0) >= 2)
        assert not store.uplink.online
        assert store.uplink.counters.get("ledger_batches", 0) == 0
        async with FakeBridge(store.topics).on(broker.url) as bridge:  # then the cloud comes
            await until(lambda: len(sold(bridge)) == 3)


async def test_lost_acks_double_nothing(broker, store) -> None:
    """Pitfall 13: the first acks are lost; the cloud has one row an event."""
    bridge = FakeBridge(store.topics, ack_lost=lambda n: n <= 40)
    async with bridge.on(broker.url), store.on(broker.url):
        for _ in range(4):
            await store.sell(3)
            await asyncio.sleep(0.02)
        await store.measure(1)
        await until(store.drained)
        assert len(sold(bridge)) == len(set(sold(bridge))) == 12
        found = store.uplink.counters
        assert found.get("ledger_no_progress", 0) + found.get("telemetry_no_progress", 0) >= 1


async def test_after_a_cut_the_line_subscribes_again_and_goes_on(broker, store) -> None:
    """Pitfall 11: publishing works after a reconnect, and so must hearing."""
    async with Proxy(broker.port).on() as proxy, FakeBridge(store.topics).on(broker.url) as bridge:  # noqa: SIM117  # the store's url is the proxy's
        async with store.on(proxy.url):
            await store.sell(3)
            await store.measure(1)
            await until(store.drained)
            for n in range(1, 4):
                proxy.cut()
                await store.sell(2)
                await until(lambda n=n: len(sold(bridge)) == 3 + 2 * n and store.drained())
            assert proxy.connections >= 4
            answer = await store.uplink.ask("recognise", {"member": "m"}, 5.0)
            assert answer is not None


async def test_a_broker_that_accepts_and_drops_makes_the_pauses_grow(broker, store) -> None:
    """Pitfall 10: a connection that does not last resets nothing."""
    async with Proxy(broker.port).on() as proxy:
        proxy.drop_after_bytes = 1
        async with store.on(proxy.url):
            await until(lambda: proxy.connections >= 6)
            assert store.uplink._backoff.failures >= 5
            assert not store.uplink.online


async def test_a_wrong_tls_peer_is_tried_again_and_the_shop_goes_on(broker, store, caplog) -> None:
    """Pitfall 18: the first connect fails on TLS; retries go on; one log line says it."""
    caplog.set_level(logging.INFO, "zhanggui.uplink")
    async with store.on(f"mqtts://user:hunter2@127.0.0.1:{broker.port}"):
        await until(lambda: store.uplink.counters.get("disconnected", 0) >= 3)
        await store.sell(1)
        assert store.ledger.lane("ledger").tail.seq == 1
    lines = [r.getMessage() for r in caplog.records if r.name == "zhanggui.uplink"]
    assert len(lines) == 1
    assert "hunter2" not in caplog.text
    assert "hunter2" not in repr(vars(store.uplink))


async def test_it_logs_once_down_and_once_up(broker, store, caplog) -> None:
    caplog.set_level(logging.INFO, "zhanggui.uplink")
    async with Proxy(broker.port).on() as proxy, store.on(proxy.url):
        await until(lambda: store.uplink.counters.get("connected") == 1)
        proxy.refuse = True
        proxy.cut()
        await until(lambda: store.uplink.counters.get("disconnected", 0) >= 3)
        proxy.refuse = False
        await until(lambda: store.uplink.counters["connected"] == 2)
    levels = [r.levelname for r in caplog.records if r.name == "zhanggui.uplink"]
    assert levels == ["INFO", "WARNING", "INFO"]


async def test_presence_says_which_connection_it_is_and_the_last_will_ends_it(broker, store) -> None:
    async with Proxy(broker.port).on() as proxy, FakeBridge(store.topics).on(broker.url) as bridge:
        async with store.on(proxy.url, heartbeat_s=0.1):
            await until(lambda: len(bridge.presences) >= 3)  # it is repeated
            assert {(p.online, p.boot, p.conn, p.instance) for p in bridge.presences} == {(True, "b1", 1, "m1")}
            proxy.refuse = True  # a client that is back at once may take its will with it: brokers differ
            proxy.cut()
            await until(lambda: any(not p.online for p in bridge.presences))
            assert {p.conn for p in bridge.presences if not p.online} == {1}
            proxy.refuse = False
            await until(lambda: bridge.presences[-1].online)
            last = bridge.presences[-1].conn
            assert last > 1
        await until(lambda: not bridge.presences[-1].online)  # a clean stop says so
        assert bridge.presences[-1].conn == last


async def test_another_active_instance_makes_this_one_stand_by(broker, store) -> None:
    bridge = FakeBridge(store.topics)
    for cloud in bridge.clouds.values():
        cloud.lease = "another"
    async with bridge.on(broker.url), store.on(broker.url):
        await store.sell(2)
        await until(lambda: store.uplink.standby)
        assert bridge.heard["events"] == 0
        for cloud in bridge.clouds.values():
            cloud.lease = "m1"  # the operator moves the lease
        await until(lambda: len(sold(bridge)) == 2)


async def test_dropped_telemetry_reaches_the_cloud_as_a_gap_and_an_event(broker, store) -> None:
    async with store.on("mqtt://127.0.0.1:9"):
        await store.measure(130)  # 100 are kept
    async with FakeBridge(store.topics).on(broker.url) as bridge, store.on(broker.url):
        await until(lambda: store.ledger.lane("telemetry").freed.seq == 130)
        gaps = [b.gap for b in bridge.batches if b.gap]
        assert [(g.first, g.count) for g in gaps] == [(1, gaps[0].last)]
        await until(store.drained)
        names = [decode_envelope(raw).name for raw in bridge.events("ledger")]
        assert "telemetry.dropped" in names


async def test_a_cloud_that_lost_data_is_forked_away_from_and_nothing_we_hold_is_missing(broker, store) -> None:
    bridge = FakeBridge(store.topics)
    async with bridge.on(broker.url), store.on(broker.url):
        await store.sell(5)
        await store.measure(1)
        await until(store.drained)
    bridge.clouds["ledger"] = Cloud(window=2048)  # restored from an empty copy
    async with bridge.on(broker.url), store.on(broker.url):
        await store.sell(2)
        await until(lambda: len(sold(bridge)) == 2)
        assert store.uplink.counters["ledger_alarm_cloud_loss"] == 1
        parent = store.ledger.lane("ledger").parent
        assert parent is not None
        found = [decode_data(decode_envelope(raw)) for raw in bridge.events("ledger")]
        (forked,) = [e for e in found if isinstance(e, StreamForked) and e.lane == "ledger"]
        assert (forked.reason, forked.parent, forked.common) == ("cloud_loss", parent.stream, parent.common)
        assert (forked.lost_first, forked.lost_last) == (1, parent.common)  # the range, in the ledger of the new stream


# ------------------------------------------------------------------ questions


async def test_a_question_is_answered(broker, store) -> None:
    async with FakeBridge(store.topics).on(broker.url) as bridge, store.on(broker.url):
        await until(lambda: store.uplink.online)
        answer = await store.uplink.ask("recognise", {"member": "m1", "cabinet": "c1"}, 5.0)
        assert answer is not None
        assert answer.ok
        assert bridge.requests[0].args == {"member": "m1", "cabinet": "c1"}
        assert bridge.requests[0].ttl_ms == 5000


async def test_an_answer_after_its_time_is_dropped_and_counted(broker, store) -> None:
    async with FakeBridge(store.topics, answer_requests=False).on(broker.url) as bridge, store.on(broker.url):
        await until(lambda: store.uplink.online)
        assert await store.uplink.ask("recognise", {"member": "m1"}, 0.3) is None
        await until(lambda: bridge.requests)
        late = bridge.requests[0].id
        await bridge.say(store.topics.response(late), Response(id=late, ok=True))
        await until(lambda: store.uplink.counters.get("response_late") == 1)
        assert store.uplink.counters["request_timeout"] == 1


async def test_a_question_without_a_line_is_answered_at_once_with_none(store) -> None:
    async with store.on("mqtt://127.0.0.1:9"):
        assert await store.uplink.ask("recognise", {}, 30.0) is None
        assert store.uplink.counters["request_offline"] == 1


@pytest.mark.parametrize(("method", "ttl_s"), [("a/b", 1.0), ("", 1.0), ("recognise", 0.0), ("recognise", 61.0)])
async def test_a_wrong_question_is_refused(store, method, ttl_s) -> None:
    async with store.on("mqtt://127.0.0.1:9"):
        with pytest.raises(ValueError):
            await store.uplink.ask(method, {}, ttl_s)


# ------------------------------------------------------------------ what the cloud must not do to us


async def test_malformed_and_unexpected_messages_are_counted_and_change_nothing(broker, store) -> None:
    async with FakeBridge(store.topics).on(broker.url) as bridge, store.on(broker.url):
        await until(lambda: store.uplink.online)
        down = f"{store.topics.base}/down"
        for topic, payload in (
            (f"{down}/ack/ledger", b"{"),
            (f"{down}/ack/ledger", b"\x28\xb5\x2f\xfd no zstd"),
            (f"{down}/hello/ledger", b"[]"),
            (f"{down}/response/x", b"\xff"),
            (f"{down}/ack/other", b"{}"),
            (f"{down}/nonsense", b""),
        ):
            await bridge.say(topic, payload)
        command = Command(id="c1", stream="s", type="unlock", args={}, issued_by="op", expires_at=0, ttl_ms=1)
        await bridge.say(store.topics.command("c1"), command)
        await bridge.say(f"{down}/twin", b"{}")
        stream = store.ledger.lane("ledger").stream
        await bridge.say(
            store.topics.ack("ledger"), Ack(stream=stream, nonce="old", watermark=9, hash_at_watermark="0" * 64)
        )
        await until(lambda: store.uplink.counters.get("ledger_ack_stale") == 1)
        found = store.uplink.counters
        assert (found["message_malformed"], found["message_unexpected"]) == (4, 2)
        assert (found["command_ignored"], found["twin_ignored"]) == (1, 1)
        await store.sell(1)
        await until(lambda: len(sold(bridge)) == 1)


async def test_a_flood_of_acks_is_bounded_and_counted(store) -> None:
    async with store.on("mqtt://127.0.0.1:9"):
        runner = store.uplink._lanes["ledger"]
        for _ in range(300):
            runner.offer(Ack(stream=store.ledger.lane("ledger").stream, nonce="x"))
        assert runner.counters["inbox_full"] == 44


# ------------------------------------------------------------------ time


async def clock_events(bridge: FakeBridge) -> list[ClockEstimated]:
    found = [decode_data(decode_envelope(raw)) for raw in bridge.events("ledger")]
    return [e for e in found if isinstance(e, ClockEstimated)]


@pytest.mark.parametrize(("hours", "quality"), [(0.0, "synced"), (1.0, "estimated"), (-0.5, "estimated")])
async def test_the_clock_is_unknown_then_compared_and_the_finding_is_written_once(
    broker, store, hours, quality
) -> None:
    bridge = FakeBridge(store.topics, hours_ahead=hours)
    async with bridge.on(broker.url), store.on(broker.url, heartbeat_s=0.05):
        assert store.uplink.clock_quality == "unknown"
        await until(lambda: store.uplink.clock_quality != "unknown")
        assert store.uplink.clock_quality == quality
        await store.sell(1)
        await until(lambda: len(sold(bridge)) == 1)
        (event,) = await clock_events(bridge)
        assert abs(event.offset_ms - hours * 3_600_000) < 1_000 + event.rtt_ms
        qualities = [msgspec.json.decode(raw)["clockquality"] for raw in bridge.events("ledger")]
        assert qualities[-1] == quality


async def test_a_full_disk_does_not_end_the_line(broker, store) -> None:
    async with FakeBridge(store.topics).on(broker.url) as bridge, store.on(broker.url):
        await store.sell(3)
        await store.ledger._writer.call(lambda s: s.connection.execute("PRAGMA query_only=1"))  # every write fails
        await until(lambda: len(sold(bridge)) == 3)
        await until(lambda: store.uplink.counters.get("ledger_confirm_failed", 0) >= 1)
        await store.ledger._writer.call(lambda s: s.connection.execute("PRAGMA query_only=0"))
        await store.sell(1)
        await until(lambda: store.ledger.lane("ledger").freed.seq == store.ledger.lane("ledger").tail.seq)


async def test_an_error_of_our_own_is_counted_and_the_line_comes_back(broker, store, caplog) -> None:
    async with FakeBridge(store.topics).on(broker.url) as bridge, store.on(broker.url):
        await until(lambda: store.uplink.online)
        lane = store.ledger.lane("ledger")
        sound = lane.read

        async def broken(*_args: int) -> None:
            lane.read = sound  # type: ignore[method-assign]
            raise RuntimeError("a mistake of ours")

        lane.read = broken  # type: ignore[method-assign,assignment]
        await store.sell(2)
        await until(lambda: len(sold(bridge)) == 2)
        assert store.uplink.counters["internal_error"] == 1
