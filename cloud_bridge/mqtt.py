"""The MQTT shell: moves bytes between the broker and the router, and reconnects for ever.

Messages of one store are handled one after the other, those of different stores side by side, so that their writes
share a commit. Every queue is bounded; what does not fit is counted and lost, and the store sends it again.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import zlib
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cloud_bridge.counters import Counters
from cloud_bridge.router import Publication, Router
from contracts.backoff import Backoff
from contracts.clock import Clock
from contracts.messages import CONTENT_ENCODING, MAX_MESSAGE_BYTES
from contracts.topics import ALL_UP

log = logging.getLogger("zhanggui.cloud_bridge")
WORKERS = 8
INBOUND_MESSAGES = 1000
MESSAGES_A_WORKER = 128
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class MqttShell:
    """One connection to the broker at `url` (mqtt:// or mqtts://, with optional user:password@)."""

    def __init__(self, *, url: str, router: Router, clock: Clock, rng: Random, counters: Counters) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("mqtt url: must be mqtt://host:port or mqtts://host:port")
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._tls = parts.scheme == "mqtts"
        self._router = router
        self._clock = clock
        self._backoff = Backoff(rng)
        self._client_id = f"bridge-{rng.getrandbits(64):016x}"
        self._counters = counters
        self._told_down = False
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            try:
                await self._session()
            except* (aiomqtt.MqttError, OSError) as errors:
                if not self._told_down:
                    self._told_down = True
                    reason = _first(errors)
                    log.warning("broker %s:%d is away, trying on: %s", self._host, self._port, reason)
            self._counters.add("broker_connections_lost")
            await self._clock.sleep(self._backoff.down(self._clock.now_s()))

    async def _session(self) -> None:
        """One connection, until it is lost. Raises MqttError, OSError, alone or grouped."""
        async with self._client() as client:
            try:
                await client.subscribe(ALL_UP, qos=1)
                self._backoff.up(self._clock.now_s())
                self._told_down = False
                self.connected.set()
                log.info("connected to broker %s:%d", self._host, self._port)
                queues: list[asyncio.Queue[aiomqtt.Message]] = [
                    asyncio.Queue(MESSAGES_A_WORKER) for _ in range(WORKERS)
                ]
                async with asyncio.TaskGroup() as group:
                    for number, queue in enumerate(queues):
                        group.create_task(self._work(client, queue), name=f"cloud-mqtt-{number}")
                    async for message in client.messages:
                        self._hand_over(message, queues)
            finally:
                self.connected.clear()

    def _hand_over(self, message: aiomqtt.Message, queues: list[asyncio.Queue[aiomqtt.Message]]) -> None:
        """To the worker of its store; dropped if too many wait there, so that one store never holds up the others."""
        queue = queues[_worker_of(str(message.topic))]
        if queue.full():
            self._counters.add("dropped_worker_queue_full")
        else:
            queue.put_nowait(message)

    async def _work(self, client: aiomqtt.Client, queue: asyncio.Queue[aiomqtt.Message]) -> None:
        while True:
            message = await queue.get()
            payload = message.payload if isinstance(message.payload, bytes) else b""
            answer = await self._router.handle(str(message.topic), payload, retained=message.retain)
            if answer is not None:
                await client.publish(answer.topic, answer.payload, qos=1, properties=_properties(answer))

    def _client(self) -> aiomqtt.Client:
        connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho types none of it
        connect.SessionExpiryInterval = 0
        connect.MaximumPacketSize = MAX_MESSAGE_BYTES + 4096  # a broker forwards nothing larger: it would fill memory
        counters = self._counters

        class Inbox(asyncio.Queue[aiomqtt.Message]):
            """Drops and counts what does not fit, instead of a line in the log for each."""

            def put_nowait(self, item: aiomqtt.Message) -> None:
                if self.full():
                    counters.add("dropped_inbound_queue_full")
                else:
                    super().put_nowait(item)

        return aiomqtt.Client(
            self._host,
            self._port,
            identifier=self._client_id,
            username=self._user,
            password=self._password,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            properties=connect,
            tls_context=ssl.create_default_context() if self._tls else None,
            queue_type=Inbox,
            max_queued_incoming_messages=INBOUND_MESSAGES,
        )


def _worker_of(topic: str) -> int:
    """The same worker for all messages of one store."""
    return zlib.crc32("/".join(topic.split("/")[2:4]).encode()) % WORKERS


def _properties(answer: Publication) -> Properties | None:
    if not answer.encoding:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho types none of it
    properties.UserProperty = (CONTENT_ENCODING, answer.encoding)
    return properties


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
