"""One message from a store in, the messages to publish out. Knows no socket; nothing it is given stops it."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from cloud_bridge.commands import CommandDesk
from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest
from cloud_bridge.ingest.streams import Place
from cloud_bridge.presence import PresenceBook, note_heard, take_presence
from cloud_bridge.requests import Requests
from cloud_bridge.storage import Storage, StorageError
from contracts.clock import Clock, unix_ms
from contracts.messages import (
    BadMessageError,
    Batch,
    Hello,
    Message,
    Presence,
    Request,
    check_lane,
    decode_message,
    encode_message,
)
from contracts.topics import StoreTopics, UpTopic, parse_up

log = logging.getLogger("zhanggui.cloud_bridge")


@dataclass(frozen=True, slots=True)
class Publication:
    """One message to publish, QoS 1, never retained. `encoding` is "" or "zstd"."""

    topic: str
    payload: bytes
    encoding: str


class Router:
    """Takes a store's messages to ingest, presence and requests."""

    def __init__(
        self,
        *,
        storage: Storage,
        ingest: Ingest,
        presence: PresenceBook,
        requests: Requests | None,
        clock: Clock,
        counters: Counters,
        commands: CommandDesk | None = None,
    ) -> None:
        """Without `commands` a hello is answered, and nothing is said again after it."""
        self._commands = commands
        self._storage = storage
        self._ingest = ingest
        self._presence = presence
        self._requests = requests  # None: another bridge answers them
        self._clock = clock
        self._counters = counters
        self._storage_failed = False

    async def handle(self, topic: str, payload: bytes, *, retained: bool = False) -> Publication | None:
        """What to answer. Malformed messages are counted and dropped; without a commit there is no answer."""
        up = parse_up(topic)
        if up is None:
            self._counters.add("dropped_unknown_topic")
            return None
        try:
            answer = await self._answer(up, payload, retained=retained)
        except BadMessageError as error:
            self._counters.add(f"dropped_malformed_{up.kind}")
            log.debug("%s/%s: %s dropped: %s", up.tenant, up.store, up.kind, error)
            return None
        except StorageError as error:
            self._counters.add("unanswered_storage_failed")
            if not self._storage_failed:
                self._storage_failed = True
                log.error("database does not take writes, stores keep their events: %s", error)  # noqa: TRY400 - once, no trace
            return None
        if self._storage_failed:
            self._storage_failed = False
            log.info("database takes writes again")
        return answer

    async def _answer(self, up: UpTopic, payload: bytes, *, retained: bool) -> Publication | None:
        topics = StoreTopics(up.tenant, up.store)
        if up.kind == "presence":
            await self._take_presence(up, decode_message(payload, Presence), retained=retained)
            return None
        if up.kind == "twin":
            self._counters.add("ignored_twin")
            return None
        reply: Message | None
        if up.kind == "request":
            if self._requests is None:
                self._counters.add("left_to_pages_request")
                return None
            request = decode_message(payload, Request)
            reply = await self._requests.answer(up.tenant, up.store, up.name, request)
            await self._heard(up, retained=retained)
            return _publication(topics.response(request.id), reply)
        lane = check_lane(up.name)
        place = Place(up.tenant, up.store, lane)
        if up.kind == "hello":
            answer = await self._ingest.hello(place, decode_message(payload, Hello))
            await self._heard(up, retained=retained)
            if answer is None:
                return None
            if self._commands is not None and answer.active and lane == "ledger" and not retained:
                self._commands.heard(up.tenant, up.store, answer.stream)
            return _publication(topics.hello_down(lane), answer)
        ack = await self._ingest.batch(place, decode_message(payload, Batch))
        await self._heard(up, retained=retained)  # afterwards: a wait before it would let the next batch overtake
        return _publication(topics.ack(lane), ack)

    async def _heard(self, up: UpTopic, *, retained: bool) -> None:
        now_ms = unix_ms(self._clock.wall())
        if not retained and self._presence.heard(up.tenant, up.store, now_ms):
            await self._storage.write(lambda db: note_heard(db, up.tenant, up.store, now_ms))

    async def _take_presence(self, up: UpTopic, said: Presence, *, retained: bool) -> None:
        now_ms = unix_ms(self._clock.wall())
        if not self._presence.has_room(up.tenant, up.store):
            return
        row = await self._storage.write(
            lambda db: take_presence(db, up.tenant, up.store, said, retained=retained, now_ms=now_ms)
        )
        if row is None:
            self._counters.add("presence_not_current")
        else:
            self._presence.follow([row])


def _publication(topic: str, message: Message) -> Publication:
    payload, encoding = encode_message(message)
    return Publication(topic, payload, encoding)
