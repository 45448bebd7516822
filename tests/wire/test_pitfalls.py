"""What went wrong for users of other systems, on the real uplink: a box that boots in 1970, a certificate that is over."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import tests.edge_uplink.test_client as line
from contracts.clock import SystemClock
from contracts.envelope import decode_data, decode_envelope
from contracts.event_types import ClockEstimated, DeviceFault, DeviceRecovered
from edge.ledger import Ledger
from mqtt_link import AiomqttPort, BrokerUrl
from tests.edge_uplink.fake_bridge import FakeBridge, until
from tests.wire.tls import EXPIRED, NOT_YET, VALID, TlsFront


class Stopped(SystemClock):
    """A box without a battery: its calendar began at 1970 with this boot, until somebody sets it."""

    def __init__(self) -> None:
        self.offset = datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)

    def wall(self) -> datetime:
        return super().wall() - self.offset


@pytest.fixture
def store(tmp_path: Path) -> line.Store:
    return line.Store(tmp_path)


def port_to(front: TlsFront) -> AiomqttPort:
    return AiomqttPort(BrokerUrl.parse(front.url), timeout_s=2.0, tls=front.trust())


def told(bridge: FakeBridge) -> list[DeviceFault | DeviceRecovered]:
    found = [decode_data(decode_envelope(raw)) for raw in bridge.events("ledger")]
    return [e for e in found if isinstance(e, DeviceFault | DeviceRecovered)]


async def test_pitfall_18_an_expired_certificate_at_the_start_is_tried_again_with_an_alarm_until_it_is_mended(
    broker, store, caplog
) -> None:
    caplog.set_level(logging.INFO, "zhanggui.uplink")
    async with TlsFront(broker.port).on() as front, FakeBridge(store.topics).on(broker.url) as bridge:
        front.use(EXPIRED)
        async with store.on(front.url, port=port_to(front)):
            await until(lambda: store.uplink.counters.get("disconnected", 0) >= 4)
            fault = store.uplink.fault
            assert fault is not None
            assert (fault.code, "expired" in fault.detail) == ("certificate_expired", True)
            await store.sell(3)  # the shop goes on
            front.use(VALID)
            await until(lambda: len(line.sold(bridge)) == 3)
            assert store.uplink.fault is None
            await until(lambda: len(told(bridge)) == 2)
    raised, over = told(bridge)
    assert isinstance(raised, DeviceFault)
    assert isinstance(over, DeviceRecovered)
    assert (raised.device, raised.code, over.code) == ("uplink", "certificate_expired", "certificate_expired")
    assert over.down_s > 0
    levels = [r.levelname for r in caplog.records if r.name == "zhanggui.uplink"]
    assert levels == ["WARNING", "INFO"]  # once down, once up, however often it tried


async def test_pitfall_16_a_box_that_boots_in_1970_sells_waits_for_its_clock_and_loses_nothing(
    broker, store, monkeypatch
) -> None:
    """OpenSSL asks the machine, not us, for the time: the certificate is the one that is out of step here."""
    clock = Stopped()
    monkeypatch.setattr(line, "SystemClock", lambda: clock)
    async with TlsFront(broker.port).on() as front, FakeBridge(store.topics).on(broker.url) as bridge:
        front.use(NOT_YET)
        for _ in range(2):  # and it is switched off and on again meanwhile
            async with store.on(front.url, port=port_to(front)):
                await store.sell(4)
                await until(lambda: store.uplink.counters.get("disconnected", 0) >= 3)
                assert store.uplink.fault is not None
                assert store.uplink.fault.code == "clock_not_set"
                assert store.uplink.clock_quality == "unknown"
        async with store.on(front.url, port=port_to(front)):
            assert store.ledger.lane("ledger").waiting >= 8  # nothing was wiped
            clock.offset = timedelta()  # the time is set
            front.use(VALID)
            await until(lambda: len(line.sold(bridge)) == 8)
            await until(lambda: store.uplink.clock_quality == "synced")
            await until(store.drained_ledger)
    assert line.sold(bridge) == sorted(line.sold(bridge))  # in order, whatever their time says
    events = [decode_envelope(raw) for raw in bridge.events("ledger")]
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    sales = [e for e in events if e.name == "command.accepted"]
    assert {(e.time[:4], e.clockquality) for e in sales} == {("1970", "unknown")}
    assert any(isinstance(decode_data(e), ClockEstimated) for e in events)
    assert [(type(e).__name__, e.code) for e in told(bridge)] == [
        ("DeviceFault", "clock_not_set"),  # once, not once a boot
        ("DeviceRecovered", "clock_not_set"),
    ]


@pytest.mark.parametrize(
    ("valid", "host", "trusted", "code"),
    [
        (NOT_YET, "127.0.0.1", True, "certificate_not_yet_valid"),  # our clock is plausible: then it is theirs
        (VALID, "10.9.9.9", True, "certificate_of_another_host"),
        (VALID, "broker.example", True, "certificate_of_another_host"),
        (VALID, "127.0.0.1", False, "certificate_untrusted"),
    ],
)
async def test_each_fault_of_a_certificate_has_its_name(  # noqa: PLR0917 - a table
    broker, store, valid, host, trusted, code
) -> None:
    async with TlsFront(broker.port).on() as front:
        front.use(valid, host)
        port = port_to(front) if trusted else AiomqttPort(BrokerUrl.parse(front.url), timeout_s=2.0)
        async with store.on(front.url, port=port):
            await until(lambda: store.uplink.fault is not None)
            assert store.uplink.fault.code == code


async def test_a_peer_that_does_not_speak_tls_is_a_fault_and_one_that_hangs_up_is_none(broker, store) -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with store.on(f"mqtts://127.0.0.1:{broker.port}"):  # it hangs up: a broker that restarts does that too
        await until(lambda: store.uplink.counters.get("disconnected", 0) >= 2)
        assert store.uplink.fault is None
    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server, store.on(f"mqtts://127.0.0.1:{server.sockets[0].getsockname()[1]}"):
        await until(lambda: store.uplink.fault is not None)
        assert store.uplink.fault.code == "tls_failed"


async def test_a_broker_that_is_away_is_no_fault(store) -> None:
    async with store.on("mqtt://127.0.0.1:9"):
        await until(lambda: store.uplink.counters.get("disconnected", 0) >= 3)
        assert store.uplink.fault is None
        assert store.ledger.lane("ledger").tail.seq == 0


async def test_an_alarm_told_before_a_restart_is_taken_back_after_it(broker, store) -> None:
    async with TlsFront(broker.port).on() as front:
        front.use(EXPIRED)
        async with store.on(front.url, port=port_to(front)):
            await until(lambda: store.ledger.lane("ledger").tail.seq == 1)
    async with FakeBridge(store.topics).on(broker.url) as bridge, store.on(broker.url):
        await until(lambda: len(told(bridge)) == 2)
    raised, over = told(bridge)
    assert (raised.code, over.code) == ("certificate_expired", "certificate_expired")
    assert isinstance(over, DeviceRecovered)
    assert over.down_s == 0.0  # nobody knows: the clock began anew


async def test_a_ledger_that_is_full_hears_of_the_fault_when_it_can(broker, store, monkeypatch) -> None:
    from edge.ports import LedgerFullError

    sound, refused = Ledger.commit, []

    async def full(self: Ledger, transaction: object) -> None:
        if len(refused) < 2:
            refused.append(transaction)
            raise LedgerFullError("no room")
        await sound(self, transaction)

    monkeypatch.setattr(Ledger, "commit", full)
    async with TlsFront(broker.port).on() as front:
        front.use(EXPIRED)
        async with store.on(front.url, port=port_to(front)):
            await until(lambda: store.ledger.lane("ledger").tail.seq == 1)
            assert store.uplink.counters["line_fault_not_written"] == 2
