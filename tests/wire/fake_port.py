"""A broker's end that a test holds in its hand: what was published, and when a connection ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from mqtt_link import Incoming, LinkLostError, Will


@dataclass(frozen=True)
class Said:
    topic: str
    payload: bytes
    encoding: str
    retain: bool


@dataclass
class FakePort:
    """Accepts every connection. `lasts` ends one at once; otherwise it stays until `drop`."""

    lasts: bool = True
    connections: int = 0
    client_ids: list[str] = field(default_factory=list)
    wills: list[Will | None] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    inbox: asyncio.Queue[Incoming | None] = field(default_factory=asyncio.Queue)

    @contextlib.asynccontextmanager
    async def connect(
        self, *, client_id: str, will: Will | None = None, on_dropped: Callable[[], None]
    ) -> AsyncIterator[FakePort]:
        self.connections += 1
        self.client_ids.append(client_id)
        self.wills.append(will)
        self.inbox = asyncio.Queue()
        if not self.lasts:
            self.drop()
        yield self

    def drop(self) -> None:
        self.inbox.put_nowait(None)

    def hear(self, topic: str, payload: bytes) -> None:
        self.inbox.put_nowait(Incoming(topic, payload, retained=False))

    async def subscribe(self, topic: str) -> None:
        self.subscribed.append(topic)

    async def publish(self, topic: str, payload: bytes, *, encoding: str = "", retain: bool = False) -> None:
        self.said.append(Said(topic, payload, encoding, retain))

    async def messages(self) -> AsyncIterator[Incoming]:
        while (message := await self.inbox.get()) is not None:
            yield message
        raise LinkLostError("dropped")
