"""The MQTT shell: moves bytes between the broker and the router, and reconnects for ever.

Messages of one store are begun in the order they came and answered in that order; those of different stores go side by
side. While a batch is being committed the next ones are read, so that their writes share a commit. Every queue is
bounded; what does not fit is counted and lost, and the store sends it again.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

from cloud_bridge.counters import Counters
from cloud_bridge.router import Publication, Router
from contracts.backoff import Backoff
from contracts.clock import Clock
from contracts.topics import ALL_UP
from mqtt_link import AiomqttPort, BrokerUrl, Incoming, LinkLostError, MqttConnection, MqttPort

log = logging.getLogger("zhanggui.cloud_bridge")
WORKERS = 8
MESSAGES_A_WORKER = 128
BEGUN_A_WORKER = 8  # messages that a worker has begun and not answered yet
KEEPALIVE_S = 10  # a bridge that hangs is out of the shared subscription after half as long again
RECONNECT_CAP_S = 5.0  # bridges are few: their storm is none, and stores wait for them


class MqttShell:
    """One connection to the broker at `url` (mqtt:// or mqtts://, with optional user:password@)."""

    def __init__(
        self,
        *,
        url: str,
        router: Router,
        clock: Clock,
        rng: Random,
        counters: Counters,
        port: MqttPort | None = None,
        on_queued: Callable[[int, int], None] | None = None,
        subscription: str = ALL_UP,
    ) -> None:
        """Raises BadUrlError. `port` stands in for the broker at `url`; `on_queued` hears how full a worker's queue is:
        messages that wait, and room for how many."""
        self._url = BrokerUrl.parse(url, said_in="mqtt url")
        self._port = port or AiomqttPort(self._url, keepalive_s=KEEPALIVE_S)
        self._router = router
        self._clock = clock
        self._backoff = Backoff(rng, cap_s=RECONNECT_CAP_S)
        self._client_id = f"bridge-{rng.getrandbits(64):016x}"
        self._counters = counters
        self._told_down = False
        self._on_queued = on_queued
        self._subscription = subscription
        self._link: MqttConnection | None = None
        self.connected = asyncio.Event()

    async def publish(self, topic: str, payload: bytes, encoding: str) -> None:
        """Say something that answers nothing. Raises LinkLostError, TimeoutError."""
        if self._link is None:
            raise LinkLostError("no broker now")
        await self._link.publish(topic, payload, encoding=encoding)

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            try:
                await self._session()
            except* OSError as errors:
                if not self._told_down:
                    self._told_down = True
                    reason = _first(errors)
                    log.warning("broker %s is away, trying on: %s", self._url, reason)
            self._counters.add("broker_connections_lost")
            await self._clock.sleep(self._backoff.down(self._clock.now_s()))

    async def _session(self) -> None:
        """One connection, until it is lost. Raises OSError, alone or grouped."""
        async with self._port.connect(client_id=self._client_id, on_dropped=self._dropped) as link:
            try:
                await link.subscribe(self._subscription)
                self._backoff.up(self._clock.now_s())
                self._told_down = False
                self._link = link
                self.connected.set()
                log.info("connected to broker %s", self._url)
                queues: list[asyncio.Queue[Incoming]] = [asyncio.Queue(MESSAGES_A_WORKER) for _ in range(WORKERS)]
                async with asyncio.TaskGroup() as group:
                    for number, queue in enumerate(queues):
                        group.create_task(self._work(link, queue), name=f"cloud-mqtt-{number}")
                    async for message in link.messages():
                        self._hand_over(message, queues)
            finally:
                self._link = None
                self.connected.clear()

    def _hand_over(self, message: Incoming, queues: list[asyncio.Queue[Incoming]]) -> None:
        """To the worker of its store; dropped if too many wait there, so that one store never holds up the others."""
        queue = queues[_worker_of(message.topic)]
        if queue.full():
            self._counters.add("dropped_worker_queue_full")
        else:
            queue.put_nowait(message)
        if self._on_queued is not None:
            self._on_queued(queue.qsize(), MESSAGES_A_WORKER)

    async def _work(self, link: MqttConnection, queue: asyncio.Queue[Incoming]) -> None:
        """Begin messages in their order, each a task: up to its first wait (for the database) nothing overtakes it."""
        begun: asyncio.Queue[asyncio.Task[Publication | None]] = asyncio.Queue(BEGUN_A_WORKER)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._answer(link, begun), name="cloud-mqtt-answer")
            while True:
                message = await queue.get()
                handling = self._router.handle(message.topic, message.payload, retained=message.retained)
                await begun.put(group.create_task(handling, name="cloud-mqtt-handle"))

    async def _answer(self, link: MqttConnection, begun: asyncio.Queue[asyncio.Task[Publication | None]]) -> None:
        """Publish the answers in the order in which their messages came."""
        while True:
            answer = await (await begun.get())
            if answer is not None:
                await link.publish(answer.topic, answer.payload, encoding=answer.encoding)

    def _dropped(self) -> None:
        self._counters.add("dropped_inbound_queue_full")


def _worker_of(topic: str) -> int:
    """The same worker for all messages of one store."""
    return zlib.crc32("/".join(topic.split("/")[2:4]).encode()) % WORKERS


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
