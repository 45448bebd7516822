"""Publishes commands: what was issued, at once; after each hello of a store, all that is unanswered and unexpired.

Nothing here is trusted to arrive. A command that was published twice, or by two bridges, is done once: the store knows
its id. What no process has published yet is looked for every second, since another one may have issued it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from cloud_bridge.commands import book
from cloud_bridge.commands.book import Issued
from cloud_bridge.counters import Counters
from cloud_bridge.storage import Db, Storage, StorageError
from contracts.clock import Clock, unix_ms
from contracts.messages import encode_message
from contracts.topics import StoreTopics

EVERY_S = 1.0  # of the loop's own time
MAX_STORES = 50_000  # that wait for their commands; one more is counted, and heard at its next hello
STORES_AT_ONCE = 256
log = logging.getLogger("zhanggui.cloud_bridge")

Publish = Callable[[str, bytes, str], Awaitable[None]]
"""Topic, payload and encoding; raises OSError where there is no broker."""


class CommandDesk:
    """Owns what must be published. `heard` and `issued` only note; `run` does the work."""

    def __init__(
        self, *, storage: Storage, publish: Publish, connected: Callable[[], bool], clock: Clock, counters: Counters
    ) -> None:
        self._storage = storage
        self._publish = publish
        self._connected = connected
        self._clock = clock
        self._counters = counters
        self._hellos: dict[tuple[str, str], str] = {}
        self._wake = asyncio.Event()

    def heard(self, tenant: str, store: str, stream: str) -> None:
        """The active instance of a store has said hello in this stream of its ledger lane, and is answered."""
        if len(self._hellos) >= MAX_STORES and (tenant, store) not in self._hellos:
            self._counters.add("commands_hello_dropped")
            return
        self._hellos[tenant, store] = stream
        self._wake.set()

    def issued(self) -> None:
        """There is a new command in the database."""
        self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled. A broker or database that is away is waited for."""
        while True:
            self._wake.clear()
            try:
                await self.turn()
            except (OSError, StorageError) as error:
                self._counters.add("commands_turn_failed")
                log.debug("commands wait: %s", error)
                await asyncio.sleep(EVERY_S)
                continue
            if not self._hellos or not self._connected():
                waiting = asyncio.ensure_future(self._wake.wait())
                await asyncio.wait({waiting}, timeout=EVERY_S)
                waiting.cancel()

    async def turn(self) -> None:
        """Everything that is due now. Raises OSError, StorageError; what was not published stays due."""
        if not self._connected():
            return
        stores = dict(list(self._hellos.items())[:STORES_AT_ONCE])
        now_ms = unix_ms(self._clock.wall())
        if stores:
            for command in await self._storage.write(lambda db: _after_hellos(db, stores, now_ms)):
                await self._say(command, "commands_said_again")
            for store, stream in stores.items():
                if self._hellos.get(store) == stream:
                    del self._hellos[store]
        fresh = await self._storage.read(lambda db: book.unpublished(db, now_ms))
        for command in fresh:
            await self._say(command, "commands_published")
        if fresh:
            await self._storage.write(lambda db: book.published(db, fresh, now_ms))

    async def _say(self, command: Issued, counter: str) -> None:
        payload, encoding = encode_message(command.message(unix_ms(self._clock.wall())))
        await self._publish(StoreTopics(command.tenant, command.store).command(command.id), payload, encoding)
        self._counters.add(counter)


def _after_hellos(db: Db, stores: dict[tuple[str, str], str], now_ms: int) -> list[Issued]:
    found: list[Issued] = []
    for (tenant, store), stream in stores.items():
        book.heard(db, tenant, store, stream, now_ms)
        found += book.open_commands(db, tenant, store, now_ms)
    return found
