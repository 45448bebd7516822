"""The cloud's end of the wire in a few lines: the ingest of `model.Cloud` behind a real MQTT client; and a TCP proxy
that can cut the line."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiomqtt
import msgspec

from contracts.ids import new_uuid
from contracts.messages import (
    Batch,
    Hello,
    Message,
    Presence,
    Request,
    Response,
    decode_message,
    encode_message,
)
from contracts.tasks import end
from contracts.topics import StoreTopics, parse_up
from edge.uplink.machine import SendHello
from tests.edge_uplink.model import Cloud, SentBatch


@dataclass
class FakeBridge:
    """Answers one store. `ack_lost(n)` says whether the n-th ack is lost; `hours_ahead` is the cloud's clock."""

    topics: StoreTopics
    clouds: dict[str, Cloud] = field(
        default_factory=lambda: {"ledger": Cloud(window=2048), "telemetry": Cloud(window=2048)}
    )
    ack_lost: object = None
    hours_ahead: float = 0.0
    answer_requests: bool = True
    heard: Counter[str] = field(default_factory=Counter)
    presences: list[Presence] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    client: aiomqtt.Client | None = None

    def events(self, lane: str) -> list[bytes]:
        """All events the cloud holds of a lane, in the order of streams and sequences."""
        return [raw for cs in self.clouds[lane].streams.values() for raw in cs.raws if raw is not None]

    @contextlib.asynccontextmanager
    async def on(self, url: str) -> AsyncIterator[FakeBridge]:
        at = urlsplit(url)
        protocol = aiomqtt.ProtocolVersion.V5
        async with aiomqtt.Client(
            at.hostname, at.port, protocol=protocol, identifier=new_uuid(), clean_start=True
        ) as self.client:
            await self.client.subscribe(f"{self.topics.base}/up/#", qos=1)
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(self._serve(self.client), name="fake-bridge")
                try:
                    yield self
                finally:
                    await end([serving])

    async def say(self, topic: str, message: Message | bytes) -> None:
        assert self.client is not None
        payload = message if isinstance(message, bytes) else encode_message(message)[0]
        await self.client.publish(topic, payload, qos=1)

    async def _serve(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic = parse_up(str(message.topic))
            assert topic is not None
            assert isinstance(message.payload, bytes)
            self.heard[topic.kind] += 1
            if topic.kind == "presence":
                self.presences.append(decode_message(message.payload, Presence))
            elif topic.kind == "hello":
                await self._hello(topic.name, decode_message(message.payload, Hello))
            elif topic.kind == "events":
                await self._events(topic.name, decode_message(message.payload, Batch))
            elif topic.kind == "request":
                request = decode_message(message.payload, Request)
                self.requests.append(request)
                if self.answer_requests:
                    await self.say(self.topics.response(request.id), Response(id=request.id, ok=True))

    async def _hello(self, lane: str, hello: Hello) -> None:
        asked = SendHello(
            hello.nonce, hello.stream, hello.parent, hello.next_seq, bytes.fromhex(hello.tail_hash), hello.probe
        )
        now_ms = int((time.time() + self.hours_ahead * 3600) * 1000)
        answer = self.clouds[lane].hello(asked, hello.instance)
        await self.say(self.topics.hello_down(lane), msgspec.structs.replace(answer, t0=hello.t0, t1=now_ms, t2=now_ms))

    async def _events(self, lane: str, batch: Batch) -> None:
        self.batches.append(batch)
        ack = self.clouds[lane].ingest(
            SentBatch(
                batch.stream,
                batch.nonce,
                batch.gap,
                batch.first_seq,
                bytes.fromhex(batch.prev_hash),
                tuple(bytes(raw) for raw in batch.events),
                bytes.fromhex(batch.last_hash),
            )
        )
        if self.ack_lost is not None and self.ack_lost(len(self.batches)):  # type: ignore[operator]
            return
        await self.say(self.topics.ack(lane), ack)


class Proxy:
    """Forwards TCP to a port until told to cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0
        self.drop_after_bytes: int | None = None  # end a connection after so many bytes from the broker
        self.refuse = False  # end a connection before the broker hears of it
        self.url = ""

    @contextlib.asynccontextmanager
    async def on(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """Break every connection, without a goodbye."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuse:
            writer.close()
            return
        back, forth = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, forth}
        with contextlib.suppress(OSError):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pump(reader, forth), name="proxy-up")
                tasks.create_task(self._pump_back(back, writer), name="proxy-down")

    async def _pump_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = 0
        while data := await _read(reader):
            seen += len(data)
            writer.write(data)
            if self.drop_after_bytes is not None and seen >= self.drop_after_bytes:
                await writer.drain()
                break
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except OSError:
        return b""


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await _read(reader):
        writer.write(data)
    writer.close()


async def until(condition, what: str = "", limit_s: float = 20.0) -> None:
    """Let the loop run until `condition()`; the limit only ends a test that would hang."""
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)
