"""aiomqtt behind the port, against a real broker: what is sent arrives, what fails is ours to name."""

from __future__ import annotations

import asyncio
import socket

import aiomqtt
import pytest

from contracts.messages import CONTENT_ENCODING
from mqtt_link import AiomqttPort, BrokerUrl, Incoming, LinkLostError, MqttConnection, Will


def port_of(broker, **more) -> AiomqttPort:
    return AiomqttPort(BrokerUrl.parse(broker.url), **more)


def nothing_dropped() -> None:
    raise AssertionError("a message was dropped")


async def first(link: MqttConnection) -> Incoming:
    async with asyncio.timeout(20):
        async for message in link.messages():
            return message
    raise AssertionError("the messages ended without an error")


async def test_a_message_goes_from_one_to_the_other(broker) -> None:
    async with (
        port_of(broker).connect(client_id="link-b", on_dropped=nothing_dropped) as listener,
        port_of(broker).connect(client_id="link-a", on_dropped=nothing_dropped) as speaker,
    ):
        await listener.subscribe("link/+")
        await speaker.publish("link/x", b"\x00\xff", encoding="zstd")
        assert await first(listener) == Incoming("link/x", b"\x00\xff", retained=False)


async def test_the_codec_is_named_in_a_user_property(broker) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as plain:
        await plain.subscribe("named/+")
        async with port_of(broker).connect(client_id="link-n", on_dropped=nothing_dropped) as speaker:
            await speaker.publish("named/x", b"1", encoding="zstd")
            await speaker.publish("named/y", b"2")
        async with asyncio.timeout(20):
            packed, bare = await anext(plain.messages), await anext(plain.messages)
    assert packed.properties.UserProperty == [(CONTENT_ENCODING, "zstd")]
    assert not hasattr(bare.properties, "UserProperty")


async def test_what_is_retained_says_so(broker) -> None:
    async with port_of(broker).connect(client_id="link-r", on_dropped=nothing_dropped) as link:
        await link.publish("kept/x", b"old", retain=True)
        await link.subscribe("kept/x")
        assert (await first(link)).retained
        await link.publish("kept/x", b"", retain=True)  # leave nothing behind


async def vanish(broker) -> None:
    """Connect with a last will, then lose the cable: no farewell is said."""
    will = Will("will/x", b"gone")
    async with port_of(broker).connect(client_id="link-v", will=will, on_dropped=nothing_dropped) as link:
        link._client._client._sock.shutdown(socket.SHUT_RDWR)
        await first(link)


async def test_whoever_vanishes_leaves_the_will(broker) -> None:
    async with port_of(broker).connect(client_id="link-w", on_dropped=nothing_dropped) as witness:
        await witness.subscribe("will/x")
        with pytest.raises(LinkLostError):
            await vanish(broker)
        assert (await first(witness)).payload == b"gone"


async def test_nobody_there_is_an_error_of_the_link() -> None:
    port = AiomqttPort(BrokerUrl.parse("mqtt://127.0.0.1:1"), timeout_s=5)
    with pytest.raises(LinkLostError):
        async with port.connect(client_id="link-0", on_dropped=nothing_dropped):
            raise AssertionError("there is no broker")


async def test_an_error_of_the_body_passes_unchanged(broker) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with port_of(broker).connect(client_id="link-e", on_dropped=nothing_dropped):
            raise KeyError("mine")


def test_what_finds_the_queue_full_is_dropped_and_told() -> None:
    dropped: list[int] = []

    async def fill() -> int:
        client = AiomqttPort(BrokerUrl.parse("mqtt://h"), max_queued=3)._client("c", None, lambda: dropped.append(1))
        for _ in range(5):
            client._queue.put_nowait(None)
        return client._queue.qsize()

    assert asyncio.run(fill()) == 3
    assert len(dropped) == 2
