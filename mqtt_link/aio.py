"""MQTT through aiomqtt: the only place that knows the library."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from contracts.messages import CONTENT_ENCODING, MAX_MESSAGE_BYTES
from mqtt_link.port import Incoming, LinkLostError, Will
from mqtt_link.url import BrokerUrl

KEEPALIVE_S = 30
TIMEOUT_S = 10.0
MAX_QUEUED = 1000
_AT_ONCE = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)  # an answer of a few bytes would wait 40 ms for company
MAX_PACKET_BYTES = MAX_MESSAGE_BYTES + 4096  # a broker forwards nothing larger: it would fill memory


class AiomqttPort:
    """Connections to the broker at `url`. Times are real seconds."""

    def __init__(
        self,
        url: BrokerUrl,
        *,
        keepalive_s: int = KEEPALIVE_S,
        timeout_s: float = TIMEOUT_S,
        max_queued: int = MAX_QUEUED,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url
        self._keepalive_s = keepalive_s
        self._timeout_s = timeout_s
        self._max_queued = max_queued
        self._tls = tls

    @contextlib.asynccontextmanager
    async def connect(
        self, *, client_id: str, will: Will | None = None, on_dropped: Callable[[], None]
    ) -> AsyncIterator[AiomqttConnection]:
        """See MqttPort. An error of the body passes unchanged."""
        client = self._client(client_id, will, on_dropped)
        with _typed():
            await client.__aenter__()
        try:
            yield AiomqttConnection(client)
        except BaseException as error:
            with contextlib.suppress(aiomqtt.MqttError):  # what ended the body is the news
                await client.__aexit__(type(error), error, error.__traceback__)
            raise
        with _typed():
            await client.__aexit__(None, None, None)

    def _client(self, client_id: str, will: Will | None, on_dropped: Callable[[], None]) -> aiomqtt.Client:
        class Inbox(asyncio.Queue[aiomqtt.Message]):
            """Drops and counts what does not fit, instead of a line in the log for each."""

            def put_nowait(self, item: aiomqtt.Message) -> None:
                if self.full():
                    on_dropped()
                else:
                    super().put_nowait(item)

        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        properties.SessionExpiryInterval = 0
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        return aiomqtt.Client(
            self.url.host,
            self.url.port,
            username=self.url.username,
            password=self.url.password,
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            properties=properties,
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=True) if will else None,
            keepalive=self._keepalive_s,
            timeout=self._timeout_s,
            max_queued_incoming_messages=self._max_queued,
            queue_type=Inbox,
            socket_options=_AT_ONCE,
            tls_context=(self._tls or ssl.create_default_context()) if self.url.tls else None,
        )


class AiomqttConnection:
    """One open connection; see MqttConnection."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def subscribe(self, topic: str) -> None:
        """Listen at QoS 1. Raises LinkLostError."""
        with _typed():
            codes = await self._client.subscribe(topic, qos=1)
        if any(getattr(code, "is_failure", False) for code in codes):
            raise LinkLostError(f"the broker refused the subscription to {topic}")

    async def publish(self, topic: str, payload: bytes, *, encoding: str = "", retain: bool = False) -> None:
        """Return after PUBACK. Raises LinkLostError."""
        properties = None
        if encoding:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
            properties.UserProperty = (CONTENT_ENCODING, encoding)
        with _typed():
            await self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)

    async def messages(self) -> AsyncIterator[Incoming]:
        """Messages as they come, until LinkLostError."""
        with _typed():
            async for message in self._client.messages:
                payload = message.payload if isinstance(message.payload, bytes) else b""
                yield Incoming(str(message.topic), payload, bool(message.retain))


@contextlib.contextmanager
def _typed() -> Iterator[None]:
    """The library's errors as ours."""
    try:
        yield
    except aiomqtt.MqttError as error:
        raise LinkLostError(str(error) or "the broker is gone") from error
